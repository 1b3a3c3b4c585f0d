extension SQLParser {
    mutating func query() throws(APIError) -> SQLQuery {
        try nested { parser throws(APIError) in try parser.wholeQuery() }
    }

    private mutating func wholeQuery() throws(APIError) -> SQLQuery {
        var named: [(name: String, query: SQLQuery)] = []
        if consume("WITH") {
            if consume("RECURSIVE") { throw .invalidQuery("WITH RECURSIVE is not supported by the sandbox.") }
            repeat {
                let name = try name()
                try expect("AS")
                try expect(symbol: "(")
                named.append((name, try query()))
                try expect(symbol: ")")
            } while consume(symbol: ",")
        }
        let body = try combination()
        var ordering: [SQLOrdering] = []
        var limit: SQLExpression?
        var offset: SQLExpression?
        if consume("ORDER", "BY") { ordering = try self.ordering() }
        if consume("LIMIT") {
            limit = try primary()
            if consume("OFFSET") { offset = try primary() }
        }
        return SQLQuery(named: named, body: body, ordering: ordering, limit: limit, offset: offset)
    }

    private mutating func combination() throws(APIError) -> SQLQuery.Body {
        var result = try operand()
        while true {
            let position = current.position
            let kind: String
            if consume("UNION", "ALL") {
                kind = "UNION ALL"
            } else if consume("UNION", "DISTINCT") {
                kind = "UNION"
            } else if consume("INTERSECT", "DISTINCT") {
                kind = "INTERSECT"
            } else if consume("EXCEPT", "DISTINCT") {
                kind = "EXCEPT"
            } else if isKeyword("UNION") || isKeyword("INTERSECT") || isKeyword("EXCEPT") {
                at += 1
                throw expected("keyword ALL or keyword DISTINCT")
            } else {
                return result
            }
            result = .combined(SQLQuery(body: result), kind, SQLQuery(body: try operand()), position)
        }
    }

    private mutating func operand() throws(APIError) -> SQLQuery.Body {
        if consume(symbol: "(") {
            let inner = try query()
            try expect(symbol: ")")
            return .nested(inner)
        }
        return .select(try select())
    }

    private mutating func select() throws(APIError) -> SQLSelect {
        var result = SQLSelect(position: current.position)
        try expect("SELECT")
        if consume("DISTINCT") { result.isDistinct = true } else { _ = consume("ALL") }
        if consume("AS") { throw .invalidQuery("SELECT AS STRUCT and AS VALUE are not supported by the sandbox.") }
        repeat {
            // A comma may end the list.
            if !result.items.isEmpty, isKeyword("FROM") { break }
            result.items.append(try item())
        } while consume(symbol: ",")
        if consume("FROM") { result.from = try sources() }
        if consume("WHERE") { result.filter = try expression() }
        if consume("GROUP", "BY") {
            if isKeyword("ROLLUP") || isKeyword("GROUPING") || isKeyword("CUBE") || isKeyword("ALL") {
                throw unexpected()
            }
            result.grouping = try list { parser throws(APIError) in try parser.expression() }
        }
        if consume("HAVING") { result.having = try expression() }
        if consume("QUALIFY") { result.qualify = try expression() }
        if isKeyword("WINDOW") { throw .invalidQuery("Named windows are not supported by the sandbox.") }
        return result
    }

    private mutating func item() throws(APIError) -> SQLSelect.Item {
        let position = current.position
        if consume(symbol: "*") { return try star(nil, position) }
        if isSymbol(".", at: 1), isSymbol("*", at: 2) {
            let qualifier = try name()
            at += 2
            return try star(qualifier, position)
        }
        let expression = try expression()
        return .expression(expression, alias: try alias())
    }

    private mutating func star(_ qualifier: String?, _ position: SQLPosition) throws(APIError) -> SQLSelect.Item {
        var except: [String] = []
        var replace: [SQLReplacement] = []
        if isKeyword("EXCEPT"), isSymbol("(", at: 1) {
            at += 2
            except = try list { parser throws(APIError) in try parser.name() }
            try expect(symbol: ")")
        }
        if consume("REPLACE") {
            try expect(symbol: "(")
            replace = try list { parser throws(APIError) in
                let expression = try parser.expression()
                try parser.expect("AS")
                return SQLReplacement(name: try parser.name(), expression: expression)
            }
            try expect(symbol: ")")
        }
        return .star(qualifier: qualifier, except: except, replace: replace, position)
    }

    // MARK: FROM

    private mutating func sources() throws(APIError) -> SQLSource {
        try nested { parser throws(APIError) in try parser.joins() }
    }

    private mutating func joins() throws(APIError) -> SQLSource {
        var result = try source()
        while true {
            let position = current.position
            if consume(symbol: ",") || consume("CROSS", "JOIN") {
                result = .join(result, "CROSS JOIN", try source(), on: nil, using: [], position)
                continue
            }
            let kind: String
            if consume("LEFT", "OUTER", "JOIN") || consume("LEFT", "JOIN") {
                kind = "LEFT JOIN"
            } else if consume("INNER", "JOIN") || consume("JOIN") {
                kind = "JOIN"
            } else if isKeyword("RIGHT") || isKeyword("FULL") {
                throw .invalidQuery("RIGHT and FULL joins are not supported by the sandbox, at \(position)")
            } else {
                return result
            }
            let right = try source()
            if consume("ON") {
                result = .join(result, kind, right, on: try expression(), using: [], position)
            } else if consume("USING") {
                try expect(symbol: "(")
                let names = try list { parser throws(APIError) in try parser.name() }
                try expect(symbol: ")")
                result = .join(result, kind, right, on: nil, using: names, position)
            } else if case .unnest = right {
                result = .join(result, kind, right, on: nil, using: [], position)
            } else {
                throw expected("keyword ON or keyword USING")
            }
        }
    }

    private mutating func source() throws(APIError) -> SQLSource {
        let position = current.position
        if consume(symbol: "(") {
            if isKeyword("SELECT") || isKeyword("WITH") || isSymbol("(") {
                let query = try query()
                try expect(symbol: ")")
                return .query(query, alias: try alias())
            }
            let inner = try sources()
            try expect(symbol: ")")
            return inner
        }
        if consume("UNNEST") {
            try expect(symbol: "(")
            let array = try expression()
            try expect(symbol: ")")
            let alias = try alias()
            if isKeyword("WITH"), isKeyword("OFFSET", at: 1) {
                throw .invalidQuery("WITH OFFSET is not supported by the sandbox, at \(current.position)")
            }
            return .unnest(array, alias: alias, position)
        }
        let path = try tablePath()
        if isSymbol("(") { throw .invalidQuery("Table functions are not supported by the sandbox, at \(position)") }
        var alias = try alias()
        var asOf: SQLExpression?
        if consume("FOR", "SYSTEM_TIME", "AS", "OF") || consume("FOR", "SYSTEM", "TIME", "AS", "OF") {
            asOf = try additive()
            if alias == nil { alias = try self.alias() }
        }
        return .table(path, alias: alias, asOf: asOf, position)
    }

    /// `a.b.c`, `` `a.b.c` ``, `` `a`.b.`c` ``; a project's name may hold dashes without quotes.
    private mutating func tablePath() throws(APIError) -> [String] {
        var path: [String] = []
        repeat {
            switch current.kind {
            case .quoted(let text):
                at += 1
                path += text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            default:
                var part = try path.isEmpty ? name() : memberName()
                while path.isEmpty, isSymbol("-"), !current.isSpaced, !following(1).isSpaced {
                    switch following(1).kind {
                    case .identifier(let text), .number(let text): part += "-" + text
                    default: throw unexpected()
                    }
                    at += 2
                }
                path.append(part)
            }
        } while consume(symbol: ".")
        return path
    }
}
