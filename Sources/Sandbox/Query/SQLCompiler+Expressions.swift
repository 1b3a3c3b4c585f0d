extension SQLCompiler {
    func expression(_ expression: SQLExpression, in scope: SQLScope) throws(APIError) -> CompiledExpression {
        switch expression {
        case .null: return CompiledExpression("NULL", SQLType(nil))
        case .integer(let text):
            guard let value = Int64(text) else { throw .invalidQuery("Invalid integer literal: \(text)") }
            return CompiledExpression(text, .int64, constant: .integer(value))
        case .float(let text):
            guard let value = Double(text) else { throw .invalidQuery("Invalid floating point literal: \(text)") }
            return CompiledExpression(bind(.real(value)), .float64, constant: .real(value))
        case .string(let text): return CompiledExpression(bind(.text(text)), .string, constant: .text(text))
        case .bytes(let bytes): return CompiledExpression(bind(.blob(bytes)), SQLType(.bytes))
        case .boolean(let value): return CompiledExpression(value ? "1" : "0", .bool)
        case .typed(let type, let text, let position):
            guard let value = SQLCoercion.value(text, as: type) else {
                throw .invalidQuery("Invalid \(type.rawValue) literal at \(position)")
            }
            return CompiledExpression(bind(value), SQLType(type))
        case .parameter(let name, let position):
            let parameter = try parameter(name, position)
            return CompiledExpression(bind(parameter.value), parameter.type, constant: parameter.value)
        case .name(let path, let position): return try column(path, position, in: scope)
        case .member(let inner, let name, let position):
            return try member(name, of: try self.expression(inner, in: scope), position)
        case .unary(let sign, let inner): return try unary(sign, inner, in: scope)
        case .binary(let sign, let left, let right, let position):
            return try binary(sign, left, right, position, in: scope)
        case .isNull(let inner):
            return CompiledExpression("(\(try self.expression(inner, in: scope).sql) IS NULL)", .bool)
        case .isBoolean(let inner, let value):
            let compiled = try boolean(inner, clause: "IS", in: scope)
            return CompiledExpression("(\(compiled) IS \(value ? 1 : 0))", .bool)
        case .between, .inList, .inUnnest, .inQuery, .like: return try membership(expression, in: scope)
        case .branches(let operand, let branches, let otherwise, let position):
            return try self.branches(operand, branches, otherwise, position, in: scope)
        case .cast(let inner, let type, let isSafe, let position):
            return try cast(try self.expression(inner, in: scope), to: type, isSafe: isSafe, position)
        case .call(let call): return try self.call(call, in: scope)
        case .interval: throw .invalidQuery("INTERVAL is only supported as an argument of date and time arithmetic.")
        case .array(let items): return try array(items, in: scope)
        case .scalar(let query, let position):
            let compiled = try compile(query, in: scope)
            guard compiled.columns.count == 1 else {
                throw .invalidQuery("Scalar subquery cannot have more than one column at \(position)")
            }
            return CompiledExpression("(\(compiled.sql))", compiled.columns[0].type)
        case .exists(let query): return CompiledExpression("EXISTS (\(try compile(query, in: scope).sql))", .bool)
        }
    }

    /// A condition's SQL.
    func boolean(_ expression: SQLExpression, clause: String, in scope: SQLScope) throws(APIError) -> String {
        let aggregates = scope.allowsAggregates
        let windows = scope.allowsWindows
        if clause == "WHERE" || clause == "ON" {
            scope.allowsAggregates = false
            scope.allowsWindows = false
        }
        defer {
            scope.allowsAggregates = aggregates
            scope.allowsWindows = windows
        }
        let compiled = try self.expression(expression, in: scope)
        guard compiled.type == .bool || compiled.type.type == nil else {
            throw .invalidQuery("\(clause) clause should return type BOOL, but returns type \(compiled.type.name)")
        }
        return compiled.sql
    }

    // MARK: Names

    private func column(_ path: [String], _ position: SQLPosition, in scope: SQLScope) throws(APIError)
        -> CompiledExpression
    {
        var current: SQLScope? = scope
        while let level = current {
            if let found = try resolve(path, position, in: level) { return found }
            current = level.parent
        }
        throw .invalidQuery("Unrecognized name: \(path.joined(separator: ".")) at \(position)")
    }

    private func resolve(_ path: [String], _ position: SQLPosition, in scope: SQLScope) throws(APIError)
        -> CompiledExpression?
    {
        if scope.prefersAliases, let aliased = try alias(path, position, in: scope) { return aliased }
        if path.count > 1, let source = scope.source(path[0]) {
            guard let column = source.columns.first(where: { $0.name.lowercased() == path[1].lowercased() }) else {
                throw .invalidQuery("Name \(path[1]) not found inside \(path[0]) at \(position)")
            }
            return try members(path.dropFirst(2), of: CompiledExpression(column.sql, column.type), position)
        }
        if let column = try scope.column(path[0], at: position) {
            return try members(path.dropFirst(), of: CompiledExpression(column.sql, column.type), position)
        }
        return try alias(path, position, in: scope)
    }

    private func alias(_ path: [String], _ position: SQLPosition, in scope: SQLScope) throws(APIError)
        -> CompiledExpression?
    {
        guard let expression = scope.aliases[path[0].lowercased()] else { return nil }
        // `a AS a` must not lead back to itself.
        let inner = scope.aliases.removeValue(forKey: path[0].lowercased())
        defer { scope.aliases[path[0].lowercased()] = inner }
        return try members(path.dropFirst(), of: try self.expression(expression, in: scope), position)
    }

    private func members(
        _ names: ArraySlice<String>, of value: CompiledExpression, _ position: SQLPosition
    ) throws(APIError) -> CompiledExpression {
        var result = value
        for name in names { result = try member(name, of: result, position) }
        return result
    }

    private func member(_ name: String, of value: CompiledExpression, _ position: SQLPosition) throws(APIError)
        -> CompiledExpression
    {
        guard value.type.type == .record, !value.type.isArray else {
            throw .invalidQuery("Cannot access field \(name) on a value with type \(value.type.name) at \(position)")
        }
        guard let field = value.type.fields.first(where: { $0.name.lowercased() == name.lowercased() }) else {
            throw .invalidQuery("Field name \(name) does not exist in STRUCT at \(position)")
        }
        return CompiledExpression("json_extract(\(value.sql), '$.\"\(field.name)\"')", SQLType(field))
    }

    // MARK: Operators

    private func unary(_ sign: String, _ inner: SQLExpression, in scope: SQLScope) throws(APIError)
        -> CompiledExpression
    {
        if sign == "NOT" { return CompiledExpression("(NOT \(try boolean(inner, clause: "NOT", in: scope)))", .bool) }
        let compiled = try expression(inner, in: scope)
        guard compiled.type.isNumber, !compiled.type.isDecimal else {
            throw .invalidQuery("No matching signature for operator - for argument type: \(compiled.type.name)")
        }
        return CompiledExpression("(-\(compiled.sql))", compiled.type)
    }

    private func binary(
        _ sign: String, _ left: SQLExpression, _ right: SQLExpression, _ position: SQLPosition, in scope: SQLScope
    ) throws(APIError) -> CompiledExpression {
        if sign == "AND" || sign == "OR" {
            let first = try boolean(left, clause: sign, in: scope)
            return CompiledExpression("(\(first) \(sign) \(try boolean(right, clause: sign, in: scope)))", .bool)
        }
        if case .interval(let amount, let unit) = right, sign == "+" || sign == "-" {
            return try shift(try expression(left, in: scope), by: amount, unit, sign, position, in: scope)
        }
        let first = try expression(left, in: scope)
        let second = try expression(right, in: scope)
        switch sign {
        case "=", "!=", "<", ">", "<=", ">=": return try compare(sign, first, second, position)
        case "||":
            guard let type = SQLCoercion.common(first.type, second.type), type == .string else {
                throw mismatch(sign, [first, second], position)
            }
            return CompiledExpression("(\(first.sql) || \(second.sql))", type)
        default:
            guard let type = SQLCoercion.common(first.type, second.type), type.isNumber else {
                throw mismatch(sign, [first, second], position)
            }
            let isExact = type == .int64 && sign != "/"
            let name = ["+": "bq_add", "-": "bq_subtract", "*": "bq_multiply", "/": "bq_divide"][sign] ?? ""
            let kind = isExact ? "INT64" : type.isDecimal && sign != "/" ? "NUMERIC" : "FLOAT64"
            return CompiledExpression(
                "\(name)(\(first.sql), \(second.sql), '\(kind)')",
                isExact ? .int64 : kind == "NUMERIC" ? type : .float64)
        }
    }

    func mismatch(_ name: String, _ arguments: [CompiledExpression], _ position: SQLPosition) -> APIError {
        let types = arguments.map(\.type.name).joined(separator: ", ")
        let kind = name.first?.isLetter ?? false ? "function" : "operator"
        return .invalidQuery("No matching signature for \(kind) \(name) for argument types: \(types) at \(position)")
    }

    func compare(
        _ sign: String, _ left: CompiledExpression, _ right: CompiledExpression, _ position: SQLPosition
    ) throws(APIError) -> CompiledExpression {
        let (first, second) = try unified(sign, left, right, position)
        return CompiledExpression("(\(SQLCoercion.collated(first)) \(sign) \(second.sql))", .bool)
    }

    /// Both sides in their common type. String literals and parameters become dates and times (conversion_rules page).
    func unified(
        _ name: String, _ left: CompiledExpression, _ right: CompiledExpression, _ position: SQLPosition
    ) throws(APIError) -> (CompiledExpression, CompiledExpression) {
        var first = left
        var second = right
        if let coerced = coercedText(first, like: second.type) { first = coerced }
        if let coerced = coercedText(second, like: first.type) { second = coerced }
        guard let type = SQLCoercion.common(first.type, second.type), SQLCoercion.isOrderable(type) else {
            throw mismatch(name, [left, right], position)
        }
        return (converted(first, to: type), converted(second, to: type))
    }

    private func coercedText(_ text: CompiledExpression, like other: SQLType) -> CompiledExpression? {
        guard text.type == .string, case .text(let content)? = text.constant, let type = other.type, !other.isArray,
            [.timestamp, .date, .datetime, .time].contains(type), let value = SQLCoercion.value(content, as: type)
        else { return nil }
        return CompiledExpression(bind(value), other)
    }

    /// Between types that go together: integers into decimals and floats, decimals into floats, DATE into DATETIME.
    private func converted(_ value: CompiledExpression, to type: SQLType) -> CompiledExpression {
        guard value.type != type, let from = value.type.type else { return CompiledExpression(value.sql, type) }
        switch (from, type.type) {
        case (.integer, .numeric), (.integer, .bignumeric):
            return CompiledExpression("CAST(\(value.sql) AS TEXT)", type)
        case (.numeric, .float), (.bignumeric, .float): return CompiledExpression("CAST(\(value.sql) AS REAL)", type)
        case (.date, .datetime): return CompiledExpression("(\(value.sql) || 'T00:00:00')", type)
        default: return CompiledExpression(value.sql, type)
        }
    }

    func coerce(_ value: CompiledExpression, to type: SQLType) throws(APIError) -> CompiledExpression {
        if value.type == type || value.type.type == nil { return CompiledExpression(value.sql, type) }
        if let coerced = coercedText(value, like: type) { return coerced }
        guard SQLCoercion.common(value.type, type) == type else {
            throw .invalidQuery("Expected an expression of type \(type.name), found \(value.type.name)")
        }
        return converted(value, to: type)
    }

    // MARK: IN, BETWEEN, LIKE

    private func membership(_ expression: SQLExpression, in scope: SQLScope) throws(APIError) -> CompiledExpression {
        switch expression {
        case .between(let value, let low, let high, let position):
            let compiled = try self.expression(value, in: scope)
            let above = try compare(">=", compiled, try self.expression(low, in: scope), position)
            let below = try compare("<=", compiled, try self.expression(high, in: scope), position)
            return CompiledExpression("(\(above.sql) AND \(below.sql))", .bool)
        case .inList(let value, let items, let position):
            let compiled = try self.expression(value, in: scope)
            let others = try items.map { item throws(APIError) in try self.expression(item, in: scope) }
            let (unified, type) = try common("IN", [compiled] + others, position)
            guard SQLCoercion.isOrderable(type) else { throw mismatch("IN", [compiled] + others, position) }
            let list = unified.dropFirst().map(\.sql).joined(separator: ", ")
            return CompiledExpression("(\(SQLCoercion.collated(unified[0])) IN (\(list)))", .bool)
        case .inUnnest(let value, let array, let position):
            let compiled = try self.expression(value, in: scope)
            let list = try self.expression(array, in: scope)
            let element = CompiledExpression("value", SQLType(list.type.type))
            guard list.type.isArray, SQLCoercion.common(compiled.type, element.type) != nil else {
                throw mismatch("IN UNNEST", [compiled, list], position)
            }
            let test = compiled.type == .bool ? "bq_nested_bool(value)" : "value"
            return CompiledExpression("(\(compiled.sql) IN (SELECT \(test) FROM json_each(\(list.sql))))", .bool)
        case .inQuery(let value, let query, let position):
            let compiled = try self.expression(value, in: scope)
            let list = try compile(query, in: scope)
            guard list.columns.count == 1 else {
                throw .invalidQuery("Subquery of type IN must have only one output column at \(position)")
            }
            guard SQLCoercion.common(compiled.type, list.columns[0].type) != nil else {
                throw mismatch("IN", [compiled, CompiledExpression("", list.columns[0].type)], position)
            }
            return CompiledExpression("(\(compiled.sql) IN (\(list.sql)))", .bool)
        case .like(let value, let pattern, let position):
            let compiled = try self.expression(value, in: scope)
            let like = try self.expression(pattern, in: scope)
            guard compiled.type == .string, like.type == .string else {
                throw mismatch("LIKE", [compiled, like], position)
            }
            return CompiledExpression("bq_like(\(compiled.sql), \(like.sql))", .bool)
        default: throw .invalidQuery("This expression is not supported by the sandbox.")
        }
    }

    // MARK: CASE, CAST, arrays

    private func branches(
        _ operand: SQLExpression?, _ branches: [SQLBranch], _ otherwise: SQLExpression?, _ position: SQLPosition,
        in scope: SQLScope
    ) throws(APIError) -> CompiledExpression {
        let value = try operand.map { operand throws(APIError) in try expression(operand, in: scope) }
        var conditions: [String] = []
        var results: [CompiledExpression] = []
        for branch in branches {
            if let value {
                conditions.append(try compare("=", value, try expression(branch.condition, in: scope), position).sql)
            } else {
                conditions.append(try boolean(branch.condition, clause: "WHEN", in: scope))
            }
            results.append(try expression(branch.result, in: scope))
        }
        if let otherwise { results.append(try expression(otherwise, in: scope)) }
        let (unified, type) = try common("CASE", results, position)
        var sql = "(CASE"
        for (condition, result) in zip(conditions, unified) { sql += " WHEN \(condition) THEN \(result.sql)" }
        if otherwise != nil, let last = unified.last { sql += " ELSE \(last.sql)" }
        return CompiledExpression(sql + " END)", type)
    }

    /// All values in their common type.
    func common(
        _ name: String, _ values: [CompiledExpression], _ position: SQLPosition
    ) throws(APIError) -> ([CompiledExpression], SQLType) {
        var type = SQLType(nil)
        for value in values where value.constant == nil || value.type != .string {
            guard let next = SQLCoercion.common(type, value.type) else { throw mismatch(name, values, position) }
            type = next
        }
        if type.type == nil { type = values.first { $0.type.type != nil }?.type ?? type }
        let target = type
        return (try values.map { value throws(APIError) in try coerce(value, to: target) }, target)
    }

    func cast(
        _ value: CompiledExpression, to type: FieldType, isSafe: Bool, _ position: SQLPosition
    ) throws(APIError) -> CompiledExpression {
        guard !value.type.isArray, let from = value.type.type else { return CompiledExpression("NULL", SQLType(type)) }
        guard SQLFunctions.canCast(from, type) else {
            throw .invalidQuery("Invalid cast from \(from.sqlName) to \(type.sqlName) at \(position)")
        }
        if from == type { return CompiledExpression(value.sql, SQLType(type)) }
        return CompiledExpression(
            "bq_cast(\(value.sql), '\(from.rawValue)', '\(type.rawValue)', \(isSafe ? 1 : 0))", SQLType(type))
    }

    private func array(_ items: [SQLExpression], in scope: SQLScope) throws(APIError) -> CompiledExpression {
        let compiled = try items.map { item throws(APIError) in try expression(item, in: scope) }
        let (unified, type) = try common("ARRAY", compiled, SQLPosition())
        return CompiledExpression(
            "json_array(\(unified.map(\.sql).joined(separator: ", ")))", SQLType(type.type ?? .integer, isArray: true))
    }
}
