import Extract

/// The columns that etlctl adds to every row, with their types.
enum MetadataColumn {
    static let types: [String: ColumnType] = [
        "_id": .string, "_path": .string, "_created_at": .timestamp, "_updated_at": .timestamp,
        "_extracted_at": .timestamp, "_run_id": .string, "_op": .string, "_insert_id": .string, "_rescued": .string,
    ]
}

/// BigQuery's strict rule for column names, as far as the configuration needs it.
enum ColumnNames {
    static func isValid(_ name: String) -> Bool { ColumnNaming.isValid(name) }

    /// The column a field gets before clashes are dealt with: enough to say which name was meant.
    static func sanitized(_ field: String) -> String { ColumnNaming.sanitized(field) }
}
