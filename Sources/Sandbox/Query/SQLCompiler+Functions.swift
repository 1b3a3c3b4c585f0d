extension SQLCompiler {
    func call(_ call: SQLCall, in scope: SQLScope) throws(APIError) -> CompiledExpression {
        if SQLAggregates.names.contains(call.name) { return try aggregate(call, in: scope) }
        if Self.windowNames.contains(call.name) { return try windowFunction(call, in: scope) }
        guard call.window == nil, !call.isDistinct, !call.isStar, call.ordering.isEmpty else {
            throw .invalidQuery("Function \(call.name) does not support this form at \(call.position)")
        }
        if let result = try dateFunction(call, in: scope) { return result }
        let arguments = try call.arguments.map { item throws(APIError) in try expression(item, in: scope) }
        if let result = try textFunction(call, arguments) { return result }
        if let result = try plainFunction(call, arguments) { return result }
        throw .invalidQuery("Function not found: \(call.name) at \(call.position)")
    }

    func require(_ counts: ClosedRange<Int>, _ call: SQLCall) throws(APIError) {
        guard counts.contains(call.arguments.count) else {
            throw .invalidQuery("Number of arguments does not match for function \(call.name) at \(call.position)")
        }
    }

    // MARK: Aggregates and windows

    private static let windowNames: Set<String> = [
        "ROW_NUMBER", "RANK", "DENSE_RANK", "LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE",
    ]

    private func over(_ window: SQLWindow?, in scope: SQLScope) throws(APIError) -> String {
        guard let window else { return "" }
        var parts: [String] = []
        if !window.partition.isEmpty {
            let keys = try window.partition.map { key throws(APIError) in
                SQLCoercion.collated(try expression(key, in: scope))
            }
            parts.append("PARTITION BY \(keys.joined(separator: ", "))")
        }
        if !window.ordering.isEmpty { parts.append("ORDER BY \(try ordering(window.ordering, columns: 0, in: scope))") }
        return " OVER (\(parts.joined(separator: " ")))"
    }

    private func windowFunction(_ call: SQLCall, in scope: SQLScope) throws(APIError) -> CompiledExpression {
        guard let window = call.window else {
            throw .invalidQuery(
                "Analytic function \(call.name) cannot be called without an OVER clause at \(call.position)")
        }
        guard scope.allowsWindows else {
            throw .invalidQuery("Analytic function not allowed here: \(call.name) at \(call.position)")
        }
        let arguments = try call.arguments.map { item throws(APIError) in try expression(item, in: scope) }
        try require(["ROW_NUMBER", "RANK", "DENSE_RANK"].contains(call.name) ? 0...0 : 1...3, call)
        let list = arguments.map(\.sql).joined(separator: ", ")
        return CompiledExpression(
            "\(call.name.lowercased())(\(list))\(try over(window, in: scope))", arguments.first?.type ?? .int64)
    }

    private func aggregate(_ call: SQLCall, in scope: SQLScope) throws(APIError) -> CompiledExpression {
        guard call.window == nil ? scope.allowsAggregates : scope.allowsWindows else {
            throw .invalidQuery("Aggregate function \(call.name) not allowed in this clause at \(call.position)")
        }
        let window = try over(call.window, in: scope)
        if call.isStar {
            guard call.name == "COUNT" else {
                throw .invalidQuery("Argument * can only be used in COUNT(*) at \(call.position)")
            }
            return CompiledExpression("count(*)\(window)", .int64)
        }
        try require(call.name == "STRING_AGG" ? 1...2 : 1...1, call)
        let outerAggregates = scope.allowsAggregates
        scope.allowsAggregates = call.window != nil
        defer { scope.allowsAggregates = outerAggregates }
        let arguments = try call.arguments.map { item throws(APIError) in try expression(item, in: scope) }
        let value = arguments[0]
        let distinct = call.isDistinct ? "DISTINCT " : ""
        switch call.name {
        case "COUNT": return CompiledExpression("count(\(distinct)\(value.sql))\(window)", .int64)
        case "APPROX_COUNT_DISTINCT": return CompiledExpression("count(DISTINCT \(value.sql))\(window)", .int64)
        case "COUNTIF", "LOGICAL_AND", "LOGICAL_OR":
            guard value.type == .bool else { throw mismatch(call.name, arguments, call.position) }
            if call.name == "COUNTIF" { return CompiledExpression("count(nullif(\(value.sql), 0))\(window)", .int64) }
            return CompiledExpression("\(call.name == "LOGICAL_AND" ? "min" : "max")(\(value.sql))\(window)", .bool)
        case "SUM", "AVG":
            guard value.type.isNumber else { throw mismatch(call.name, arguments, call.position) }
            if value.type.isDecimal {
                guard window.isEmpty else { throw mismatch(call.name, arguments, call.position) }
                return CompiledExpression("bq_\(call.name.lowercased())(\(distinct)\(value.sql))", value.type)
            }
            return CompiledExpression(
                "\(call.name.lowercased())(\(distinct)\(value.sql))\(window)",
                call.name == "AVG" ? .float64 : value.type)
        case "MIN", "MAX", "ANY_VALUE":
            guard call.name == "ANY_VALUE" || SQLCoercion.isOrderable(value.type) else {
                throw mismatch(call.name, arguments, call.position)
            }
            let name = call.name == "MAX" ? "max" : "min"
            return CompiledExpression("\(name)(\(SQLCoercion.collated(value)))\(window)", value.type)
        default: return try collection(call, arguments, window, in: scope)
        }
    }

    /// STRING_AGG and ARRAY_AGG. Their order is that of the rows: SQLite 3.40 takes no ORDER BY inside of an aggregate.
    private func collection(
        _ call: SQLCall, _ arguments: [CompiledExpression], _ window: String, in scope: SQLScope
    ) throws(APIError) -> CompiledExpression {
        guard call.ordering.isEmpty, call.limit == nil, !call.isDistinct else {
            throw .invalidQuery(
                "\(call.name) with DISTINCT, ORDER BY or LIMIT is not supported by the sandbox, at \(call.position)")
        }
        let value = arguments[0]
        if call.name == "STRING_AGG" {
            guard value.type == .string else { throw mismatch(call.name, arguments, call.position) }
            let separator = arguments.count > 1 ? arguments[1].sql : bind(.text(","))
            return CompiledExpression("group_concat(\(value.sql), \(separator))\(window)", .string)
        }
        guard !value.type.isArray, value.type.type != .bytes, let type = value.type.type else {
            throw mismatch(call.name, arguments, call.position)
        }
        return CompiledExpression(
            "json_group_array(\(value.sql))\(window)", SQLType(type, isArray: true, fields: value.type.fields))
    }

    // MARK: Functions of any type

    private func plainFunction(_ call: SQLCall, _ arguments: [CompiledExpression]) throws(APIError)
        -> CompiledExpression?
    {
        let list = arguments.map(\.sql).joined(separator: ", ")
        switch call.name {
        case "COALESCE", "IFNULL", "GREATEST", "LEAST":
            try require(call.name == "IFNULL" ? 2...2 : 1...1000, call)
            let (unified, type) = try common(call.name, arguments, call.position)
            let names = unified.map(SQLCoercion.collated).joined(separator: ", ")
            if unified.count == 1 { return CompiledExpression(unified[0].sql, type) }
            let name = ["GREATEST": "max", "LEAST": "min"][call.name] ?? "coalesce"
            return CompiledExpression("\(name)(\(names))", type)
        case "NULLIF":
            try require(2...2, call)
            let test = try compare("=", arguments[0], arguments[1], call.position)
            return CompiledExpression(
                "(CASE WHEN \(test.sql) THEN NULL ELSE \(arguments[0].sql) END)", arguments[0].type)
        case "IF":
            try require(3...3, call)
            guard arguments[0].type == .bool || arguments[0].type.type == nil else {
                throw mismatch("IF", arguments, call.position)
            }
            let (unified, type) = try common("IF", Array(arguments.dropFirst()), call.position)
            return CompiledExpression("iif(\(arguments[0].sql), \(unified[0].sql), \(unified[1].sql))", type)
        case "ABS", "FLOOR", "CEIL", "CEILING", "ROUND", "MOD", "SAFE_DIVIDE": return try numeric(call, arguments, list)
        case "ARRAY_LENGTH":
            try require(1...1, call)
            guard arguments[0].type.isArray else { throw mismatch(call.name, arguments, call.position) }
            return CompiledExpression("coalesce(json_array_length(\(list)), 0)", .int64)
        case "TO_JSON_STRING":
            try require(1...1, call)
            guard let type = arguments[0].type.type, !arguments[0].type.isArray, type != .record else {
                throw mismatch(call.name, arguments, call.position)
            }
            return CompiledExpression("bq_to_json(\(list), '\(type.rawValue)')", .string)
        case "PARSE_JSON":
            try require(1...1, call)
            return try cast(arguments[0], to: .json, isSafe: false, call.position)
        case "JSON_VALUE", "JSON_EXTRACT_SCALAR", "JSON_QUERY", "JSON_EXTRACT":
            try require(1...2, call)
            guard arguments[0].type == .string || arguments[0].type == SQLType(.json) else {
                throw mismatch(call.name, arguments, call.position)
            }
            let path = arguments.count > 1 ? arguments[1].sql : "'$'"
            let isScalar = call.name == "JSON_VALUE" || call.name == "JSON_EXTRACT_SCALAR"
            return CompiledExpression(
                "\(isScalar ? "bq_json_value" : "bq_json_query")(\(arguments[0].sql), \(path))",
                isScalar ? .string : arguments[0].type)
        default: return nil
        }
    }

    private func numeric(
        _ call: SQLCall, _ arguments: [CompiledExpression], _ list: String
    ) throws(APIError) -> CompiledExpression {
        let two = call.name == "MOD" || call.name == "SAFE_DIVIDE"
        try require(two ? 2...2 : call.name == "ROUND" ? 1...2 : 1...1, call)
        guard arguments.allSatisfy({ $0.type.isNumber && !$0.type.isDecimal }) else {
            throw mismatch(call.name, arguments, call.position)
        }
        switch call.name {
        case "ABS": return CompiledExpression("abs(\(list))", arguments[0].type)
        case "MOD":
            guard arguments.allSatisfy({ $0.type == .int64 }) else {
                throw mismatch(call.name, arguments, call.position)
            }
            return CompiledExpression("(\(arguments[0].sql) % \(arguments[1].sql))", .int64)
        case "SAFE_DIVIDE":
            return CompiledExpression("(CAST(\(arguments[0].sql) AS REAL) / nullif(\(arguments[1].sql), 0))", .float64)
        case "FLOOR": return CompiledExpression("floor(CAST(\(list) AS REAL))", .float64)
        case "ROUND": return CompiledExpression("round(\(list))", .float64)
        default: return CompiledExpression("ceil(CAST(\(list) AS REAL))", .float64)
        }
    }

    // MARK: Text

    private func textFunction(_ call: SQLCall, _ arguments: [CompiledExpression]) throws(APIError)
        -> CompiledExpression?
    {
        guard let form = Self.textForms[call.name] else { return nil }
        try require(form.counts, call)
        for (index, argument) in arguments.enumerated() {
            let wanted = form.types[min(index, form.types.count - 1)]
            guard argument.type.type == nil || wanted.contains(where: { argument.type == SQLType($0) }) else {
                throw mismatch(call.name, arguments, call.position)
            }
        }
        let list = arguments.map(\.sql).joined(separator: ", ")
        let type = form.result ?? arguments[0].type
        if call.name == "CONCAT" {
            return CompiledExpression("(\(arguments.map(\.sql).joined(separator: " || ")))", type)
        }
        if call.name == "STARTS_WITH" {
            let (text, prefix) = (arguments[0].sql, arguments[1].sql)
            return CompiledExpression("(substr(\(text), 1, length(\(prefix))) = \(prefix))", .bool)
        }
        return CompiledExpression("\(form.sql)(\(list))", type)
    }

    private struct TextForm {
        var sql: String
        var counts: ClosedRange<Int>
        var types: [[FieldType]]
        /// Nil: that of the first argument.
        var result: SQLType?
    }

    private static let textForms: [String: TextForm] = [
        "LENGTH": TextForm(sql: "length", counts: 1...1, types: [[.string, .bytes]], result: .int64),
        "CHAR_LENGTH": TextForm(sql: "length", counts: 1...1, types: [[.string]], result: .int64),
        "BYTE_LENGTH": TextForm(sql: "bq_byte_length", counts: 1...1, types: [[.string, .bytes]], result: .int64),
        "LOWER": TextForm(sql: "bq_lower", counts: 1...1, types: [[.string]], result: nil),
        "UPPER": TextForm(sql: "bq_upper", counts: 1...1, types: [[.string]], result: nil),
        "TRIM": TextForm(sql: "trim", counts: 1...2, types: [[.string]], result: nil),
        "LTRIM": TextForm(sql: "ltrim", counts: 1...2, types: [[.string]], result: nil),
        "RTRIM": TextForm(sql: "rtrim", counts: 1...2, types: [[.string]], result: nil),
        "SUBSTR": TextForm(sql: "substr", counts: 2...3, types: [[.string, .bytes], [.integer]], result: nil),
        "SUBSTRING": TextForm(sql: "substr", counts: 2...3, types: [[.string, .bytes], [.integer]], result: nil),
        "REPLACE": TextForm(sql: "replace", counts: 3...3, types: [[.string]], result: nil),
        "STRPOS": TextForm(sql: "instr", counts: 2...2, types: [[.string, .bytes]], result: .int64),
        "STARTS_WITH": TextForm(sql: "", counts: 2...2, types: [[.string]], result: .bool),
        "ENDS_WITH": TextForm(sql: "bq_ends_with", counts: 2...2, types: [[.string]], result: .bool),
        "CONCAT": TextForm(sql: "", counts: 1...1000, types: [[.string]], result: nil),
        "TO_BASE64": TextForm(sql: "bq_to_base64", counts: 1...1, types: [[.bytes]], result: .string),
        "FROM_BASE64": TextForm(sql: "bq_from_base64", counts: 1...1, types: [[.string]], result: SQLType(.bytes)),
        "TO_HEX": TextForm(sql: "bq_to_hex", counts: 1...1, types: [[.bytes]], result: .string),
    ]
}
