internal import Transport

/// The view `<table>_latest`: one row per key, the newest, without deleted ones; for full-mode streams the rows of one whole snapshot
/// (contract section 5).
struct LatestView: Sendable, Equatable {
    enum Content: Sendable, Equatable {
        /// The newest row of each value of a column, as the expressions below; `version` orders before the time of extraction.
        case newest(key: String, version: String?)
        /// The rows of one run, each once.
        case snapshot(run: String)
    }

    static let suffix = "_latest"

    var table: TableReference
    var content: Content
    // Each of every row, in SQL: `TablePlanner.expression`.
    var extractedAt: String
    var runID: String
    var operation: String
    var insertID: String
    /// What changes with the table's columns: BigQuery fixes a view's columns when the view is written, so it is written anew with them.
    var schema: String
    /// The table's, in lower case.
    var columns: Set<String>

    var reference: TableReference {
        TableReference(project: table.project, dataset: table.dataset, table: table.table + Self.suffix)
    }

    /// The view's SQL behind a line that tells whether anybody has edited it since.
    var query: String {
        let body = "-- columns \(Self.digest(schema))\n\(sql)"
        return "\(Self.mark(of: body))\n\(body)"
    }

    private var sql: String {
        let key: String
        let order: [String]
        let condition: String
        switch content {
        case .newest(let column, let version):
            // Rows of a table without a key have none in their column: each stands for itself.
            let isKeyed = version != nil || column == insertID
            key = isKeyed ? column : "COALESCE(\(column), \(insertID))"
            order = ([version].compactMap { $0 } + [extractedAt]).map { "\($0) DESC" }
            condition = ""
        case .snapshot(let run):
            key = insertID
            order = ["\(extractedAt) DESC"]
            condition = " WHERE \(runID) = '\(run.filter { $0 != "'" && $0 != "\\" })'"
        }
        var rank = "etlctl_rank"
        while columns.contains(rank) { rank += "_" }
        return """
            SELECT * EXCEPT (\(rank)) FROM (
              SELECT *, ROW_NUMBER() OVER (PARTITION BY \(key) ORDER BY \(order.joined(separator: ", "))) AS \(rank)
              FROM \(table.quoted)\(condition)
            )
            WHERE \(rank) = 1 AND \(operation) != 'delete'
            """
    }

    /// Whether a view's SQL is as etlctl wrote it, whenever and from whichever spool.
    static func isOurs(_ query: String) -> Bool {
        guard let end = query.firstIndex(of: "\n") else { return false }
        return query[..<end] == mark(of: String(query[query.index(after: end)...]))
    }

    private static func mark(of body: String) -> String {
        "-- latest rows, kept by etlctl; an edited view is left alone (\(digest(body)))"
    }

    private static func digest(_ text: String) -> String {
        String(Digest.hex(Digest.sha256(Array(text.utf8))).prefix(16))
    }
}
