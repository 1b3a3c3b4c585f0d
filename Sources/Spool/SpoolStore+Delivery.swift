internal import GRDB

extension SpoolStore {
    /// After a start: what a killed process left in `sending` may or may not have arrived, so it is in doubt. Returns the rows concerned.
    ///
    /// The caller holds the shipper's lock, so no living process is sending.
    package func doubtUnfinishedRequests() async throws -> Int {
        try await write { database in
            let ranges = try database.sum(
                """
                SELECT sum(own_rows) FROM request_log
                WHERE \(Self.openRequests) AND state = 'sending' AND first_row IS NOT NULL
                """)
            try database.execute(
                sql: """
                    UPDATE row_fates SET state = 'in_doubt', reason = 'unknown'
                    WHERE \(Self.claimedFates) AND state = 'sending'
                    """)
            let singles = database.changesCount
            try database.execute(
                sql: """
                    UPDATE request_log SET state = 'in_doubt', doubt = 'unknown',
                        unknown_since = coalesce(unknown_since, sent_at) WHERE \(Self.openRequests) AND state = 'sending'
                    """)
            return ranges + singles
        }
    }

    /// Marks rows as being sent, before the first byte goes out: a kill from here on leaves them in doubt, never pending.
    ///
    /// - Throws: `SpoolError.stale` when rows were discarded or retried since they were read; then nothing of `requests` has begun.
    package func begin(_ requests: [NewRequest], at now: Timestamp = .now()) async throws -> [RequestID] {
        try await write { database in try requests.map { try Self.begin($0, at: now, database) } }
    }

    private static func begin(_ request: NewRequest, at now: Timestamp, _ database: Database) throws -> RequestID {
        let insert = try database.cachedStatement(
            sql: """
                INSERT INTO request_log (route, first_row, last_row, own_rows, rows, bytes, state, attempts, sent_at)
                VALUES (?, ?, ?, ?, ?, ?, 'sending', 1, ?)
                """)
        switch request.rows {
        case .range(let first, let last, let count):
            try checkClaim(first: first, last: last, count: count, route: request.route, database)
            try insert.execute(arguments: [
                request.route, first.rawValue, last.rawValue, count, count, request.bytes, now.microseconds,
            ])
            let id = RequestID(database.lastInsertedRowID)
            let claim = try database.cachedStatement(
                sql: "UPDATE routes SET claimed_to = ?, unclaimed = unclaimed - ? WHERE route = ?")
            try claim.execute(arguments: [last.rawValue, count, request.route])
            return id
        case .list(let rows):
            try insert.execute(arguments: [
                request.route, nil, nil, 0, rows.count, request.bytes, now.microseconds,
            ])
            let id = RequestID(database.lastInsertedRowID)
            let claim = try database.cachedStatement(
                sql: """
                    UPDATE row_fates SET state = 'sending', request_id = ?, attempts = attempts + 1
                    WHERE row_id = ? AND state = 'pending'
                    """)
            for row in rows {
                try claim.execute(arguments: [id.rawValue, row.rawValue])
                guard database.changesCount == 1 else { throw SpoolError.stale }
            }
            return id
        }
    }

    /// A range takes all that is left up to its end: rows skipped here would never be claimed, rows taken twice would be sent twice.
    private static func checkClaim(
        first: RowID, last: RowID, count: Int, route: Int64, _ database: Database
    ) throws {
        let books = try Row.fetchOne(
            database.cachedStatement(sql: "SELECT claimed_to, next_row FROM routes WHERE route = ?"),
            arguments: [route])
        guard let books, first <= last, try books.read("claimed_to") < first.rawValue,
            try last.rawValue < books.read("next_row")
        else {
            throw SpoolError.broken("rows were claimed twice or before they were spooled")
        }
        let claimed: Int64 = try books.read("claimed_to")
        let fates =
            try Int.fetchOne(
                database.cachedStatement(sql: "SELECT count(*) FROM row_fates WHERE row_id > ? AND row_id <= ?"),
                arguments: [claimed, last.rawValue]) ?? 0
        if fates == 0, first.rawValue == claimed + 1, count == Int(last.rawValue - claimed) { return }
        // Rows with a fate of their own lie in between, or did before retention removed them.
        let free = try database.cachedStatement(
            sql: """
                SELECT count(*) FROM row_data d WHERE d.row_id BETWEEN ? AND ?
                    AND NOT EXISTS (SELECT 1 FROM row_fates f WHERE f.row_id = d.row_id)
                """)
        guard try Int.fetchOne(free, arguments: [claimed + 1, first.rawValue - 1]) == 0,
            try Int.fetchOne(free, arguments: [first.rawValue, last.rawValue]) == count
        else { throw SpoolError.stale }
    }

