internal import JSONBytes

/// BigQuery's column types under their current names; responses use the legacy ones too (`INTEGER`, `FLOAT`, `BOOLEAN`, `STRUCT`).
package enum ColumnType: String, Sendable, Equatable, CaseIterable {
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
    /// A type that we never fill, such as RANGE.
    case other = "OTHER"

    package init(name: String) {
        switch name.uppercased() {
        case "INTEGER": self = .int64
        case "FLOAT": self = .float64
        case "BOOLEAN": self = .bool
        case "STRUCT": self = .record
        case "DECIMAL": self = .numeric
        case "BIGDECIMAL": self = .bignumeric
        case let name: self = ColumnType(rawValue: name) ?? .other
        }
    }
}

/// One column of a table, or one field of a RECORD.
package struct ColumnSchema: Sendable, Equatable {
    package enum Mode: String, Sendable {
        case nullable = "NULLABLE"
        case required = "REQUIRED"
        case repeated = "REPEATED"
    }

    package var name: String
    package var type: ColumnType
    package var mode = Mode.nullable
    package var description: String?
    package var fields: [ColumnSchema] = []
    /// Of NUMERIC and BIGNUMERIC, where the column limits them.
    package var precision: Int?
    package var scale: Int?
    /// Of STRING (characters) and BYTES (bytes).
    package var maximumLength: Int?

    package init(_ name: String, _ type: ColumnType, description: String? = nil) {
        self.name = name
        self.type = type
        self.description = description
    }

    init?(_ json: JSONValue) {
        guard let name = json["name"]?.stringValue, let type = json["type"]?.stringValue else { return nil }
        self.name = name
        self.type = ColumnType(name: type)
        mode = json["mode"]?.stringValue.flatMap { Mode(rawValue: $0.uppercased()) } ?? .nullable
        description = json["description"]?.stringValue
        fields = json["fields"]?.arrayValue?.compactMap(ColumnSchema.init) ?? []
        precision = json["precision"]?.intValue.map(Int.init)
        scale = json["scale"]?.intValue.map(Int.init)
        maximumLength = json["maxLength"]?.intValue.map(Int.init)
    }

    /// As `tables.insert` and `tables.patch` take it. Only what etlctl itself creates: nullable columns without nested fields.
    var creation: JSONValue {
        var members = [
            JSONMember("name", .string(name)), JSONMember("type", .string(type.rawValue)),
            JSONMember("mode", .string(mode.rawValue)),
        ]
        if let description {
            // 1,024 characters are the documented limit (tables reference); counted in UTF-16 units here, which are never fewer.
            members.append(JSONMember("description", .string(description.limited(toUTF16: 1024))))
        }
        return .object(members)
    }

    /// Name, type and mode, nested ones included: what decides whether a row fits. Descriptions may change freely.
    var signature: String {
        let inner = fields.isEmpty ? "" : "(\(fields.map(\.signature).joined(separator: ",")))"
        let limits = [precision, scale, maximumLength].map { $0.map(String.init) ?? "" }.joined(separator: "/")
        return "\(name) \(type.rawValue) \(mode.rawValue) \(limits)\(inner)"
    }

    /// The columns that a table's `schemaSignature` is of, in lower case.
    static func names(inSignature signature: String) -> Set<String> {
        Set(signature.split(separator: "\n").map { $0.prefix { $0 != " " }.lowercased() })
    }

    /// Columns including nested ones, as BigQuery counts them.
    var width: Int { fields.reduce(1) { $0 + $1.width } }
}

extension String {
    /// At most so many UTF-16 units, cut between characters.
    func limited(toUTF16 limit: Int) -> String {
        guard utf16.count > limit else { return self }
        var result = ""
        var used = 0
        for character in self {
            used += character.utf16.count
            if used > limit { break }
            result.append(character)
        }
        return result
    }
}
