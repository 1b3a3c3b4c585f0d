/// Date and time functions. TIMESTAMP is an integer of microseconds in SQLite, DATE, TIME and DATETIME are canonical text.
extension SQLCompiler {
    func dateFunction(_ call: SQLCall, in scope: SQLScope) throws(APIError) -> CompiledExpression? {
        switch call.name {
        case "CURRENT_TIMESTAMP": return CompiledExpression(bind(.integer(now)), .timestamp)
        case "CURRENT_DATE":
            return CompiledExpression(bind(.text(CivilTime.dateText(days: CivilTime.split(now).days))), SQLType(.date))
        case "CURRENT_DATETIME":
            return CompiledExpression(bind(.text(CivilTime.datetimeText(microseconds: now))), SQLType(.datetime))
        case "TIMESTAMP", "DATE", "DATETIME", "TIME": return try conversion(call, in: scope)
        case "TIMESTAMP_MICROS", "TIMESTAMP_MILLIS", "TIMESTAMP_SECONDS":
            return try scaled(call, in: scope, from: .int64, to: .timestamp)
        case "UNIX_MICROS", "UNIX_MILLIS", "UNIX_SECONDS":
            return try scaled(call, in: scope, from: .timestamp, to: .int64)
        case "TIMESTAMP_TRUNC", "DATE_TRUNC", "DATETIME_TRUNC": return try truncation(call, in: scope)
        case "TIMESTAMP_ADD", "TIMESTAMP_SUB", "DATE_ADD", "DATE_SUB", "DATETIME_ADD", "DATETIME_SUB":
            try require(2...2, call)
            guard case .interval(let amount, let unit) = call.arguments[1] else {
                throw .invalidQuery("\(call.name) needs INTERVAL ... as its second argument at \(call.position)")
            }
            let value = try coerce(try expression(call.arguments[0], in: scope), to: SQLType(type(of: call.name)))
            return try shift(value, by: amount, unit, call.name.hasSuffix("ADD") ? "+" : "-", call.position, in: scope)
        case "TIMESTAMP_DIFF", "DATE_DIFF", "DATETIME_DIFF":
            try require(3...3, call)
            let type = SQLType(type(of: call.name))
            let first = try coerce(try expression(call.arguments[0], in: scope), to: type)
            let second = try coerce(try expression(call.arguments[1], in: scope), to: type)
            let unit = try unit(call.arguments[2], call)
            return CompiledExpression("bq_diff(\(first.sql), \(second.sql), '\(unit)')", .int64)
        case "EXTRACT": return try extraction(call, in: scope)
        case "FORMAT_TIMESTAMP", "FORMAT_DATE", "PARSE_TIMESTAMP", "PARSE_DATE":
            throw .invalidQuery("\(call.name) is not supported by the sandbox, at \(call.position)")
        default: return nil
        }
    }

    private func type(of name: String) -> FieldType {
        name.hasPrefix("DATETIME") ? .datetime : name.hasPrefix("DATE") ? .date : .timestamp
    }

    /// `TIMESTAMP(x)`, `DATE(x)` ...; a zone other than UTC is refused.
    private func conversion(_ call: SQLCall, in scope: SQLScope) throws(APIError) -> CompiledExpression {
        guard let target = FieldType(apiName: call.name) else { throw unknown(call) }
        let arguments = try call.arguments.map { item throws(APIError) in try expression(item, in: scope) }
        if target == .date, arguments.count == 3, arguments.allSatisfy({ $0.type == .int64 }) {
            return CompiledExpression("bq_date(\(arguments.map(\.sql).joined(separator: ", ")))", SQLType(.date))
        }
        try require(1...2, call)
        if arguments.count == 2 { try checkZone(arguments[1], call) }
        return try cast(arguments[0], to: target, isSafe: false, call.position)
    }

    private func checkZone(_ zone: CompiledExpression, _ call: SQLCall) throws(APIError) {
        guard case .text(let name)? = zone.constant, ["UTC", "Etc/UTC", "+00", "+00:00", "Z"].contains(name) else {
            throw .invalidQuery("Time zones other than UTC are not supported by the sandbox, at \(call.position)")
        }
    }

    private func unknown(_ call: SQLCall) -> APIError {
        .invalidQuery("Function not found: \(call.name) at \(call.position)")
    }

    private func scaled(_ call: SQLCall, in scope: SQLScope, from: SQLType, to: SQLType) throws(APIError)
        -> CompiledExpression
    {
        try require(1...1, call)
        let value = try expression(call.arguments[0], in: scope)
        guard value.type == from || value.type.type == nil else { throw mismatch(call.name, [value], call.position) }
        let factor = call.name.hasSuffix("MICROS") ? 1 : call.name.hasSuffix("MILLIS") ? 1000 : 1_000_000
        if from == .int64 { return CompiledExpression("bq_from_unix(\(value.sql), \(factor))", to) }
        // Rounded down, also before 1970.
        return CompiledExpression("bq_floor_divide(\(value.sql), \(factor))", to)
    }

    private func unit(_ expression: SQLExpression, _ call: SQLCall) throws(APIError) -> String {
        guard case .name(let path, _) = expression, path.count == 1, CivilUnit(rawValue: path[0].uppercased()) != nil
        else {
            throw .invalidQuery("A valid date part name is required at \(call.position)")
        }
        return path[0].uppercased()
    }

    private func truncation(_ call: SQLCall, in scope: SQLScope) throws(APIError) -> CompiledExpression {
        try require(2...3, call)
        let value = try expression(call.arguments[0], in: scope)
        let unit = try unit(call.arguments[1], call)
        if call.arguments.count == 3 { try checkZone(try expression(call.arguments[2], in: scope), call) }
        guard let type = value.type.type, [.timestamp, .date, .datetime].contains(type), !value.type.isArray else {
            throw mismatch(call.name, [value], call.position)
        }
        return CompiledExpression("bq_truncate(\(value.sql), '\(unit)')", value.type)
    }

    private func extraction(_ call: SQLCall, in scope: SQLScope) throws(APIError) -> CompiledExpression {
        let value = try expression(call.arguments[1], in: scope)
        guard case .string(let part) = call.arguments[0], let type = value.type.type,
            [.timestamp, .date, .datetime, .time].contains(type)
        else { throw mismatch("EXTRACT", [value], call.position) }
        if part == "DATE" { return try cast(value, to: .date, isSafe: false, call.position) }
        guard CivilUnit(rawValue: part) != nil else {
            throw .invalidQuery("A valid date part name is required but found \(part) at \(call.position)")
        }
        return CompiledExpression("bq_extract(\(value.sql), '\(part)')", .int64)
    }

    /// `x + INTERVAL n unit`.
    func shift(
        _ value: CompiledExpression, by amount: SQLExpression, _ unit: String, _ sign: String,
        _ position: SQLPosition, in scope: SQLScope
    ) throws(APIError) -> CompiledExpression {
        let count = try expression(amount, in: scope)
        guard let type = value.type.type, [.timestamp, .date, .datetime].contains(type), !value.type.isArray,
            count.type == .int64, let part = CivilUnit(rawValue: unit)
        else { throw mismatch(sign, [value, count], position) }
        if type == .timestamp, part.microseconds == nil {
            throw .invalidQuery("TIMESTAMP arithmetic does not support the \(unit) date part at \(position)")
        }
        if type == .date, part.isTime {
            throw .invalidQuery("DATE arithmetic does not support the \(unit) date part at \(position)")
        }
        return CompiledExpression("bq_shift(\(value.sql), \(sign)(\(count.sql)), '\(unit)')", value.type)
    }
}
