/// How one BigQuery table lies in SQLite: a table named `project.dataset.table` with a column for each column.
///
/// Hidden columns begin with `$`, which no column name of BigQuery can hold: `$id` (order of arrival), `$time` (arrival, microseconds since
/// 1970), `$insert_id`, and `$more`, a JSON object with the values of the columns beyond `maximumColumns`.
struct TableLayout: Sendable {
    /// SQLite's limit is 2,000 columns (limits page); some room is left for the hidden ones.
    static let maximumColumns = 1_900

    let tableName: String
    let fields: [FieldSchema]
    let insertSQL: String

    init(_ key: TableKey, _ fields: [FieldSchema]) {
        tableName = key.description
        self.fields = fields
        let direct = fields.prefix(Self.maximumColumns)
        let names = ["\"$time\"", "\"$insert_id\"", "\"$more\""] + direct.map { Self.quoted($0.name) }
        let marks = Array(repeating: "?", count: names.count)
        insertSQL =
            "INSERT INTO \(Self.quoted(key.description)) (\(names.joined(separator: ","))) VALUES (\(marks.joined(separator: ",")))"
    }

    var quotedName: String { Self.quoted(tableName) }

    var directFields: ArraySlice<FieldSchema> { fields.prefix(Self.maximumColumns) }

    static func quoted(_ name: String) -> String {
        "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    static func columnDefinition(_ field: FieldSchema) -> String {
        "\(quoted(field.name)) \(ColumnCodec.declaration(field))"
    }
}
