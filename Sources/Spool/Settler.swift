internal import GRDB

/// Applies one settlement: exceptions get a fate of their own, the rest shares the request's.
struct Settler {
    private let database: Database
    private let settlement: Settlement
    private let request: DeliveryRequest

    init(_ database: Database, _ settlement: Settlement) throws {
        self.database = database
        self.settlement = settlement
        guard
            let row = try Row.fetchOne(
                database.cachedStatement(sql: "SELECT * FROM request_log WHERE request_id = ?"),
                arguments: [settlement.request.rawValue])
        else { throw SpoolError.broken("request \(settlement.request.rawValue) is not on record") }
        request = try SpoolStore.request(row)
        guard request.state == .sending || request.state == .inDoubt || request.state == .pending else {
            throw SpoolError.broken("request \(settlement.request.rawValue) was settled before")
        }
    }

    func settle() throws {
        if !settlement.counts {
            try database.execute(
                sql: "UPDATE request_log SET attempts = max(attempts - 1, 0) WHERE request_id = ?",
                arguments: [request.id.rawValue])
        }
        if let range = request.range {
            for exception in settlement.exceptions { try carveOut(exception, of: range) }
            try settleRange(range)
        } else {
            for exception in settlement.exceptions { try update(exception) }
            try settleList()
        }
        for doubt in [Doubt.unknown, .settling] { try regroup(doubt) }
    }

    /// True while an earlier attempt may have arrived, whatever became of this one.
    private var isStillUnknown: Bool { request.unknownSince != nil && !settlement.clearsDoubt }

    private func fate(of exception: RowSettlement) -> Fate {
        var fate = Fate(exception.outcome)
        if isStillUnknown, fate.state == .pending {
            fate.state = .inDoubt
            fate.reason = Doubt.unknown.rawValue
        }
        return fate
    }

    /// Single rows in doubt leave the request they came from, which is settled, for a list of their own.
    private func regroup(_ doubt: Doubt) throws {
        let doubtful = settlement.exceptions.filter {
            let fate = fate(of: $0)
            return fate.state == .inDoubt && fate.reason == doubt.rawValue
        }
        if doubtful.isEmpty { return }
        try database.execute(
            sql: """
                INSERT INTO request_log (route, own_rows, rows, bytes, state, doubt, attempts, sent_at, answered_at,
                    unknown_since, http_status, error)
                SELECT route, 0, ?1, bytes * ?1 / max(rows, 1), 'in_doubt', ?2, attempts, sent_at, answered_at,
                    CASE WHEN ?2 = 'unknown' THEN coalesce(?3, sent_at, answered_at) ELSE ?3 END, http_status, error
                FROM request_log WHERE request_id = ?4
                """,
            arguments: [
                doubtful.count, doubt.rawValue, settlement.clearsDoubt ? nil : request.unknownSince?.microseconds,
                request.id.rawValue,
            ])
        let list = database.lastInsertedRowID
        for exception in doubtful {
            try database.cachedStatement(sql: "UPDATE row_fates SET request_id = ? WHERE row_id = ?")
                .execute(arguments: [list, exception.row.rawValue])
        }
    }

    private var restState: (state: RowState, doubt: Doubt?) {
        switch settlement.rest {
        case .delivered: (.delivered, nil)
        case .pending: isStillUnknown ? (.inDoubt, .unknown) : (.pending, nil)
        case .inDoubt(let doubt): (.inDoubt, doubt)
        }
    }

    // MARK: Ranges

    private func carveOut(_ exception: RowSettlement, of range: ClosedRange<RowID>) throws {
        let fate = fate(of: exception)
        let attempts = request.attempts - (fate.counts && settlement.counts ? 0 : 1)
        guard range.contains(exception.row) else {
            throw SpoolError.broken("row \(exception.row.rawValue) was settled outside of its request")
        }
        try database.cachedStatement(
            sql: """
                INSERT OR IGNORE INTO row_fates (row_id, state, request_id, attempts, transient_attempts,
                    first_transient_at, reason, message, decided_at)
                SELECT row_id, ?2, ?3, ?4, ?5, ?6, ?7, CAST(?8 AS TEXT), ?9 FROM row_data WHERE row_id = ?1
                """
        ).execute(arguments: [
            exception.row.rawValue, fate.state.rawValue, fate.state == .inDoubt ? request.id.rawValue : nil,
            max(attempts, 0), fate.transient ? 1 : 0, fate.transient ? settlement.answeredAt.microseconds : nil,
            fate.reason, fate.message?.exact.asData, settlement.answeredAt.microseconds,
        ])
        guard database.changesCount == 1 else {
            throw SpoolError.broken("row \(exception.row.rawValue) was settled twice")
        }
        try database.cachedStatement(sql: "UPDATE request_log SET own_rows = own_rows - 1 WHERE request_id = ?")
            .execute(arguments: [request.id.rawValue])
    }

    private func settleRange(_ range: ClosedRange<RowID>) throws {
        let (state, doubt) = restState
        try setRequest(state, doubt)
        if state != .delivered, let last = settlement.splitAfter { try split(range, after: last) }
        // What has no rows left to share its fate is closed, so that nobody sends or asks for nothing.
        try database.cachedStatement(
            sql: """
                UPDATE request_log SET state = 'closed', doubt = NULL
                WHERE first_row BETWEEN ? AND ? AND first_row IS NOT NULL AND own_rows = 0
                """
        ).execute(arguments: [range.lowerBound.rawValue, range.upperBound.rawValue])
    }

