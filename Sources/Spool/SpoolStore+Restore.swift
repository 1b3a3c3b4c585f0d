internal import GRDB

extension SpoolStore {
    /// The mark in `spool_meta` of a copy: what it holds as pending, the original may have sent since.
    private static let restoredMark = "copied_at"

    /// Puts everything pending in doubt, for a spool that was restored from a copy and whose original may have sent rows since.
    package func doubtPending() async throws {
        try await write { try Self.doubtPending(since: .now(), $0) }
    }

    /// Marks a copy, so that whoever opens it as a spool starts with its pending rows in doubt.
    static func markAsCopy(_ database: Database) throws {
        try database.execute(
            sql: "INSERT OR REPLACE INTO spool_meta (name, value) VALUES (?, ?)",
            arguments: [restoredMark, String(Timestamp.now().microseconds)])
    }

    static func doubtIfRestored(_ database: Database) throws {
        let mark = "SELECT value FROM spool_meta WHERE name = ?"
        guard try String.fetchOne(database, sql: mark, arguments: [restoredMark]) != nil else { return }
        try database.inTransaction(.immediate) {
            // Another process may have done it while this one waited for its turn.
            guard let copied = try String.fetchOne(database, sql: mark, arguments: [restoredMark]) else {
                return .commit
            }
            try doubtPending(since: Timestamp(microseconds: Int64(copied) ?? 0), database)
            try database.execute(sql: "DELETE FROM spool_meta WHERE name = ?", arguments: [restoredMark])
            return .commit
        }
    }

    private static func doubtPending(since moment: Timestamp, _ database: Database) throws {
        try database.execute(
            sql: """
                UPDATE request_log SET state = 'in_doubt', doubt = 'unknown', unknown_since = coalesce(unknown_since, ?)
                WHERE \(openRequests) AND state IN ('pending', 'sending')
                """, arguments: [moment.microseconds])
        try database.execute(
            sql: """
                UPDATE row_fates SET state = 'in_doubt', reason = 'unknown' WHERE \(claimedFates) AND state = 'sending'
                """)
        for route in try routes(database) {
            let singles = try Int64.fetchAll(
                database,
                sql: "SELECT row_id FROM row_fates WHERE state = 'pending' AND row_id BETWEEN ? AND ? ORDER BY row_id",
                arguments: [route.rowRange.lowerBound.rawValue, route.rowRange.upperBound.rawValue])
            try doubt(singles, .unknown, route: route.number, sentAt: moment, database)
            try claimAllInDoubt(of: route.number, since: moment, database)
        }
    }

    /// Makes requests in doubt of all rows that no request has claimed, each small enough to be sent again as it is.
    private static func claimAllInDoubt(of route: Int64, since moment: Timestamp, _ database: Database) throws {
        let rowsARequest = 500
        let bytesARequest = 4 << 20
        var first: Int64?
        var last: Int64 = 0
        var rows = 0
        var bytes = 0
        func claim() throws {
            guard let start = first else { return }
            try database.execute(
                sql: """
                    INSERT INTO request_log (route, first_row, last_row, own_rows, rows, bytes, state, doubt, attempts, sent_at,
                        unknown_since) VALUES (?1, ?2, ?3, ?4, ?4, ?5, 'in_doubt', 'unknown', 0, ?6, ?6)
                    """, arguments: [route, start, last, rows, bytes, moment.microseconds])
            (first, rows, bytes) = (nil, 0, 0)
        }
        let unclaimed = try Row.fetchCursor(
            database,
            sql: """
                SELECT d.row_id, length(CAST(d.payload AS BLOB)) AS bytes FROM row_data d
                WHERE d.row_id > (SELECT claimed_to FROM routes WHERE route = ?) AND d.row_id < ?
                    AND NOT EXISTS (SELECT 1 FROM row_fates f WHERE f.row_id = d.row_id) ORDER BY d.row_id
                """, arguments: [route, RowID(route: route + 1, position: 0).rawValue])
        while let row = try unclaimed.next() {
            let size: Int = try row.read("bytes")
            if rows == rowsARequest || (rows > 0 && bytes + size > bytesARequest) { try claim() }
            if first == nil { first = try row.read("row_id") as Int64 }
            last = try row.read("row_id")
            rows += 1
            bytes += size
        }
        try claim()
        try database.execute(
            sql: "UPDATE routes SET claimed_to = max(claimed_to, ?), unclaimed = 0 WHERE route = ?",
            arguments: [last, route])
    }
}
