internal import JSONBytes

/// How column values are kept in SQLite and shown in JSON.
///
/// Kept: INTEGER, BOOLEAN (0, 1) and TIMESTAMP (microseconds since 1970) as integers; FLOAT as a real (NaN as the text `NaN`, since
/// SQLite takes NaN for NULL); BYTES as a blob; the others as canonical text; RECORD and REPEATED as JSON text, in which the same forms
/// are used.
enum ColumnCodec {
    /// The affinity of a column, by the rules of SQLite's datatype page.
    static func declaration(_ field: FieldSchema) -> String {
        guard field.mode != .repeated else { return "TEXT" }
        return switch field.type {
        case .integer, .boolean, .timestamp: "INTEGER"
        case .float: "REAL"
        case .bytes: "BLOB"
        default: "TEXT"
        }
    }

    // MARK: For tests and `/sandbox/state`

    /// The value in the form in which a client would have sent it.
    static func plain(_ value: SQLValue, _ field: FieldSchema) -> JSONValue {
        if field.mode == .repeated || field.type == .record { return plainNested(nested(value), field) }
        return switch value {
        case .null: .null
        case .integer(let number): plain(number, field.type)
        case .real(let number): number.isFinite ? .number("\(number)") : .string(FloatText.text(number))
        case .text(let text): .string(text)
        case .blob(let bytes): .string(Base64.encode(bytes))
        }
    }

    private static func plain(_ number: Int64, _ type: FieldType) -> JSONValue {
        switch type {
        case .boolean: .bool(number != 0)
        case .timestamp: .string(CivilTime.timestampText(number))
        case .float: .number("\(Double(number))")
        default: .number(String(number))
        }
    }

    private static func plainNested(_ value: JSONValue, _ field: FieldSchema) -> JSONValue {
        if field.mode == .repeated {
            var item = field
            item.mode = .nullable
            return .array((value.arrayValue ?? []).map { plainNested($0, item) })
        }
        if value.isNull { return .null }
        if field.type == .record {
            return .object(field.fields.map { JSONMember($0.name, plainNested(value[$0.name] ?? .null, $0)) })
        }
        if field.type == .timestamp, let number = value.intValue { return plain(number, .timestamp) }
        return value
    }

    // MARK: For replies

    /// The value as a cell's `v` (jobs.query and tabledata.list reference pages).
    static func wire(_ value: SQLValue, _ field: FieldSchema, _ format: CellFormat) -> JSONValue {
        if field.mode == .repeated || field.type == .record { return wireNested(nested(value), field, format) }
        return switch value {
        case .null: .null
        case .integer(let number): .string(wire(number, field.type, format))
        case .real(let number):
            // An aggregate over integers may come out as a real.
            .string(field.type == .float ? FloatText.text(number) : DecimalText("\(number)")?.text ?? "\(number)")
        case .text(let text): .string(wire(text, field.type))
        case .blob(let bytes): .string(Base64.encode(bytes))
        }
    }

    /// A fraction of a second has no digits or six: Google's own clients take no other number.
    private static func wire(_ text: String, _ type: FieldType) -> String {
        guard type == .time || type == .datetime, let point = text.lastIndex(of: ".") else { return text }
        return text + String(repeating: "0", count: 7 - text[point...].count)
    }

    private static func wire(_ number: Int64, _ type: FieldType, _ format: CellFormat) -> String {
        switch type {
        case .boolean: number != 0 ? "true" : "false"
        case .timestamp: format.timestamp(number)
        case .float: "\(Double(number))"
        default: String(number)
        }
    }

    private static func wireNested(_ value: JSONValue, _ field: FieldSchema, _ format: CellFormat) -> JSONValue {
        if field.mode == .repeated {
            var item = field
            item.mode = .nullable
            return .array((value.arrayValue ?? []).map { ["v": wireNested($0, item, format)] })
        }
        if value.isNull { return .null }
        switch field.type {
        case .record:
            let cells = field.fields.map { member -> JSONValue in
                ["v": wireNested(value[member.name] ?? .null, member, format)]
            }
            return ["f": .array(cells)]
        case .integer, .timestamp: return .string(value.intValue.map { wire($0, field.type, format) } ?? value.text)
        case .boolean: return .string(value == true ? "true" : "false")
        case .float: return .string(value.stringValue ?? value.text)
        default: return .string(wire(value.stringValue ?? value.text, field.type))
        }
    }

    private static func nested(_ value: SQLValue) -> JSONValue {
        guard case .text(let text) = value, let parsed = try? JSONValue(parsing: text) else { return .null }
        return parsed
    }
}

/// How replies show TIMESTAMP values (DataFormatOptions).
enum CellFormat: Sendable {
    /// Seconds as a floating-point number: microseconds are lost for times far from 1970.
    case seconds
    /// Microseconds, with `useInt64Timestamp`.
    case microseconds
    /// `timestampOutputFormat=ISO8601_STRING`.
    case iso8601

    func timestamp(_ microseconds: Int64) -> String {
        switch self {
        case .seconds: return FloatText.scientific(Double(microseconds) / 1_000_000)
        case .microseconds: return String(microseconds)
        case .iso8601:
            let (days, rest) = CivilTime.split(microseconds)
            let whole = CivilTime.timeText(microseconds: rest - rest % 1_000_000)
            let digits = String(rest % 1_000_000)
            let fraction = String(repeating: "0", count: 6 - digits.count) + digits
            return "\(CivilTime.dateText(days: days))T\(whole).\(fraction)000000Z"
        }
    }
}