    private func split(_ range: ClosedRange<RowID>, after last: RowID) throws {
        guard range.lowerBound <= last, last < range.upperBound else {
            throw SpoolError.broken("request \(request.id.rawValue) was split outside of its rows")
        }
        try database.execute(
            sql: """
                INSERT INTO request_log (route, first_row, last_row, own_rows, rows, bytes, state, doubt, attempts, sent_at,
                    answered_at, unknown_since, http_status, error)
                SELECT route, ?1, last_row, own_rows, rows, bytes, state, doubt, attempts, sent_at, answered_at,
                    unknown_since, http_status, error
                FROM request_log WHERE request_id = ?2
                """, arguments: [last.next.rawValue, request.id.rawValue])
        let second = database.lastInsertedRowID
        try database.execute(
            sql: "UPDATE request_log SET last_row = ? WHERE request_id = ?",
            arguments: [last.rawValue, request.id.rawValue])
        for id in [request.id.rawValue, second] {
            try database.execute(
                sql: """
                    UPDATE request_log SET (own_rows, rows, bytes) = (
                        SELECT count(*), count(*), bytes * count(*) / max(own_rows, 1) FROM row_data d
                        WHERE d.row_id BETWEEN first_row AND last_row
                            AND NOT EXISTS (SELECT 1 FROM row_fates f WHERE f.row_id = d.row_id)
                    ) WHERE request_id = ?
                    """, arguments: [id])
        }
    }

    // MARK: Lists

    private func update(_ exception: RowSettlement) throws {
        let fate = fate(of: exception)
        try database.cachedStatement(
            sql: """
                UPDATE row_fates SET state = ?1, request_id = CASE WHEN ?1 = 'in_doubt' THEN request_id END,
                    attempts = max(attempts - ?2, 0), transient_attempts = transient_attempts + ?3,
                    first_transient_at = CASE WHEN ?3 THEN coalesce(first_transient_at, ?4) ELSE first_transient_at END,
                    reason = ?5, message = CAST(?6 AS TEXT), decided_at = ?4
                WHERE row_id = ?7 AND request_id = ?8 AND \(SpoolStore.claimedFates)
                """
        ).execute(arguments: [
            fate.state.rawValue, fate.counts && settlement.counts ? 0 : 1, fate.transient ? 1 : 0,
            settlement.answeredAt.microseconds, fate.reason, fate.message?.exact.asData, exception.row.rawValue,
            request.id.rawValue,
        ])
        guard database.changesCount == 1 else {
            throw SpoolError.broken("row \(exception.row.rawValue) was settled twice or outside of its request")
        }
    }

    private func settleList() throws {
        let (state, doubt) = restState
        let settled = Set(settlement.exceptions.map(\.row.rawValue))
        let rows = try Int64.fetchAll(
            database, sql: "SELECT row_id FROM row_fates WHERE request_id = ? AND \(SpoolStore.claimedFates)",
            arguments: [request.id.rawValue]
        ).filter { !settled.contains($0) }
        for row in rows {
            try database.cachedStatement(
                sql: """
                    UPDATE row_fates SET state = ?1, attempts = max(attempts - ?2, 0), decided_at = ?3,
                        request_id = CASE WHEN ?1 = 'in_doubt' THEN request_id END,
                        reason = CASE WHEN ?1 = 'delivered' THEN NULL WHEN ?4 IS NOT NULL THEN ?4
                            WHEN reason NOT IN ('unknown', 'settling') THEN reason END,
                        message = CASE WHEN ?1 = 'delivered' THEN NULL ELSE coalesce(CAST(?5 AS TEXT), message) END
                    WHERE row_id = ?6
                    """
            ).execute(arguments: [
                state.rawValue, settlement.counts ? 0 : 1, settlement.answeredAt.microseconds, doubt?.rawValue,
                settlement.error?.exact.asData, row,
            ])
        }
        if state == .pending || rows.isEmpty {
            // A list that is pending again dissolves: its rows are left over and join the next list.
            try setRequest(.delivered, nil)
            try database.execute(
                sql: "UPDATE request_log SET state = 'closed' WHERE request_id = ?", arguments: [request.id.rawValue])
        } else {
            try setRequest(state, doubt)
        }
    }

    private func setRequest(_ state: RowState, _ doubt: Doubt?) throws {
        try database.cachedStatement(
            sql: """
                UPDATE request_log SET state = ?1, doubt = ?2, answered_at = ?3, http_status = coalesce(?4, http_status),
                    error = ?5,
                    unknown_since = CASE WHEN ?2 = 'unknown' THEN coalesce(?7, sent_at, ?3)
                        WHEN ?1 = 'in_doubt' THEN ?7 END
                WHERE request_id = ?6
                """
        ).execute(arguments: [
            state.rawValue, doubt?.rawValue, settlement.answeredAt.microseconds, settlement.httpStatus,
            settlement.error, request.id.rawValue,
            settlement.clearsDoubt ? nil : request.unknownSince?.microseconds,
        ])
    }
}

/// A row's outcome in the spool's terms.
private struct Fate {
    var state: RowState
    var reason: String?
    var message: String?
    var counts = true
    var transient = false

    init(_ outcome: RowSettlement.Outcome) {
        switch outcome {
        case .delivered:
            state = .delivered
        case .rejected(let reason, let message):
            state = .rejected
            self.reason = reason
            self.message = message
        case .pending(let reason, let message, let counts, let transient):
            state = .pending
            self.reason = reason
            self.message = message
            self.counts = counts
            self.transient = transient
        case .inDoubt(let doubt):
            state = .inDoubt
            reason = doubt.rawValue
        }
    }
}
