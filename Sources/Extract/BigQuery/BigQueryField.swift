internal import JSONBytes

/// One field of a result's schema.
struct BigQueryField: Sendable, Equatable {
    enum Kind: String, Sendable {
        case bool = "BOOL"
        case int64 = "INT64"
        case float64 = "FLOAT64"
        case numeric = "NUMERIC"
        case bignumeric = "BIGNUMERIC"
        case string = "STRING"
        case bytes = "BYTES"
        case date = "DATE"
        case time = "TIME"
        case datetime = "DATETIME"
        case timestamp = "TIMESTAMP"
        case geography = "GEOGRAPHY"
        case json = "JSON"
        case record = "RECORD"
        /// INTERVAL, RANGE, and what BigQuery may invent: its text.
        case other = "OTHER"

        /// By either of the API's names for a type.
        init(apiName: String) {
            switch apiName.uppercased() {
            case "BOOLEAN": self = .bool
            case "INTEGER": self = .int64
            case "FLOAT": self = .float64
            case "STRUCT": self = .record
            case let name: self = Kind(rawValue: name) ?? .other
            }
        }
    }

    var name: String
    var kind: Kind
    var isRepeated: Bool
    /// Of a record, in the order of the schema.
    var fields: [BigQueryField]
    /// Places of `fields`, sorted bytewise by name.
    var sorted: [Int]

    init(_ json: JSONValue) {
        name = json["name"]?.stringValue ?? ""
        kind = Kind(apiName: json["type"]?.stringValue ?? "")
        isRepeated = json["mode"]?.stringValue?.uppercased() == "REPEATED"
        let fields = Self.list(json["fields"])
        self.fields = fields
        sorted = fields.indices.sorted {
            fields[$0].name.utf8.lexicographicallyPrecedes(fields[$1].name.utf8)
        }
    }

    /// The fields of a `schema` or `fields` member.
    static func list(_ json: JSONValue?) -> [BigQueryField] { (json?.arrayValue ?? []).map(BigQueryField.init) }
}
