internal import GRDB

extension SpoolStore {
    /// Rows after which a transaction that removes some comes to its end: a tenth of a second.
    private static let retiredAStep = 20_000

    /// Removes rows delivered before a moment and counts them by day of extraction; what later runs need has tables of its own and stays.
    ///
    /// Works in transactions of a few requests each, so that an extractor never waits long; a cancelled task leaves the rest for later.
    /// Returns the rows removed.
    @discardableResult
    package func retire(deliveredBefore cutoff: Timestamp, limit: Int = .max) async throws -> Int {
        var removed = 0
        while removed < limit {
            let step = try await write { try Self.retireSome(deliveredBefore: cutoff, $0) }
            removed += step.rows
            if step.isLast || Task.isCancelled { break }
        }
        return removed
    }

    /// Makes room when the pages in use reach a limit: delivered rows go, oldest requests first and whatever their age, until less than 95 %
    /// is in use. True if there is room afterwards.
    package func makeRoom(maximumBytes: Int64) async throws -> Bool {
        guard try await usedBytes() >= maximumBytes else { return true }
        var isLast = false
        while !isLast, try await usedBytes() >= maximumBytes / 100 * 95 {
            isLast = try await write { try Self.retireSome(deliveredBefore: nil, $0) }.isLast
        }
        return try await usedBytes() < maximumBytes
    }

    /// - Returns: the rows removed, and whether there was nothing more to remove.
    static func retireSome(
        deliveredBefore cutoff: Timestamp?, requests requestsAStep: Int = 20, singles singlesAStep: Int = 2000,
        _ database: Database
    ) throws -> (rows: Int, isLast: Bool) {
        let before = cutoff?.microseconds ?? .max
        // What was delivered after the last look at its table may have to be sent again.
        func agreed(_ route: String) -> String {
            """
            coalesce((SELECT t.agreed_at FROM routes r JOIN destination_tables t USING (endpoint, table_name)
                WHERE r.route = \(route)), \(Int64.max))
            """
        }
        let requests = try Row.fetchAll(
            database,
            sql: """
                SELECT request_id, route, first_row, last_row FROM request_log
                WHERE state IN ('delivered', 'closed') AND coalesce(answered_at, 0) < min(?, \(agreed("request_log.route")))
                ORDER BY request_id LIMIT ?
                """, arguments: [before, requestsAStep])
        var removed = 0
        for request in requests {
            guard removed < retiredAStep else { return (removed, false) }
            if let first = try request.read("first_row") as Int64?, let last = try request.read("last_row") as Int64? {
                removed += try retire(
                    "BETWEEN \(first) AND \(last) AND row_id NOT IN "
                        + "(SELECT row_id FROM row_fates WHERE row_id BETWEEN \(first) AND \(last))",
                    route: request.read("route"), database)
            }
            try database.execute(
                sql: "DELETE FROM request_log WHERE request_id = ?", arguments: [request.read("request_id") as Int64])
        }
        // Rows that were delivered as exceptions.
        let singles = try Int64.fetchAll(
            database,
            sql: """
                SELECT row_id FROM row_fates WHERE state = 'delivered'
                    AND coalesce(decided_at, 0) < min(?, \(agreed("row_fates.row_id >> 40"))) LIMIT ?
                """,
            arguments: [before, singlesAStep])
        for row in singles {
            removed += try retire("= \(row)", route: row >> 40, database)
            try database.execute(sql: "DELETE FROM row_fates WHERE row_id = ?", arguments: [row])
        }
        return (removed, requests.count < requestsAStep && singles.count < singlesAStep)
    }

    /// Removes rows and counts them per day of extraction, per run and per route.
    private static func retire(_ rows: String, route: Int64, _ database: Database) throws -> Int {
        let groups = try Row.fetchAll(
            database,
            sql: """
                SELECT run_no, extracted_at / 86400000000 AS day, count(*) AS n FROM row_data WHERE row_id \(rows)
                GROUP BY 1, 2
                """)
        for group in groups {
            try database.cachedStatement(
                sql: """
                    INSERT INTO retired_days (route, day, rows) VALUES (?, ?, ?)
                    ON CONFLICT (route, day) DO UPDATE SET rows = rows + excluded.rows
                    """
            ).execute(arguments: [route, group.read("day") as Int64, group.read("n") as Int])
            try database.cachedStatement(sql: "UPDATE run_log SET retired = retired + ? WHERE run_no = ?")
                .execute(arguments: [group.read("n") as Int, group.read("run_no") as Int64])
        }
        try database.execute(sql: "DELETE FROM row_data WHERE row_id \(rows)")
        let removed = database.changesCount
        try database.execute(sql: "DELETE FROM quarantined_rows WHERE row_id \(rows)")
        try database.cachedStatement(sql: "UPDATE routes SET retired = retired + ? WHERE route = ?")
            .execute(arguments: [removed, route])
        return removed
    }

    /// How many delivered rows retention removed, by day of extraction (days since 1970).
    package func retiredDays(of route: Route) async throws -> [Int: Int] {
        try await read { database in
            let rows = try Row.fetchAll(
                database, sql: "SELECT day, rows FROM retired_days WHERE route = ?", arguments: [route.number])
            return Dictionary(
                try rows.map { try ($0.read("day") as Int, $0.read("rows") as Int) },
                uniquingKeysWith: { first, _ in first })
        }
    }

    /// How many rows at the most, by day of extraction, were spooled a second time after retention had removed the first: those of runs that
    /// started further back than the spool's memory reached.
    package func repeatedDays(of route: Route) async throws -> [Int: Int] {
        try await read { database in
            let runs = try Row.fetchAll(
                database,
                sql: """
                    SELECT rows_spooled, started_at, coalesce(finished_at, started_at) AS finished_at FROM run_log
                    WHERE route = ? AND warnings LIKE '%"retired_rows"%'
                    """, arguments: [route.number])
            var days: [Int: Int] = [:]
            for run in runs {
                let (first, last) = (
                    Timestamp(microseconds: run["started_at"]), Timestamp(microseconds: run["finished_at"])
                )
                for day in first.day...max(first.day, last.day) { days[day, default: 0] += run["rows_spooled"] as Int }
            }
            return days
        }
    }
}
