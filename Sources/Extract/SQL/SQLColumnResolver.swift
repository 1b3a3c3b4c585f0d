internal import Spool

/// Finds the columns that a stream's configuration names.
struct SQLColumnResolver {
    let table: SQLTable
    let stream: ExtractRequest

    /// - Parameter role: the configuration's key that names it.
    func column(_ name: String, _ role: String) throws -> SQLColumn {
        if let column = table.columns.first(where: { $0.name.exact == name.exact }) { return column }
        let near = table.columns.first { $0.name.lowercased() == name.lowercased() }?.name
        throw ExtractError(
            .configuration, "\(role): \(name) of stream \(stream.name): \(table.subject) has no column of that name",
            at: .stream(role),
            hint: near.map { "did you mean \($0)? names are taken as they are, in upper and lower case" }
                ?? "its columns: " + table.columns.prefix(50).map(\.name).joined(separator: ", "))
    }

    func checkSelection() throws {
        for name in stream.columns ?? [] { _ = try column(name, "columns") }
        for name in stream.exclude { _ = try column(name, "exclude") }
    }
}