    /// Marks requests that are pending or in doubt as being sent again, with the same rows in the same order.
    ///
    /// Call it before reading the rows of a request: from then on no other command changes them.
    ///
    /// - Throws: `SpoolError.stale` when a request has no rows left (they were all discarded); then none of `requests` has begun.
    package func resend(_ requests: [RequestID], at now: Timestamp = .now()) async throws {
        try await write { database in
            for request in requests {
                try database.execute(
                    sql: """
                        UPDATE row_fates SET state = 'sending', attempts = attempts + 1
                        WHERE request_id = ? AND \(Self.claimedFates)
                        """, arguments: [request.rawValue])
                let singles = database.changesCount
                try database.execute(
                    sql: """
                        UPDATE request_log SET state = 'sending', doubt = NULL, attempts = attempts + 1, sent_at = ?1,
                            rows = own_rows + ?2
                        WHERE request_id = ?3 AND state IN ('pending', 'in_doubt') AND own_rows + ?2 > 0
                        """, arguments: [now.microseconds, singles, request.rawValue])
                if database.changesCount == 1 { continue }
                let state = try String.fetchOne(
                    database, sql: "SELECT state FROM request_log WHERE request_id = ?", arguments: [request.rawValue])
                if state == RowState.sending.rawValue { throw SpoolError.broken("a request was sent twice at once") }
                throw SpoolError.stale
            }
        }
    }

    /// Writes down what answers mean, for all of them in one transaction.
    package func settle(_ settlements: [Settlement]) async throws {
        try await write { database in
            for settlement in settlements { try Settler(database, settlement).settle() }
        }
    }

