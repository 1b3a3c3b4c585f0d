internal import GRDB

/// Which rows an operator means.
package struct RowFilter: Sendable {
    package var streams: [String] = []
    package var state: RowState?
    package var run: String?
    package var id: String?
    package var insertID: String?
    package var reason: String?
    package var limit: Int?

    package init() {}

    /// The condition on the view `spooled_rows`, with its arguments.
    var condition: (sql: String, arguments: StatementArguments) {
        var parts = ["1"]
        var arguments = StatementArguments()
        func add(_ part: String, _ value: String?) {
            guard let value else { return }
            parts.append(part)
            arguments += [value]
        }
        if !streams.isEmpty {
            parts.append("stream IN (" + streams.map { _ in "?" }.joined(separator: ",") + ")")
            arguments += StatementArguments(streams)
        }
        add("state = ?", state?.rawValue)
        add("run_id = ?", run)
        add("id = ?", id)
        add("insert_id = ?", insertID)
        add("reason = ?", reason)
        return (parts.joined(separator: " AND "), arguments)
    }
}

/// One row as `audit rows` shows it.
package struct RowRecord: Sendable {
    package var row: RowID
    package var stream: String
    package var id: String?
    package var insertID: String
    package var state: RowState
    package var runID: String
    package var operation: String
    package var extractedAt: String
    package var deliveredAt: String?
    package var attempts: Int
    package var reason: String?
    package var message: String?
    /// The payload's JSON text.
    package var payload: [UInt8]
}

extension SpoolStore {
    /// Hands every row that fits the filter to `body`, in spool order, until it returns false. O(rows) unless streams and limit narrow it.
    /// Ends with a `CancellationError` when the task is cancelled.
    package func forEachRow(
        _ filter: RowFilter, _ body: @escaping @Sendable (RowRecord) throws -> Bool
    ) async throws {
        try await scan { database in
            let (condition, arguments) = try Self.condition(of: filter, database)
            let limit = filter.limit.map { " LIMIT \($0)" } ?? ""
            let cursor = try Row.fetchCursor(
                database,
                sql:
                    "SELECT \(ExactText.terms("id", "message")), * FROM spooled_rows WHERE \(condition) ORDER BY row_id\(limit)",
                arguments: arguments)
            while let row = try cursor.next() {
                // Damaged rows are shown too: what can't be read of them is empty.
                func text(_ column: String) -> String { String.fromDatabaseValue(row[column]) ?? "" }
                func optional(_ column: String) -> String? { String.fromDatabaseValue(row[column]) }
                let record = try RowRecord(
                    row: RowID(row.read("row_id")), stream: text("stream"), id: row.exact("id")?.string,
                    insertID: text("insert_id"),
                    state: RowState(rawValue: text("state")) ?? .inDoubt, runID: text("run_id"), operation: text("op"),
                    extractedAt: text("extracted_at"), deliveredAt: optional("delivered_at"),
                    attempts: Int.fromDatabaseValue(row["attempts"]) ?? 0, reason: optional("reason"),
                    message: row.exact("message")?.string, payload: Array(text("payload").utf8))
                guard try body(record) else { return }
            }
        }
    }

    /// The filter's condition, with the ids between which the rows of its streams lie.
    private static func condition(
        of filter: RowFilter, _ database: Database
    ) throws -> (sql: String, arguments: StatementArguments) {
        let (condition, arguments) = filter.condition
        if filter.streams.isEmpty { return (condition, arguments) }
        let ranges = try routes(database).filter { filter.streams.contains($0.stream) }.map(\.rowRange)
        guard let first = ranges.first, let last = ranges.last else { return ("0", StatementArguments()) }
        let bounds = "row_id BETWEEN \(first.lowerBound.rawValue) AND \(last.upperBound.rawValue)"
        return (bounds + " AND " + condition, arguments)
    }

    /// Makes rejected rows pending again, under the same insertId; attempts and the last reason stay on record. Returns how many.
    package func retryRejected(_ filter: RowFilter) async throws -> Int {
        try await change(filter, extraCondition: "state = 'rejected'") { database, rows in
            try Self.giveOwnFate("pending", rows: rows, reason: nil, message: nil, database)
        }
    }

    /// Makes rows delivered before a moment pending again, for a table that was recreated or emptied. Returns how many.
    package func retryDelivered(before cutoff: Timestamp, _ filter: RowFilter) async throws -> Int {
        // Without their `Z` the texts sort like the moments, whatever the length of the fraction.
        let text = cutoff.description.dropLast()
        let condition = "state = 'delivered' AND rtrim(delivered_at, 'Z') < '\(text)'"
        return try await change(filter, extraCondition: condition) { database, rows in
            try Self.giveOwnFate("pending", rows: rows, reason: nil, message: nil, database)
        }
    }

