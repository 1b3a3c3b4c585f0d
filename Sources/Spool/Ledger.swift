internal import GRDB

/// Where all rows of a route are.
package struct LedgerEntry: Sendable, Equatable {
    package var route: Route
    package var spooled = 0
    package var pending = 0
    package var sending = 0
    package var inDoubt = 0
    package var delivered = 0
    package var rejected = 0
    package var discarded = 0
    /// Delivered rows that retention removed.
    package var retired = 0

    package var undelivered: Int { pending + sending + inDoubt }
    package var isBalanced: Bool {
        spooled == pending + sending + inDoubt + delivered + rejected + discarded + retired
    }

    package func count(of state: RowState) -> Int {
        switch state {
        case .pending: pending
        case .sending: sending
        case .inDoubt: inDoubt
        case .delivered: delivered
        case .rejected: rejected
        case .discarded: discarded
        }
    }

    mutating func add(_ count: Int, to state: RowState) {
        switch state {
        case .pending: pending += count
        case .sending: sending += count
        case .inDoubt: inDoubt += count
        case .delivered: delivered += count
        case .rejected: rejected += count
        case .discarded: discarded += count
        }
    }
}

extension SpoolStore {
    /// The ledger of every route. O(requests and single fates), not O(rows).
    package func ledger() async throws -> [LedgerEntry] {
        try await read { try Self.ledger($0) }
    }

    static func ledger(_ database: Database) throws -> [LedgerEntry] {
        var entries: [Int64: LedgerEntry] = [:]
        let all = try routes(database)
        for route in all { entries[route.number] = LedgerEntry(route: route) }
        for row in try Row.fetchAll(database, sql: "SELECT route, spooled, unclaimed, retired FROM routes") {
            let route: Int64 = try row.read("route")
            entries[route]?.spooled = try row.read("spooled")
            entries[route]?.retired = try row.read("retired")
            entries[route]?.pending = try row.read("unclaimed")
        }
        let requests = try Row.fetchCursor(
            database,
            sql: "SELECT route, state, sum(own_rows) AS n FROM request_log WHERE first_row IS NOT NULL GROUP BY 1, 2")
        while let row = try requests.next() {
            guard let state = try RowState(rawValue: row.read("state")) else { continue }
            try entries[row.read("route")]?.add(row.read("n"), to: state)
        }
        let fates = try Row.fetchCursor(
            database, sql: "SELECT row_id >> 40 AS route, state, count(*) AS n FROM row_fates GROUP BY 1, 2")
        while let row = try fates.next() {
            guard let state = try RowState(rawValue: row.read("state")) else { continue }
            try entries[row.read("route")]?.add(row.read("n"), to: state)
        }
        return all.compactMap { entries[$0.number] }
    }

    /// Compares the rows that no request has claimed with the books. O(such rows).
    ///
    /// - Throws: `SpoolError.damaged` when some are missing: nobody would ever send or miss them.
    package func checkUnclaimed(of route: Route) async throws {
        let missing = try await read { database in
            try Int.fetchOne(
                database,
                sql: """
                    SELECT unclaimed - (
                        SELECT count(*) FROM row_data d WHERE d.row_id > claimed_to AND d.row_id < next_row
                            AND NOT EXISTS (SELECT 1 FROM row_fates f WHERE f.row_id = d.row_id)
                    ) FROM routes WHERE route = ?
                    """, arguments: [route.number])
        }
        guard let missing, missing != 0 else { return }
        throw SpoolError.damaged(
            path: path, reason: "stream \(route.stream): \(missing) rows that were to be sent can't be found")
    }

    /// Requests that are not settled, by route and state. O(such requests).
    package func openRequests() async throws -> [Int64: [RowState: Int]] {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT route, state, count(*) AS n FROM request_log WHERE \(Self.openRequests) GROUP BY 1, 2")
            var result: [Int64: [RowState: Int]] = [:]
            for row in rows {
                guard let state = try RowState(rawValue: row.read("state")) else { continue }
                try result[row.read("route"), default: [:]][state] = row.read("n") as Int
            }
            return result
        }
    }

    /// When the oldest row that is not yet delivered was extracted, by route; none for routes without such rows. O(rows and requests that are
    /// open).
    package func oldestUndelivered() async throws -> [Int64: Timestamp] {
        try await read { database in
            var result: [Int64: Timestamp] = [:]
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT route, (SELECT extracted_at FROM row_data WHERE row_id >= first ORDER BY row_id LIMIT 1) AS at
                    FROM (
                        SELECT route, min(first) AS first FROM (
                            SELECT route, claimed_to + 1 AS first FROM routes WHERE unclaimed > 0
                            UNION ALL
                            SELECT route, first_row FROM request_log
                                WHERE \(Self.openRequests) AND first_row IS NOT NULL AND own_rows > 0
                            UNION ALL
                            SELECT row_id >> 40, row_id FROM row_fates WHERE state = 'pending'
                            UNION ALL
                            SELECT row_id >> 40, row_id FROM row_fates WHERE \(Self.claimedFates)
                        ) GROUP BY route
                    )
                    """)
            for row in rows {
                guard let at: Int64 = try row.read("at") else { continue }
                try result[row.read("route")] = Timestamp(microseconds: at)
            }
            return result
        }
    }
}
