/// Checks that need more than one value.
extension ConfigurationDecoder {
    /// Two streams into one table, or a table that is another stream's view.
    func check(_ streams: [StreamConfiguration], destination: DestinationConfiguration) throws(Failure) {
        var owners: [String: StreamConfiguration] = [:]
        for stream in streams {
            if let other = owners[stream.table] {
                throw failure(
                    stream,
                    "the streams \"\(other.name)\" and \"\(stream.name)\" both go into the table"
                        + " \"\(stream.table)\"")
            }
            owners[stream.table] = stream
        }
        guard destination.keepsLatestViews else { return }
        for stream in streams {
            guard let table = owners["\(stream.table)_latest"] else { continue }
            throw failure(
                table, "the table \"\(table.table)\" is the latest view of the stream \"\(stream.name)\"",
                hint: "Set another `table`, or turn views off: destination.latest_views: false.")
        }
    }

    private func failure(_ stream: StreamConfiguration, _ problem: String, hint: String? = nil) -> Failure {
        let key = "\(stream.path).\(Key.Stream.table.name)"
        return reader.failure(
            at: key, line: reader.lines[key] ?? reader.lines[stream.path], problem,
            hint: hint ?? "Give one of them another `table`.")
    }

    /// `rename`: from and to are column names, and no two columns end up with one name.
    func rename(of section: ConfigurationSection, fields: FieldSelection) throws(Failure) -> [String: String] {
        let key = Key.Stream.rename
        var rename: [String: String] = [:]
        var targets: [String: String] = [:]
        let pairs = try section.map(key)
        for (name, target, line) in pairs {
            let path = "\(section.path).\(key.name)"
            guard ColumnNames.isValid(name) else {
                throw reader.failure(
                    at: path, line: line, "\"\(name)\" is no column name",
                    hint: "rename goes by column names; this field's is \"\(ColumnNames.sanitized(name))\".")
            }
            guard ColumnNames.isValid(target) else {
                throw reader.failure(
                    at: "\(path).\(name)", line: line, "\"\(target)\" is no column name",
                    hint: "Letters, digits and _, no digit in front, at most 300 characters, no reserved prefix.")
            }
            if let other = targets.updateValue(name, forKey: target.lowercased()) {
                throw reader.failure(
                    at: path, line: line, "\"\(other)\" and \"\(name)\" would both become \"\(target)\"")
            }
            rename[name] = target
        }
        for (name, target, line) in pairs {
            if let other = unrenamed(target, from: name, rename: rename, fields: fields) {
                throw reader.failure(
                    at: "\(section.path).\(key.name)", line: line,
                    "\"\(name)\" would become \"\(target)\", which is the name of another column",
                    hint: "Rename \"\(other)\" too, or choose another name.")
            }
        }
        return rename
    }

    /// The column that already has the name a rename gives, as far as the file tells: a metadata column or a chosen one.
    private func unrenamed(
        _ target: String, from name: String, rename: [String: String], fields: FieldSelection
    ) -> String? {
        var columns = MetadataColumn.types.keys.sorted()
        if case .only(let chosen) = fields { columns += chosen.map(ColumnNames.sanitized) }
        return columns.first { $0.lowercased() == target.lowercased() && $0 != name && rename[$0] == nil }
    }

    /// `types`: by final column name; metadata columns keep theirs.
    func types(of section: ConfigurationSection, rename: [String: String]) throws(Failure) -> [String: ColumnType] {
        let path = "\(section.path).\(Key.Stream.types.name)"
        let finalNames = Set(rename.values)
        var types: [String: ColumnType] = [:]
        for (name, text, line) in try section.map(Key.Stream.types) {
            guard let type = ColumnType(name: text) else {
                let nearest = NearestName.of(text, among: ColumnType.acceptedNames) ?? ""
                throw reader.failure(
                    at: "\(path).\(name)", line: line, "\"\(text)\" is no BigQuery type, did you mean \"\(nearest)\"?",
                    hint: "Types: \(ColumnType.allCases.map(\.rawValue).joined(separator: ", ")).")
            }
            guard ColumnNames.isValid(name) else {
                throw reader.failure(
                    at: path, line: line, "\"\(name)\" is no column name",
                    hint: "types goes by final column names; this field's is \"\(ColumnNames.sanitized(name))\".")
            }
            if let target = rename[name], !finalNames.contains(name) {
                throw reader.failure(
                    at: "\(path).\(name)", line: line, "the column \"\(name)\" is renamed to \"\(target)\"",
                    hint: "types goes by final column names: write \(target): \(type.rawValue).")
            }
            let origin = rename.first { $0.value == name }?.key ?? name
            if let own = MetadataColumn.types[origin], own != type {
                throw reader.failure(
                    at: "\(path).\(name)", line: line, "the metadata column \"\(origin)\" is always \(own.rawValue)",
                    hint: "Remove the entry.")
            }
            types[name] = type
        }
        return types
    }
}
