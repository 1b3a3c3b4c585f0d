/// Reads go on behind a row by comparing whole values, so the server must sort by whole values too.
extension SQLReader {
    /// Servers sort by so many bytes at least, whatever else is said.
    private static let always = 1024
    /// Up to here a column's declaration is enough; beyond, its values are looked at, for what is reserved grows with the length.
    private static let declared = 16 << 10
    /// No server sorts by more.
    private static let most = 8 << 20

    /// Makes the session sort by all of the key and the watermark; the reader's other sessions follow.
    ///
    /// - Throws: `ExtractError` of kind `.configuration` for values that are too long to be sorted by.
    func sortWholeValues() async throws {
        let columns =
            (watermark.map { [(column: $0, term: grammar.term($0, bytewise: true))] } ?? [])
            + zip(keyPositions, keyTerms).map { (column: $0, term: $1) }
        let long = columns.filter { $0.column.mostSortedBytes > Self.declared }
        var bytes =
            columns.map(\.column.mostSortedBytes).filter { $0 <= Self.declared }.max() ?? 0
        if !long.isEmpty, let query = grammar.sortedBytes(long.map(\.term), of: table.relation) {
            let found = try await session.firstRow(of: query) ?? []
            let longest = found.compactMap { $0.flatMap { Int($0) } }.max() ?? 0
            guard longest <= Self.most else {
                throw ExtractError(
                    .configuration,
                    "stream \(run.stream.name) can't be read in the order of \(long.map(\.column.name).joined(separator: ", ")): \(table.subject) has values there of \(longest) bytes, and the server sorts by the first \(Self.most) alone",
                    at: .stream(watermark == nil ? "key" : "watermark"), hint: "name shorter columns")
            }
            // Longer ones may come while it is read.
            bytes = max(bytes, min(longest * 2, Self.most))
        }
        guard bytes > Self.always, let statement = grammar.sorting(bytes: bytes, terms: columns.count) else { return }
        _ = try await session.firstRow(of: statement)
        sorting = statement
    }
}
