internal import GRDB

extension SpoolStore {
    /// After a start: what a killed process left in `sending` may or may not have arrived, so it is in doubt. Returns the rows concerned.
    package func doubtUnfinishedRequests() async throws -> Int {
        try await write { database in
            let sent =
                try Int.fetchOne(database, sql: "SELECT sum(rows) FROM request_log WHERE state = 'sending'") ?? 0
            try database.execute(
                sql: """
                    UPDATE row_fates SET state = 'in_doubt', reason = 'unknown' WHERE state = 'sending';
                    UPDATE request_log SET state = 'in_doubt', doubt = 'unknown',
                        unknown_since = coalesce(unknown_since, sent_at) WHERE state = 'sending';
                    """)
            return sent
        }
    }

    /// Marks rows as being sent, before the first byte goes out: a kill from here on leaves them in doubt, never pending.
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
            try insert.execute(arguments: [
                request.route, first.rawValue, last.rawValue, count, count, request.bytes, now.microseconds,
            ])
            let id = RequestID(database.lastInsertedRowID)
            let claim = try database.cachedStatement(
                sql: "UPDATE routes SET claimed_to = ?, unclaimed = unclaimed - ? WHERE route = ? AND claimed_to < ?")
            try claim.execute(arguments: [last.rawValue, count, request.route, first.rawValue])
            guard database.changesCount == 1 else { throw SpoolError.broken("rows were claimed twice") }
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
                guard database.changesCount == 1 else { throw SpoolError.broken("a row was claimed twice") }
            }
            return id
        }
    }

    /// Marks requests that are pending or in doubt as being sent again, with the same rows in the same order.
    package func resend(_ requests: [RequestID], at now: Timestamp = .now()) async throws {
        try await write { database in
            for request in requests {
                try database.execute(
                    sql: """
                        UPDATE request_log SET state = 'sending', doubt = NULL, attempts = attempts + 1, sent_at = ?
                        WHERE request_id = ? AND state IN ('pending', 'in_doubt')
                        """, arguments: [now.microseconds, request.rawValue])
                guard database.changesCount == 1 else { throw SpoolError.broken("a request was sent twice at once") }
                try database.execute(
                    sql: """
                        UPDATE row_fates SET state = 'sending', attempts = attempts + 1
                        WHERE request_id = ? AND state IN ('pending', 'in_doubt')
                        """, arguments: [request.rawValue])
            }
        }
    }

    /// Writes down what answers mean, for all of them in one transaction.
    package func settle(_ settlements: [Settlement]) async throws {
        try await write { database in
            for settlement in settlements { try Settler(database, settlement).settle() }
        }
    }

    /// Requests of a route in these states, in spool order. O(open requests).
    package func requests(of route: Route, in states: Set<RowState>) async throws -> [DeliveryRequest] {
        try await read { database in
            let list = states.map { "'\($0.rawValue)'" }.joined(separator: ",")
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT q.*, coalesce(q.first_row, (SELECT min(row_id) FROM row_fates f
                        WHERE f.request_id = q.request_id AND f.state IN ('sending', 'in_doubt'))) AS place
                    FROM request_log q WHERE q.route = ? AND q.state IN (\(list)) ORDER BY place
                    """, arguments: [route.number])
            return rows.map(Self.request)
        }
    }

    static func request(_ row: Row) -> DeliveryRequest {
        let first: Int64? = row["first_row"]
        let last: Int64? = row["last_row"]
        var range: ClosedRange<RowID>?
        if let first, let last, first <= last { range = RowID(first)...RowID(last) }
        let doubt: String? = row["doubt"]
        let sent: Int64? = row["sent_at"]
        let unknown: Int64? = row["unknown_since"]
        return DeliveryRequest(
            id: RequestID(row["request_id"]), route: row["route"], range: range,
            state: RowState(rawValue: row["state"]) ?? .inDoubt, doubt: doubt.flatMap(Doubt.init(rawValue:)),
            rows: row["rows"], bytes: row["bytes"], attempts: row["attempts"],
            sentAt: sent.map(Timestamp.init(microseconds:)), unknownSince: unknown.map(Timestamp.init(microseconds:)))
    }

    /// Puts rows delivered since a moment in doubt again: the table they went to turned out to be another. Returns how many.
    package func doubtDelivered(to table: String, endpoint: String, since: Timestamp) async throws -> Int {
        try await write { database in
            let routes = "(SELECT route FROM routes WHERE table_name = ? AND endpoint = ?)"
            let rows =
                try Int.fetchOne(
                    database,
                    sql: """
                        SELECT sum(own_rows) FROM request_log
                        WHERE state = 'delivered' AND answered_at > ? AND route IN \(routes)
                        """, arguments: [since.microseconds, table, endpoint]) ?? 0
            try database.execute(
                sql: """
                    UPDATE request_log SET state = 'in_doubt', doubt = 'settling'
                    WHERE state = 'delivered' AND answered_at > ? AND route IN \(routes)
                    """, arguments: [since.microseconds, table, endpoint])
            try database.execute(
                sql: """
                    UPDATE row_fates SET state = 'in_doubt', reason = 'settling' WHERE state = 'delivered'
                        AND decided_at > ? AND request_id IN (SELECT request_id FROM request_log
                            WHERE first_row IS NULL AND state = 'in_doubt' AND doubt = 'settling' AND route IN \(routes))
                    """, arguments: [since.microseconds, table, endpoint])
            return rows + database.changesCount
        }
    }

    // MARK: The destination's tables, as the shipper keeps them

    /// The shipper's record of a table; opaque.
    package func tableRecord(_ table: String, endpoint: String) async throws -> String? {
        try await read { database in
            try String.fetchOne(
                database, sql: "SELECT record FROM destination_tables WHERE endpoint = ? AND table_name = ?",
                arguments: [endpoint, table])
        }
    }

    package func setTableRecord(_ record: String, for table: String, endpoint: String) async throws {
        try await write { database in
            try database.execute(
                sql: "INSERT OR REPLACE INTO destination_tables (endpoint, table_name, record) VALUES (?, ?, ?)",
                arguments: [endpoint, table, record])
        }
    }
}
