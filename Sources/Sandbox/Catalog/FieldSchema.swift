internal import JSONBytes

/// A column's type. Raw values are the names that replies carry (TableFieldSchema.type in the reference).
enum FieldType: String, Sendable {
    case string = "STRING"
    case bytes = "BYTES"
    case integer = "INTEGER"
    case float = "FLOAT"
    case boolean = "BOOLEAN"
    case timestamp = "TIMESTAMP"
    case date = "DATE"
    case time = "TIME"
    case datetime = "DATETIME"
    case geography = "GEOGRAPHY"
    case numeric = "NUMERIC"
    case bignumeric = "BIGNUMERIC"
    case json = "JSON"
    case record = "RECORD"
    case range = "RANGE"

    /// From any name that the API takes, in any case.
    init?(apiName: String) {
        switch apiName.uppercased() {
        case "INT64", "INT", "SMALLINT", "BIGINT", "TINYINT", "BYTEINT": self = .integer
        case "FLOAT64": self = .float
        case "BOOL": self = .boolean
        case "STRUCT": self = .record
        case "DECIMAL": self = .numeric
        case "BIGDECIMAL": self = .bignumeric
        case let other:
            guard let type = FieldType(rawValue: other) else { return nil }
            self = type
        }
    }

    /// The SQL dialect's name.
    var sqlName: String {
        switch self {
        case .integer: "INT64"
        case .float: "FLOAT64"
        case .boolean: "BOOL"
        case .record: "STRUCT"
        default: rawValue
        }
    }
}

enum FieldMode: String, Sendable {
    case nullable = "NULLABLE"
    case required = "REQUIRED"
    case repeated = "REPEATED"
}

/// One column, or one member of a RECORD.
struct FieldSchema: Sendable, Equatable {
    var name: String
    var type: FieldType
    var mode: FieldMode = .nullable
    var fields: [FieldSchema] = []
    var maxLength: Int?
    var precision: Int?
    var scale: Int?
    /// Members that are only kept: description, policyTags, defaultValueExpression, rangeElementType ...
    var others: [JSONMember] = []
    /// Whether `mode` was given: replies return what was given.
    var hasMode = true

    /// As in replies.
    var json: JSONValue {
        var members = [JSONMember("name", .string(name)), JSONMember("type", .string(type.rawValue))]
        if hasMode || mode != .nullable { members.append(JSONMember("mode", .string(mode.rawValue))) }
        if type == .record { members.append(JSONMember("fields", .array(fields.map(\.json)))) }
        if let maxLength { members.append(JSONMember("maxLength", .string(String(maxLength)))) }
        if let precision { members.append(JSONMember("precision", .string(String(precision)))) }
        if let scale { members.append(JSONMember("scale", .string(String(scale)))) }
        members += others
        return .object(members)
    }

    /// Columns counted as the quota counts them: nested ones too.
    var columnCount: Int { fields.reduce(1) { $0 + $1.columnCount } }

    var depth: Int { 1 + (fields.map(\.depth).max() ?? 0) }
}

extension [FieldSchema] {
    var json: JSONValue { ["fields": .array(map(\.json))] }
}
