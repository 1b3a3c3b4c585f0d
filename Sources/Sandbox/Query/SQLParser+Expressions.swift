extension SQLParser {
    mutating func expression() throws(APIError) -> SQLExpression {
        try nested { parser throws(APIError) in
            try parser.chain({ parser throws(APIError) in try parser.conjunction() }) { $0.consume("OR") ? "OR" : nil }
        }
    }

    private mutating func conjunction() throws(APIError) -> SQLExpression {
        try chain({ parser throws(APIError) in try parser.negation() }) { $0.consume("AND") ? "AND" : nil }
    }

    private mutating func negation() throws(APIError) -> SQLExpression {
        guard consume("NOT") else { return try comparison() }
        return .unary("NOT", try nested { parser throws(APIError) in try parser.negation() })
    }

    private mutating func comparison() throws(APIError) -> SQLExpression {
        let left = try additive()
        let position = current.position
        for symbol in ["=", "!=", "<=", ">=", "<", ">"] where consume(symbol: symbol) {
            return .binary(symbol, left, try additive(), position)
        }
        if consume("IS") {
            let isNegated = consume("NOT")
            let result: SQLExpression
            if consume("NULL") {
                result = .isNull(left)
            } else if consume("TRUE") {
                result = .isBoolean(left, true)
            } else if consume("FALSE") {
                result = .isBoolean(left, false)
            } else {
                throw unexpected()
            }
            return isNegated ? .unary("NOT", result) : result
        }
        let isNegated =
            isKeyword("NOT") && (isKeyword("IN", at: 1) || isKeyword("BETWEEN", at: 1) || isKeyword("LIKE", at: 1))
        if isNegated { at += 1 }
        let result: SQLExpression
        if consume("BETWEEN") {
            let low = try additive()
            try expect("AND")
            result = .between(left, low, try additive(), position)
        } else if consume("LIKE") {
            result = .like(left, try additive(), position)
        } else if consume("IN") {
            result = try membership(of: left, position)
        } else {
            return left
        }
        return isNegated ? .unary("NOT", result) : result
    }

    private mutating func membership(of left: SQLExpression, _ position: SQLPosition) throws(APIError) -> SQLExpression
    {
        if consume("UNNEST") {
            try expect(symbol: "(")
            let array = try expression()
            try expect(symbol: ")")
            return .inUnnest(left, array, position)
        }
        try expect(symbol: "(")
        defer { _ = consume(symbol: ")") }
        if isKeyword("SELECT") || isKeyword("WITH") {
            let query = try query()
            guard isSymbol(")") else { throw expected("\")\"") }
            return .inQuery(left, query, position)
        }
        let items = try list { parser throws(APIError) in try parser.expression() }
        guard isSymbol(")") else { throw expected("\")\"") }
        return .inList(left, items, position)
    }

    mutating func additive() throws(APIError) -> SQLExpression {
        try chain({ parser throws(APIError) in try parser.multiplicative() }) { $0.consume(oneOf: ["+", "-"]) }
    }

    private mutating func multiplicative() throws(APIError) -> SQLExpression {
        try chain({ parser throws(APIError) in try parser.unary() }) { $0.consume(oneOf: ["*", "/", "||"]) }
    }

    private mutating func consume(oneOf symbols: [String]) -> String? {
        symbols.first { consume(symbol: $0) }
    }

    private mutating func unary() throws(APIError) -> SQLExpression {
        if consume(symbol: "-") {
            if case .number(let text) = current.kind {
                at += 1
                return Self.number("-" + text)
            }
            return .unary("-", try nested { parser throws(APIError) in try parser.unary() })
        }
        if consume(symbol: "+") { return try nested { parser throws(APIError) in try parser.unary() } }
        return try postfix()
    }

    private mutating func postfix() throws(APIError) -> SQLExpression {
        var result = try primary()
        while true {
            let position = current.position
            if isSymbol("[") { throw .invalidQuery("Array elements are not supported by the sandbox, at \(position)") }
            guard consume(symbol: ".") else { return result }
            result = .member(result, try memberName(), position)
        }
    }

    private static func number(_ text: String) -> SQLExpression {
        if text.lowercased().hasPrefix("0x") { return .integer(String(Int64(text.dropFirst(2), radix: 16) ?? 0)) }
        return text.contains { ".eE".contains($0) } ? .float(text) : .integer(text)
    }

    mutating func primary() throws(APIError) -> SQLExpression {
        let token = current
        switch token.kind {
        case .number(let text):
            at += 1
            return Self.number(text)
        case .string(let text):
            at += 1
            return .string(text)
        case .bytes(let bytes):
            at += 1
            return .bytes(bytes)
        case .parameter(let name):
            at += 1
            return .parameter(name, token.position)
        case .symbol("("): return try parenthesis()
        case .symbol("["):
            at += 1
            return .array(try arrayItems())
        case .quoted: return try path()
        case .identifier(let word): return try keyword(word)
        default: throw unexpected()
        }
    }

    private mutating func parenthesis() throws(APIError) -> SQLExpression {
        let position = current.position
        at += 1
        if isKeyword("SELECT") || isKeyword("WITH") {
            let query = try query()
            try expect(symbol: ")")
            return .scalar(query, position)
        }
        let inner = try expression()
        try expect(symbol: ")")
        return inner
    }

    private mutating func arrayItems() throws(APIError) -> [SQLExpression] {
        if consume(symbol: "]") { return [] }
        let items = try list { parser throws(APIError) in try parser.expression() }
        try expect(symbol: "]")
        return items
    }

    /// A column with its members, or a source's column.
    private mutating func path() throws(APIError) -> SQLExpression {
        let position = current.position
        var names = [try name()]
        while isSymbol("."), !isSymbol("*", at: 1) {
            at += 1
            names.append(try memberName())
        }
        return .name(names, position)
    }

    private mutating func keyword(_ word: String) throws(APIError) -> SQLExpression {
        let position = current.position
        switch word.uppercased() {
        case "NULL":
            at += 1
            return .null
        case "TRUE", "FALSE":
            at += 1
            return .boolean(word.uppercased() == "TRUE")
        case "CASE": return try branches()
        case "CAST", "SAFE_CAST": return try cast()
        case "EXISTS":
            at += 1
            try expect(symbol: "(")
            let query = try query()
            try expect(symbol: ")")
            return .exists(query)
        case "INTERVAL":
            at += 1
            let amount = try unary()
            return .interval(amount, unit: try name().uppercased())
        case "EXTRACT": return try extract()
        case "ARRAY" where isSymbol("[", at: 1):
            at += 2
            return .array(try arrayItems())
        case "DATE", "TIMESTAMP", "DATETIME", "TIME", "NUMERIC", "BIGNUMERIC", "JSON":
            if case .string(let text) = following(1).kind, let type = FieldType(apiName: word) {
                at += 2
                return .typed(type, text, position)
            }
        case "STRUCT": throw .invalidQuery("STRUCT expressions are not supported by the sandbox, at \(position)")
        default: break
        }
        if isSymbol("(", at: 1) { return try call() }
        if isSymbol(".", at: 1), isSymbol("(", at: 3), word.uppercased() == "SAFE" {
            throw .invalidQuery("The SAFE. prefix is not supported by the sandbox, at \(position)")
        }
        // These are functions that need no parentheses.
        if word.uppercased().hasPrefix("CURRENT_"), !isSymbol(".", at: 1) {
            at += 1
            return .call(SQLCall(name: word.uppercased(), arguments: [], position: position))
        }
        return try path()
    }

    private mutating func branches() throws(APIError) -> SQLExpression {
        let position = current.position
        at += 1
        let operand = isKeyword("WHEN") ? nil : try expression()
        var branches: [SQLBranch] = []
        while consume("WHEN") {
            let condition = try expression()
            try expect("THEN")
            branches.append(SQLBranch(condition: condition, result: try expression()))
        }
        let otherwise = consume("ELSE") ? try expression() : nil
        try expect("END")
        guard !branches.isEmpty else { throw unexpected() }
        return .branches(operand: operand, branches, otherwise: otherwise, position)
    }

    private mutating func cast() throws(APIError) -> SQLExpression {
        let position = current.position
        let isSafe = isKeyword("SAFE_CAST")
        at += 1
        try expect(symbol: "(")
        let value = try expression()
        try expect("AS")
        let typeName = try memberName()
        guard let type = FieldType(apiName: typeName), type != .record else {
            throw .invalidQuery("Type not found: \(typeName) at \(position)")
        }
        try expect(symbol: ")")
        return .cast(value, type, isSafe: isSafe, position)
    }

    private mutating func extract() throws(APIError) -> SQLExpression {
        let position = current.position
        at += 1
        try expect(symbol: "(")
        let part = try name()
        try expect("FROM")
        let value = try expression()
        try expect(symbol: ")")
        return .call(SQLCall(name: "EXTRACT", arguments: [.string(part.uppercased()), value], position: position))
    }

    private mutating func call() throws(APIError) -> SQLExpression {
        guard case .identifier(let name) = current.kind else { throw unexpected() }
        var call = SQLCall(name: name.uppercased(), arguments: [], position: current.position)
        at += 2
        if consume(symbol: "*") {
            call.isStar = true
        } else if !isSymbol(")") {
            call.isDistinct = consume("DISTINCT")
            call.arguments = try list { parser throws(APIError) in try parser.expression() }
            if isKeyword("IGNORE") || isKeyword("RESPECT") {
                throw .invalidQuery(
                    "IGNORE NULLS and RESPECT NULLS are not supported by the sandbox, at \(current.position)")
            }
            if consume("ORDER", "BY") { call.ordering = try ordering() }
            if consume("LIMIT") { call.limit = try primary() }
        }
        try expect(symbol: ")")
        guard consume("OVER") else { return .call(call) }
        try expect(symbol: "(")
        var window = SQLWindow(partition: [], ordering: [])
        if consume("PARTITION", "BY") {
            window.partition = try list { parser throws(APIError) in try parser.expression() }
        }
        if consume("ORDER", "BY") { window.ordering = try ordering() }
        guard isSymbol(")") else {
            throw .invalidQuery("Window frames are not supported by the sandbox, at \(current.position)")
        }
        at += 1
        call.window = window
        return .call(call)
    }
}
