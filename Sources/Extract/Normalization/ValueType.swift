/// What a value is by the fixed table of rules (contract section 4); its raw value is how a shape spells it.
package enum ValueType: String, Sendable, CaseIterable {
    case null = "NULL"
    case bool = "BOOL"
    case int64 = "INT64"
    /// An INT64 beyond 2^53 - 1, spooled as a decimal string.
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

    /// A number that is this case's alone, in this process.
    @inline(__always)
    var code: UInt8 { withUnsafeBytes(of: self) { $0.load(as: UInt8.self) } }
}

/// The metadata columns, in the order in which they stand in a row (contract section 9).
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

    package var type: ValueType {
        switch self {
        case .createdAt, .updatedAt, .extractedAt: .timestamp
        default: .string
        }
    }
}
