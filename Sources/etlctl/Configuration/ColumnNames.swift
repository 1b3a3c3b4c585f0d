/// The columns that etlctl adds to every row, with their types.
enum MetadataColumn {
    static let types: [String: ColumnType] = [
        "_id": .string, "_path": .string, "_created_at": .timestamp, "_updated_at": .timestamp,
        "_extracted_at": .timestamp, "_run_id": .string, "_op": .string, "_insert_id": .string, "_rescued": .string,
    ]
}

/// BigQuery's strict rule for column names, as far as the configuration needs it.
enum ColumnNames {
    static let maximumLength = 300
    /// In any case.
    static let reservedPrefixes = [
        "_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER", "_CHANGE_SEQUENCE_NUMBER",
        "_CHANGE_TYPE", "_CHANGE_TIMESTAMP",
    ]

    static func isValid(_ name: String) -> Bool {
        guard let first = name.unicodeScalars.first, !("0"..."9").contains(first),
            name.unicodeScalars.count <= maximumLength
        else { return false }
        return name.unicodeScalars.allSatisfy(TableName.isPlain) && !hasReservedPrefix(name)
    }

    static func hasReservedPrefix(_ name: String) -> Bool {
        let upper = name.uppercased()
        return reservedPrefixes.contains { upper.hasPrefix($0) }
    }

    /// The column a field gets before clashes and lengths are dealt with: enough to say which name was meant.
    static func sanitized(_ field: String) -> String {
        var name = field.isEmpty ? "_" : TableName.derived(from: field)
        if let first = name.unicodeScalars.first, ("0"..."9").contains(first) { name = "_" + name }
        return hasReservedPrefix(name) ? "c_" + name : name
    }
}
