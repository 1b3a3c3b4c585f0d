/// What tables.patch and tables.update may change of a schema (managing-table-schemas page): append NULLABLE or REPEATED columns, relax
/// REQUIRED to NULLABLE, change descriptions and the like.
struct SchemaEvolution {
    /// `project:dataset.table`, for messages.
    var tableName: String

    /// - Throws: `APIError` with Google's message for anything else.
    func check(from old: [FieldSchema], to new: [FieldSchema]) throws(APIError) {
        try check(from: old, to: new, path: "")
    }

    private func mismatch(_ text: String) -> APIError {
        .invalid("Provided Schema does not match Table \(tableName). \(text)")
    }

    private func check(from old: [FieldSchema], to new: [FieldSchema], path: String) throws(APIError) {
        for (index, field) in old.enumerated() {
            let name = path + field.name
            guard let position = new.firstIndex(where: { $0.name.lowercased() == field.name.lowercased() }) else {
                throw mismatch("Field \(name) is missing in new schema")
            }
            let changed = new[position]
            guard changed.name == field.name else {
                throw mismatch("Field \(name) has changed name to \(path)\(changed.name)")
            }
            guard position == index else {
                throw mismatch("Field \(name) has changed its position: new columns must follow the existing ones")
            }
            try check(field, changed, name)
        }
        for field in new.dropFirst(old.count) where field.mode == .required {
            throw mismatch("Cannot add required fields to an existing schema. (field: \(path)\(field.name))")
        }
    }

    private func check(_ old: FieldSchema, _ new: FieldSchema, _ name: String) throws(APIError) {
        if old.type != new.type {
            throw mismatch("Field \(name) has changed type from \(old.type.rawValue) to \(new.type.rawValue)")
        }
        if old.mode != new.mode, !(old.mode == .required && new.mode == .nullable) {
            throw mismatch("Field \(name) has changed mode from \(old.mode.rawValue) to \(new.mode.rawValue)")
        }
        if !isNoNarrower(old.maxLength, new.maxLength) || !isNoNarrower(old.precision, new.precision)
            || old.scale != new.scale && !(new.scale == nil && new.precision == nil)
        {
            throw mismatch("Field \(name) has changed its type's parameters to narrower ones")
        }
        if old.type == .record { try check(from: old.fields, to: new.fields, path: name + ".") }
    }

    /// Nil is no limit.
    private func isNoNarrower(_ old: Int?, _ new: Int?) -> Bool {
        guard let new else { return true }
        guard let old else { return false }
        return new >= old
    }
}
