internal import Spool

/// The queries that a stream comes down to.
struct BigQueryPlan: Sendable {
    let stream: ExtractRequest
    /// What stands behind FROM: the quoted table, or the stream's query in parentheses.
    let relation: String
    /// For messages.
    let subject: String

    static let lowerName = "etlctl_lower"
    static let upperName = "etlctl_upper"

    init(_ stream: ExtractRequest, project: String) throws {
        self.stream = stream
        if let query = stream.query {
            var text = query[...]
            while let last = text.last, last.isWhitespace || last == ";" { text.removeLast() }
            guard !text.isEmpty else {
                throw ExtractError(.configuration, "the query of stream \(stream.name) is empty")
            }
            // The line break ends a comment that the query may end in.
            relation = "(\n\(text)\n)"
            subject = "BigQuery \(project), the query of stream \(stream.name)"
            return
        }
        let parts = (stream.from ?? "").split(separator: ".", omittingEmptySubsequences: false)
        // A project of a domain has a dot of its own: `example.com:project.dataset.table`.
        guard parts.count >= 2, parts.allSatisfy({ !$0.isEmpty }),
            !(stream.from ?? "").utf8.contains(where: { $0 == UInt8(ascii: "`") || $0 == UInt8(ascii: "\\") })
        else {
            throw ExtractError(
                .configuration, "stream \(stream.name) names no table: \"\(stream.from ?? "")\"",
                hint: "set from: to dataset.table, or query: to a SELECT")
        }
        let name = parts.count == 2 ? "\(project).\(parts.joined(separator: "."))" : parts.joined(separator: ".")
        relation = "`\(name)`"
        subject = "BigQuery \(name)"
    }

    /// Columns that have to come, whatever `columns` and `exclude` say.
    private var needed: [String] {
        stream.key + (stream.mode == .incremental ? stream.watermark.map { [$0] } ?? [] : [])
    }

    /// All columns, without any condition: its dry run tells the schema.
    var probe: BigQueryQuery { BigQueryQuery(text: "SELECT * FROM \(relation)") }

    /// What is read. Only the columns that are wanted: BigQuery bills by column.
    ///
    /// - Parameters:
    ///   - schema: the relation's fields.
    ///   - kind: the watermark's type, where the rows are bounded by it.
    func rows(
        _ schema: [BigQueryField], _ kind: BigQueryField.Kind, lower: BigQueryWatermark?, upper: BigQueryWatermark?,
        isBounded: Bool, isOrdered: Bool
    ) throws -> BigQueryQuery {
        var query = BigQueryQuery(text: "SELECT \(try columns(schema)) FROM \(relation)")
        guard isBounded, let watermark = stream.watermark else { return query }
        let column = Self.quoted(watermark)
        var conditions: [String] = []
        if let lower {
            conditions.append("\(column) >= @\(Self.lowerName)")
            query.parameters.append(lower.parameter(Self.lowerName))
        }
        if let upper {
            conditions.append("\(column) <= @\(Self.upperName)")
            query.parameters.append(upper.parameter(Self.upperName))
        }
        if kind == .float64 { conditions.append(Self.isBelowInfinity(column)) }
        if conditions.isEmpty { conditions.append("\(column) IS NOT NULL") }
        query.text += " WHERE \(conditions.joined(separator: " AND "))"
        if isOrdered { query.text += " ORDER BY \(column)" }
        return query
    }

    /// True for what a FLOAT64 watermark can follow: not for NaN, which compares with nothing, nor for infinity, beyond which no value could
    /// ever be found.
    private static func isBelowInfinity(_ column: String) -> String { "\(column) < CAST('inf' AS FLOAT64)" }

    private func columns(_ schema: [BigQueryField]) throws -> String {
        for name in needed where BigQueryNormalizer.place(of: name, in: schema) == nil {
            throw ExtractError(
                .configuration, "\(subject) has no column \(name)",
                hint: "check key: and watermark: of stream \(stream.name)")
        }
        let isNeeded = Set(needed.map { $0.lowercased().exact })
        let selection = FieldSelection(stream)
        let wanted = schema.filter { field in
            isNeeded.contains(field.name.lowercased().exact) || selection.includes(field.name.exact)
        }
        guard !wanted.isEmpty else {
            throw ExtractError(
                .configuration, "none of the columns that stream \(stream.name) names is in \(subject)",
                hint: "its columns are \(schema.prefix(20).map(\.name).joined(separator: ", "))")
        }
        return wanted.map { Self.quoted($0.name) }.joined(separator: ", ")
    }

    /// What the watermark can't see: rows of the future, and those without a value that it can follow. One row of two numbers.
    func unseen(_ kind: BigQueryField.Kind, upper: BigQueryWatermark?, countsUnseen: Bool) -> BigQueryQuery? {
        guard let watermark = stream.watermark, upper != nil || countsUnseen else { return nil }
        let column = Self.quoted(watermark)
        var query = BigQueryQuery(text: "")
        let future = upper == nil ? "0" : "COUNTIF(\(column) > @\(Self.upperName))"
        let isUnseen = "\(column) IS NULL" + (kind == .float64 ? " OR NOT \(Self.isBelowInfinity(column))" : "")
        let unseen = countsUnseen ? "COUNTIF(\(isUnseen))" : "0"
        query.text = "SELECT \(future) AS future_rows, \(unseen) AS unseen_rows FROM \(relation)"
        if let upper {
            query.parameters.append(upper.parameter(Self.upperName))
            // With the condition, a table that is partitioned by the watermark reads no more than the future.
            if !countsUnseen { query.text += " WHERE \(column) > @\(Self.upperName)" }
        }
        return query
    }

    static let clock = BigQueryQuery(text: "SELECT UNIX_MICROS(CURRENT_TIMESTAMP()) AS now")

    static func quoted(_ name: String) -> String { name.backQuoted }
}
