internal import Spool

/// What the key of a stream must be for reads that go by it.
extension SQLReader {
    /// Looks whether a key that only the configuration vouches for has nulls or repeats. Reads that begin behind a key would pass such rows
    /// over; a read from the first to the last row finds them by itself.
    ///
    /// - Throws: `ExtractError` of kind `.configuration` that names the key.
    func checkKey() async throws {
        guard hasKey, key.map(\.name.exact) != table.primaryKey.map(\.exact) else { return }
        let nulls = key.map { "\(grammar.quoted($0.name)) IS NULL" }.joined(separator: " OR ")
        if try await firstRow(of: select(key, where: [nulls], order: []) + " LIMIT 1", key) != nil {
            throw ExtractError(
                .configuration,
                "the key of stream \(run.stream.name) is not unique: a row of \(table.subject) has no value in it",
                at: .stream("key"), hint: "set key: to columns without nulls")
        }
        let terms = keyTerms.joined(separator: ", ")
        let query = select(key, where: [], order: []) + " GROUP BY \(terms) HAVING count(*) > 1 LIMIT 1"
        if let repeated = try await firstRow(of: query, key) {
            throw ExtractError.repeatedKey(repeated.joined(separator: ", "), stream: run.stream)
        }
    }
}