    /// Requests of a route that are pending, sending or in doubt, whichever of these `states` holds, in spool order. O(open requests).
    package func requests(of route: Route, in states: Set<RowState>) async throws -> [DeliveryRequest] {
        try await read { database in
            let list = states.map { "'\($0.rawValue)'" }.joined(separator: ",")
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT q.*, own_rows + CASE WHEN first_row IS NULL THEN (SELECT count(*) FROM row_fates f
                        WHERE f.request_id = q.request_id AND f.\(Self.claimedFates)) ELSE 0 END AS live_rows, coalesce(q.first_row, (SELECT min(row_id) FROM row_fates f
                        WHERE f.request_id = q.request_id AND f.\(Self.claimedFates))) AS place
                    FROM request_log q WHERE q.route = ? AND q.\(Self.openRequests) AND q.state IN (\(list))
                    ORDER BY place
                    """, arguments: [route.number])
            return try rows.map { row in
                var request = try Self.request(row)
                request.rows = try row.read("live_rows")
                return request
            }
        }
    }

    static func request(_ row: Row) throws -> DeliveryRequest {
        let first: Int64? = try row.read("first_row")
        let last: Int64? = try row.read("last_row")
        var range: ClosedRange<RowID>?
        if let first, let last, first <= last { range = RowID(first)...RowID(last) }
        let doubt: String? = try row.read("doubt")
        let sent: Int64? = try row.read("sent_at")
        let unknown: Int64? = try row.read("unknown_since")
        return try DeliveryRequest(
            id: RequestID(row.read("request_id")), route: row.read("route"), range: range,
            // `closed`: settled, and each of its rows has a fate of its own.
            state: RowState(rawValue: row.read("state")) ?? .delivered, doubt: doubt.flatMap(Doubt.init(rawValue:)),
            rows: row.read("rows"), bytes: row.read("bytes"), attempts: row.read("attempts"),
            sentAt: sent.map(Timestamp.init(microseconds:)), unknownSince: unknown.map(Timestamp.init(microseconds:)))
    }

    /// Puts rows delivered since a moment (inclusive, by `Settlement.answeredAt`) in doubt again: the table they went to turned out to be
    /// another. Returns how many.
    package func doubtDelivered(to table: String, endpoint: String, since: Timestamp) async throws -> Int {
        try await write { database in
            let routes = try Int64.fetchAll(
                database, sql: "SELECT route FROM routes WHERE table_name = ? AND endpoint = ?",
                arguments: [table, endpoint])
            var rows = 0
            for route in routes {
                _ = try Route.number(route)
                let condition = "route = ? AND state = 'delivered' AND answered_at >= ? AND own_rows > 0"
                rows += try database.sum(
                    "SELECT sum(own_rows) FROM request_log WHERE \(condition)", [route, since.microseconds])
                try database.execute(
                    sql: "UPDATE request_log SET state = 'in_doubt', doubt = 'settling' WHERE \(condition)",
                    arguments: [route, since.microseconds])
                let singles = try Int64.fetchAll(
                    database,
                    sql: """
                        SELECT row_id FROM row_fates WHERE row_id BETWEEN ? AND ? AND state = 'delivered'
                            AND decided_at >= ? ORDER BY row_id
                        """,
                    arguments: [
                        RowID(route: route, position: 1).rawValue, RowID(route: route + 1, position: 0).rawValue,
                        since.microseconds,
                    ])
                try Self.doubt(singles, .settling, route: route, sentAt: nil, database)
                rows += singles.count
            }
            return rows
        }
    }

    /// Gathers single rows in lists that are in doubt, each small enough to be sent again in one request.
    static func doubt(
        _ rows: [Int64], _ doubt: Doubt, route: Int64, sentAt: Timestamp?, _ database: Database
    ) throws {
        let rowsAList = 500
        for start in stride(from: 0, to: rows.count, by: rowsAList) {
            let part = rows[start..<min(start + rowsAList, rows.count)]
            try database.execute(
                sql: """
                    INSERT INTO request_log (route, own_rows, rows, bytes, state, doubt, attempts, sent_at, unknown_since)
                    VALUES (?, 0, ?, 0, 'in_doubt', ?, 1, ?, ?)
                    """,
                arguments: [
                    route, part.count, doubt.rawValue, sentAt?.microseconds,
                    doubt == .unknown ? sentAt?.microseconds : nil,
                ])
            let list = database.lastInsertedRowID
            for row in part {
                try database.cachedStatement(
                    sql: "UPDATE row_fates SET state = 'in_doubt', reason = ?, request_id = ? WHERE row_id = ?"
                ).execute(arguments: [doubt.rawValue, list, row])
            }
            try database.execute(
                sql: """
                    UPDATE request_log SET bytes = (
                        SELECT sum(length(CAST(d.payload AS BLOB))) FROM row_fates f JOIN row_data d USING (row_id)
                        WHERE f.request_id = ?1 AND f.\(Self.claimedFates)
                    ) WHERE request_id = ?1
                    """, arguments: [list])
        }
    }

    // MARK: The destination's tables, as the shipper keeps them

    /// The shipper's record of a table; opaque. Nil if there is none.
    package func tableRecord(_ table: String, endpoint: String) async throws -> String? {
        try await read { database in
            try String.fetchOne(
                database,
                sql: "SELECT record FROM destination_tables WHERE endpoint = ? AND table_name = ? AND record <> ''",
                arguments: [endpoint, table])
        }
    }

    package func setTableRecord(_ record: String, for table: String, endpoint: String) async throws {
        try await write { database in
            try database.execute(
                sql: """
                    INSERT INTO destination_tables (endpoint, table_name, record) VALUES (?, ?, ?)
                    ON CONFLICT (endpoint, table_name) DO UPDATE SET record = excluded.record
                    """, arguments: [endpoint, table, record])
        }
    }

    /// Notes that a look at the table, begun at this moment, found it as expected. Rows delivered later are not removed by retention, however
    /// little room there is: `doubtDelivered` may still need them. Without any note rows are removed as `retire` is told.
    package func noteAgreement(with table: String, endpoint: String, at moment: Timestamp) async throws {
        try await write { database in
            try database.execute(
                sql: """
                    INSERT INTO destination_tables (endpoint, table_name, agreed_at) VALUES (?, ?, ?)
                    ON CONFLICT (endpoint, table_name) DO UPDATE SET agreed_at = excluded.agreed_at
                    """, arguments: [endpoint, table, moment.microseconds])
        }
    }
}
