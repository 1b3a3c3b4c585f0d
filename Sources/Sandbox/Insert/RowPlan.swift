/// A schema prepared for checking rows: names looked up once, not once per row.
final class RowPlan: Sendable {
    let columns: [ColumnPlan]
    /// Lower-case name to index in `columns`.
    let indexByName: [String: Int]
    let required: [Int]
    /// The column that the table is partitioned by in time, with the range that streaming takes.
    let partitionColumn: Int?

    init(_ fields: [FieldSchema], partitionedBy partitionField: String? = nil) {
        columns = fields.map(ColumnPlan.init)
        indexByName = Dictionary(
            fields.enumerated().map { ($1.name.lowercased(), $0) }, uniquingKeysWith: { first, _ in first })
        required = fields.indices.filter { fields[$0].mode == .required }
        partitionColumn = partitionField.flatMap { [indexByName] in indexByName[$0.lowercased()] }
    }
}

struct ColumnPlan: Sendable {
    let name: String
    let nameBytes: [UInt8]
    let type: FieldType
    let mode: FieldMode
    let maxLength: Int?
    let precision: Int?
    let scale: Int?
    /// The members of a RECORD.
    let members: RowPlan?

    init(_ field: FieldSchema) {
        name = field.name
        nameBytes = Array(field.name.utf8)
        type = field.type
        mode = field.mode
        maxLength = field.maxLength
        precision = field.precision
        scale = field.scale
        members = field.type == .record ? RowPlan(field.fields) : nil
    }
}
