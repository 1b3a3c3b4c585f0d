internal import GRDB

extension SpoolStore {
    /// Removes rows delivered before a moment and counts them by day of extraction; what later runs need has tables of its own and stays.
    ///
    /// Works in transactions of a few requests each, so that an extractor never waits long. Returns the rows removed.
    @discardableResult
    package func retire(deliveredBefore cutoff: Timestamp, limit: Int = .max) async throws -> Int {
        var removed = 0
        while removed < limit {
            let step = try await write { try Self.retireSome(deliveredBefore: cutoff, $0) }
            removed += step.rows
            if step.isLast { break }
        }
        return removed
    }

    private static func retireSome(
        deliveredBefore cutoff: Timestamp, _ database: Database
    ) throws -> (rows: Int, isLast: Bool) {
        let requestsAStep = 20
        let requests = try Row.fetchAll(
            database,
            sql: """
                SELECT request_id, route, first_row, last_row FROM request_log
                WHERE state = 'delivered' AND answered_at < ? ORDER BY request_id LIMIT ?
                """, arguments: [cutoff.microseconds, requestsAStep])
        var removed = 0
        for request in requests {
            if let first: Int64 = request["first_row"], let last: Int64 = request["last_row"] {
                removed += try retire(
                    rows: "row_id BETWEEN \(first) AND \(last) AND row_id NOT IN "
                        + "(SELECT row_id FROM row_fates WHERE row_id BETWEEN \(first) AND \(last))",
                    route: request["route"], database)
            }
            try database.execute(
                sql: "DELETE FROM request_log WHERE request_id = ?", arguments: [request["request_id"] as Int64])
        }
        // The shipper's own list of single rows that were delivered after all.
        let fates = try Row.fetchAll(
            database,
            sql: "SELECT row_id FROM row_fates WHERE state = 'delivered' AND decided_at < ? LIMIT 2000",
            arguments: [cutoff.microseconds])
        for fate in fates {
            let row: Int64 = fate["row_id"]
            removed += try retire(rows: "row_id = \(row)", route: row >> 40, database)
            try database.execute(sql: "DELETE FROM row_fates WHERE row_id = ?", arguments: [row])
        }
        return (removed, requests.count < requestsAStep && fates.count < 2000)
    }

    private static func retire(rows condition: String, route: Int64, _ database: Database) throws -> Int {
        try database.execute(
            sql: """
                INSERT INTO retired_days (route, day, rows)
                SELECT ?, extracted_at / 86400000000, count(*) FROM row_data WHERE \(condition) GROUP BY 2
                ON CONFLICT (route, day) DO UPDATE SET rows = rows + excluded.rows
                """, arguments: [route])
        try database.execute(sql: "DELETE FROM row_data WHERE \(condition)")
        let removed = database.changesCount
        try database.execute(
            sql: "UPDATE routes SET retired = retired + ? WHERE route = ?", arguments: [removed, route])
        return removed
    }

    /// How many delivered rows retention removed, by day of extraction (days since 1970).
    package func retiredDays(of route: Route) async throws -> [Int: Int] {
        try await read { database in
            let rows = try Row.fetchAll(
                database, sql: "SELECT day, rows FROM retired_days WHERE route = ?", arguments: [route.number])
            return Dictionary(uniqueKeysWithValues: rows.map { ($0["day"] as Int, $0["rows"] as Int) })
        }
    }
}
