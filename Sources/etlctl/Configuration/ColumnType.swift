/// A BigQuery column type that `types` can pin, by its canonical name.
enum ColumnType: String, Sendable, Equatable, CaseIterable {
    case bool = "BOOL"
    case int64 = "INT64"
    case float64 = "FLOAT64"
    case numeric = "NUMERIC"
    case bigNumeric = "BIGNUMERIC"
    case string = "STRING"
    case bytes = "BYTES"
    case date = "DATE"
    case time = "TIME"
    case dateTime = "DATETIME"
    case timestamp = "TIMESTAMP"
    case geography = "GEOGRAPHY"
    case json = "JSON"

    /// The names of BigQuery's legacy SQL and REST schema that mean the same type.
    static let aliases: [String: ColumnType] = ["BOOLEAN": .bool, "INTEGER": .int64, "FLOAT": .float64]

    /// Every name that is accepted, the canonical ones first.
    static let acceptedNames = allCases.map(\.rawValue) + aliases.keys.sorted()

    /// Accepts the canonical names and BigQuery's own aliases, in any case.
    init?(name: String) {
        let upper = name.uppercased()
        guard let type = ColumnType(rawValue: upper) ?? Self.aliases[upper] else { return nil }
        self = type
    }
}
