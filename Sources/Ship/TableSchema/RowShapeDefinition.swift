internal import Spool

/// What a spooled value is, as the extractor wrote it into the shape.
package enum SpooledType: String, Sendable, CaseIterable {
    case null = "NULL"
    case bool = "BOOL"
    case int64 = "INT64"
    /// Beyond 2^53-1: a decimal string in the payload.
    case largeInt64 = "INT64_LARGE"
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
    /// JSON text for a JSON column (`nested: json`).
    case json = "JSON"
    /// JSON text for a STRING column (`nested: string`).
    case jsonText = "JSON_TEXT"

    /// The column type that is made for it; nil for null, which tells nothing.
    var columnType: ColumnType? {
        switch self {
        case .null: nil
        case .largeInt64: .int64
        case .jsonText: .string
        default: ColumnType(rawValue: rawValue)
        }
    }

    /// True where the payload holds a JSON string.
    var isText: Bool {
        switch self {
        case .null, .bool, .int64, .float64: false
        default: true
        }
    }
}

/// The metadata columns by their canonical names; in a table they may have others.
package enum MetadataColumn: String, Sendable, CaseIterable {
    case id = "_id"
    case path = "_path"
    case createdAt = "_created_at"
    case updatedAt = "_updated_at"
    case extractedAt = "_extracted_at"
    case runID = "_run_id"
    case operation = "_op"
    case insertID = "_insert_id"
    case rescued = "_rescued"

    var type: ColumnType {
        switch self {
        case .createdAt, .updatedAt, .extractedAt: .timestamp
        default: .string
        }
    }

    var description: String {
        switch self {
        case .id: "The record's id or key in its source"
        case .path: "Where the record stands in its source"
        case .createdAt: "When the document was created"
        case .updatedAt: "When the document was last changed"
        case .extractedAt: "When the row was read from its source"
        case .runID: "The run that read the row"
        case .operation: "upsert, or delete for a record that is gone"
        case .insertID: "The same version of the same record always has the same one"
        case .rescued: "Values that do not fit their columns: a JSON object by column"
        }
    }
}

/// One column of a shape.
struct ShapeColumn: Sendable, Equatable {
    var name: String
    var type: SpooledType
    /// The user pinned the column to this type.
    var isPinned = false
    /// From a source whose values have no types of their own, such as CSV.
    var isUntyped = false
    /// Nil for a field of the source.
    var role: MetadataColumn?
}

/// A shape as the extractor defined it: a line per column in the order of the payload, `name TAB type TAB role`.
struct ShapeDefinition: Sendable {
    var number: Int64
    var rows: Int
    var columns: [ShapeColumn]

    init(number: Int64, rows: Int, columns: [ShapeColumn]) {
        self.number = number
        self.rows = rows
        self.columns = columns
    }

    init?(_ shape: RowShape) {
        self.init(number: shape.number, rows: shape.rows, definition: shape.definition)
    }

    /// Nil for a definition this version does not know how to read.
    init?(number: Int64, rows: Int, definition: String) {
        self.number = number
        self.rows = rows
        columns = []
        for line in definition.split(separator: "\n", omittingEmptySubsequences: true) {
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard parts.count == 3, !parts[0].isEmpty else { return nil }
            var name = parts[1]
            let isUntyped = name.hasPrefix("?")
            if isUntyped { name.removeFirst() }
            let isPinned = name.hasSuffix("!")
            if isPinned { name.removeLast() }
            guard let type = SpooledType(rawValue: String(name)) else { return nil }
            let role = parts[2].isEmpty ? nil : MetadataColumn(rawValue: String(parts[2]))
            guard parts[2].isEmpty || role != nil else { return nil }
            columns.append(
                ShapeColumn(
                    name: String(parts[0]), type: type, isPinned: isPinned, isUntyped: isUntyped, role: role))
        }
    }
}
