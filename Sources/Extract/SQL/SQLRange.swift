internal import JSONBytes

/// A part of a table in the order of its key, and how far it has been read.
struct SQLRange: Equatable {
    /// The key of the last row stored; at first the one before the range; nil: from the first row.
    var after: [String]?
    /// The key of the last row that belongs to the range; nil: to the last row.
    var through: [String]?
    var isDone = false

    init(after: [String]? = nil, through: [String]? = nil) {
        self.after = after
        self.through = through
    }

    init(_ json: JSONValue) {
        after = json["after"]?.arrayValue?.compactMap(\.stringValue)
        through = json["through"]?.arrayValue?.compactMap(\.stringValue)
        isDone = json["done"]?.boolValue ?? false
    }

    var json: JSONValue {
        func optional(_ key: [String]?) -> JSONValue { key.map { .array($0.map(JSONValue.string)) } ?? .null }
        return .init([("after", optional(after)), ("through", optional(through)), ("done", .bool(isDone))])
    }
}

/// Cuts a table into ranges of its key for several readers.
struct SQLSplitter {
    let reader: SQLReader

    /// As many ranges as readers, of about the same number of rows each; one for a small table or one without a key.
    ///
    /// Takes one walk over the key for the count and one for the cuts, both on the server.
    func ranges() async throws -> [SQLRange] {
        let readers = reader.run.stream.parallel
        let relation = reader.table.relation
        guard readers > 1, reader.hasKey,
            let rows = try await reader.session.firstRow(of: "SELECT count(*) FROM \(relation)")?.first?.flatMap({
                Int($0)
            })
        else { return [SQLRange()] }
        let step = max(rows / readers, reader.run.options.fewestRowsPerReader)
        var cuts: [[String]] = []
        while cuts.count + 1 < readers, (cuts.count + 1) * step < rows {
            let conditions = cuts.last.map { [reader.isAfter($0, of: reader.keyPositions)] } ?? []
            let query =
                reader.select(reader.keyPositions, where: conditions, order: reader.keyTerms)
                + " LIMIT 1 OFFSET \(step - 1)"
            guard let cut = try await reader.firstRow(of: query, reader.keyPositions) else { break }
            cuts.append(cut)
        }
        return zip([nil] + cuts, cuts + [nil]).map { SQLRange(after: $0, through: $1) }
    }
}
