internal import Spool

/// Asks BigQuery which of the rows in doubt are there: one query for many ids, cheap because `_extracted_at` is what tables are partitioned by.
struct Verification: Sendable {
    /// What is known of one request after the question.
    struct Finding: Sendable {
        var request: DeliveryRequest
        var found: [RowID]
        var missing: [RowID]
        /// Set where the request's rows can't be read; nothing was asked about them then.
        var damage: SpoolError?
    }

    /// Ids of one question: some hundred kilobytes of parameters.
    static let idsPerQuestion = 20_000

    var table: TableReference
    var location: String?
    /// Of every row, in SQL: `TablePlan.expression`.
    var extractedAt: String
    var insertID: String

    init(table: TableReference, location: String?, extractedAt: String, insertID: String) {
        self.table = table
        self.location = location
        self.extractedAt = extractedAt
        self.insertID = insertID
    }

    private var sql: String {
        "SELECT \(insertID) FROM \(table.quoted) WHERE \(extractedAt) BETWEEN @from AND @to "
            + "AND \(insertID) IN UNNEST(@ids)"
    }

    /// - Throws: `BigQueryError`; then nothing is known. `SpoolError`.
    func ask(
        about requests: [DeliveryRequest], _ spool: SpoolStore, _ client: BigQueryClient
    ) async throws -> [Finding] {
        var rows: [[DoubtfulRow]] = []
        var damage: [RequestID: SpoolError] = [:]
        for request in requests {
            let gathered = DoubtfulRows()
            do {
                try await spool.readRows(.request(request.id), limit: Int(Int32.max)) { row in
                    gathered.rows.append(
                        DoubtfulRow(
                            id: row.id, insertID: String(decoding: row.insertID, as: UTF8.self),
                            extractedAt: row.extractedAt))
                    return true
                }
            } catch let error as SpoolError {
                guard case .damaged = error else { throw error }
                damage[request.id] = error
                gathered.rows = []
            }
            rows.append(gathered.rows)
        }
        let present = try await present(rows.flatMap { $0 }, client)
        return zip(requests, rows).map { request, rows in
            var finding = Finding(request: request, found: [], missing: [], damage: damage[request.id])
            for row in rows {
                if present.contains(row.insertID) {
                    finding.found.append(row.id)
                } else {
                    finding.missing.append(row.id)
                }
            }
            return finding
        }
    }

    private func present(_ rows: [DoubtfulRow], _ client: BigQueryClient) async throws -> Set<String> {
        guard let from = rows.map(\.extractedAt).min(), let to = rows.map(\.extractedAt).max() else { return [] }
        var present: Set<String> = []
        try await client.query(
            sql,
            parameters: [
                .timestamp("from", from.description), .timestamp("to", to.description),
                .strings("ids", rows.map(\.insertID)),
            ], project: table.project, location: location, doing: "asking which rows \(table) has"
        ) { page in
            for row in page.rows {
                if let id = row.first ?? nil { present.insert(id) }
            }
        }
        return present
    }

    /// Whether such a question is permitted at all; it reads nothing.
    ///
    /// - Throws: `BigQueryError.denied` if not.
    func probe(_ client: BigQueryClient) async throws(BigQueryError) {
        let moment = Timestamp(microseconds: 0).description
        do throws(BigQueryError) {
            try await client.dryRun(
                sql, parameters: [.timestamp("from", moment), .timestamp("to", moment), .strings("ids", ["-"])],
                project: table.project, location: location, doing: "asking whether \(table) may be queried")
        } catch {
            // The table may be too new to be queried; permission was not what was missing.
            if error.kind == .notFound || error.kind == .badRequest { return }
            throw error
        }
    }
}

private struct DoubtfulRow: Sendable {
    var id: RowID
    var insertID: String
    var extractedAt: Timestamp
}

// Unchecked: filled by the closure of one read, read only after it has returned.
private final class DoubtfulRows: @unchecked Sendable {
    var rows: [DoubtfulRow] = []
}