    /// Makes those of these rows pending again that are delivered: they were found missing in the destination. Returns how many.
    package func retryMissing(_ rows: [RowID]) async throws -> Int {
        var changed = 0
        for start in stride(from: 0, to: rows.count, by: 500) {
            let part = rows[start..<min(start + 500, rows.count)].map { String($0.rawValue) }.joined(separator: ",")
            changed += try await change(
                RowFilter(), extraCondition: "state = 'delivered' AND row_id IN (\(part))"
            ) { database, rows in
                try Self.giveOwnFate("pending", rows: rows, reason: "missing", message: nil, database)
            }
        }
        return changed
    }

    /// Takes rows out of delivery for good, with the operator's reason. Rows that are being sent or are delivered are left alone.
    package func discard(_ filter: RowFilter, why: String) async throws -> Int {
        try await change(filter, extraCondition: "state IN ('pending', 'in_doubt', 'rejected')") { database, rows in
            try Self.giveOwnFate("discarded", rows: rows, reason: "discarded", message: why, database)
        }
    }

    private func change(
        _ filter: RowFilter, extraCondition: String = "1",
        _ apply: @escaping @Sendable (Database, _ rows: String) throws -> Void
    ) async throws -> Int {
        try await write { database in
            let (condition, arguments) = try Self.condition(of: filter, database)
            let limit = filter.limit.map { " LIMIT \($0)" } ?? ""
            try database.execute(sql: "CREATE TEMP TABLE IF NOT EXISTS chosen_rows (row_id INTEGER PRIMARY KEY)")
            try database.execute(sql: "DELETE FROM temp.chosen_rows")
            try database.execute(
                sql: """
                    INSERT INTO temp.chosen_rows SELECT row_id FROM spooled_rows
                    WHERE \(condition) AND (\(extraCondition)) ORDER BY row_id\(limit)
                    """, arguments: arguments)
            let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM temp.chosen_rows") ?? 0
            try apply(database, "SELECT row_id FROM temp.chosen_rows")
            return count
        }
    }

    /// Gives rows that nobody is sending a fate of their own and takes them out of the request or the unclaimed rest they belonged to.
    static func giveOwnFate(
        _ state: String, rows: String, reason: String?, message: String?, _ database: Database
    ) throws {
        let now = Timestamp.now().microseconds
        let ranges = """
            (SELECT r.request_id FROM request_log r WHERE r.first_row IS NOT NULL AND r.first_row <= d.row_id
                ORDER BY r.first_row DESC LIMIT 1)
            """
        try database.execute(
            sql:
                "CREATE TEMP TABLE IF NOT EXISTS moved_rows (row_id INTEGER PRIMARY KEY, request INTEGER, attempts INTEGER)"
        )
        try database.execute(sql: "DELETE FROM temp.moved_rows")
        try database.execute(
            sql: """
                INSERT INTO temp.moved_rows
                SELECT d.row_id, q.request_id, coalesce(q.attempts, 0) FROM row_data d
                LEFT JOIN request_log q ON q.request_id = \(ranges) AND q.last_row >= d.row_id
                WHERE d.row_id IN (\(rows)) AND NOT EXISTS (SELECT 1 FROM row_fates f WHERE f.row_id = d.row_id)
                """)
        try database.execute(
            sql: """
                UPDATE row_fates SET state = ?1, request_id = NULL, reason = coalesce(?2, reason),
                    message = coalesce(?3, message), decided_at = ?4,
                    transient_attempts = CASE WHEN ?1 = 'pending' THEN 0 ELSE transient_attempts END,
                    first_transient_at = CASE WHEN ?1 = 'pending' THEN NULL ELSE first_transient_at END
                WHERE row_id IN (\(rows))
                """, arguments: [state, reason, message, now])
        try database.execute(
            sql: """
                INSERT INTO row_fates (row_id, state, attempts, reason, message, decided_at)
                SELECT row_id, ?, attempts, ?, ?, ? FROM temp.moved_rows
                """, arguments: [state, reason, message, now])
        try database.execute(
            sql: """
                UPDATE request_log SET own_rows = own_rows - (
                    SELECT count(*) FROM temp.moved_rows m WHERE m.request = request_log.request_id
                ) WHERE request_id IN (SELECT request FROM temp.moved_rows WHERE request IS NOT NULL)
                """)
        // Nobody may send, or ask for, a request whose rows have all gone.
        try database.execute(
            sql: """
                UPDATE request_log SET state = 'closed', doubt = NULL, answered_at = coalesce(answered_at, ?)
                WHERE \(openRequests) AND own_rows = 0 AND NOT EXISTS (
                    SELECT 1 FROM row_fates f WHERE f.request_id = request_log.request_id AND f.\(claimedFates)
                )
                """, arguments: [now])
        try database.execute(
            sql: """
                UPDATE routes SET unclaimed = unclaimed - (
                    SELECT count(*) FROM temp.moved_rows m WHERE m.request IS NULL AND m.row_id >> 40 = routes.route
                )
                """)
    }
}
