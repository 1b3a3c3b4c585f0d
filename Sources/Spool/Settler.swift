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
                database, sql: "SELECT * FROM request_log WHERE request_id = ?",
                arguments: [settlement.request.rawValue])
        else { throw SpoolError.broken("request \(settlement.request.rawValue) is not on record") }
        request = SpoolStore.request(row)
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
        if request.range != nil {
            for exception in settlement.exceptions { try carveOut(exception) }
            try settleRange()
        } else {
            for exception in settlement.exceptions { try update(exception) }
            try settleList()
        }
        try regroupDoubtful()
    }

    /// True while an earlier attempt may have arrived, whatever became of this one.
    private var isStillUnknown: Bool { request.unknownSince != nil && !settlement.clearsDoubt }

    private func fate(of exception: RowSettlement) -> Fate {
        if isStillUnknown, case .pending = exception.outcome { return Fate(.inDoubt(.unknown)) }
        return Fate(exception.outcome)
    }

    /// Single rows in doubt leave the request they came from, which is settled, for a list of their own.
    private func regroupDoubtful() throws {
        let doubtful = settlement.exceptions.filter { fate(of: $0).state == .inDoubt }
        guard let first = doubtful.first else { return }
        let doubt = fate(of: first).reason
        try database.execute(
            sql: """
                INSERT INTO request_log (route, own_rows, rows, bytes, state, doubt, attempts, sent_at, answered_at,
                    unknown_since, http_status, error)
                SELECT route, 0, ?, bytes * ? / max(rows, 1), 'in_doubt', ?, attempts, sent_at, answered_at,
                    CASE WHEN ? = 'unknown' THEN coalesce(unknown_since, sent_at) END, http_status, error
                FROM request_log WHERE request_id = ?
                """, arguments: [doubtful.count, doubtful.count, doubt, doubt, request.id.rawValue])
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

    private func carveOut(_ exception: RowSettlement) throws {
        let fate = fate(of: exception)
        let attempts = request.attempts - (fate.counts && settlement.counts ? 0 : 1)
        try database.cachedStatement(
            sql: """
                INSERT INTO row_fates (row_id, state, request_id, attempts, transient_attempts, first_transient_at, reason,
                    message, decided_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            exception.row.rawValue, fate.state.rawValue, fate.state == .inDoubt ? request.id.rawValue : nil,
            max(attempts, 0), fate.transient ? 1 : 0, fate.transient ? settlement.answeredAt.microseconds : nil,
            fate.reason, fate.message, settlement.answeredAt.microseconds,
        ])
        try database.cachedStatement(sql: "UPDATE request_log SET own_rows = own_rows - 1 WHERE request_id = ?")
            .execute(arguments: [request.id.rawValue])
    }

    private func settleRange() throws {
        let (state, doubt) = restState
        try setRequest(state, doubt)
        guard let last = settlement.splitAfter, state == .pending, let range = request.range else { return }
        try database.execute(
            sql: """
                INSERT INTO request_log (route, first_row, last_row, own_rows, rows, bytes, state, attempts, sent_at,
                    unknown_since)
                SELECT route, ?1, last_row, own_rows, rows, bytes / 2, state, attempts, sent_at, unknown_since
                FROM request_log WHERE request_id = ?2
                """, arguments: [last.next.rawValue, request.id.rawValue])
        let second = database.lastInsertedRowID
        try database.execute(
            sql: "UPDATE request_log SET last_row = ?, bytes = bytes / 2 WHERE request_id = ?",
            arguments: [last.rawValue, request.id.rawValue])
        for (id, part) in [(request.id.rawValue, range.lowerBound...last), (second, last.next...range.upperBound)] {
            try database.execute(
                sql: """
                    UPDATE request_log SET (own_rows, rows) = (
                        SELECT count(*), count(*) FROM row_data d WHERE d.row_id BETWEEN ?1 AND ?2
                            AND NOT EXISTS (SELECT 1 FROM row_fates f WHERE f.row_id = d.row_id)
                    ) WHERE request_id = ?3
                    """, arguments: [part.lowerBound.rawValue, part.upperBound.rawValue, id])
        }
    }

    // MARK: Lists

    private func update(_ exception: RowSettlement) throws {
        let fate = fate(of: exception)
        try database.cachedStatement(
            sql: """
                UPDATE row_fates SET state = ?, request_id = CASE WHEN ? = 'in_doubt' THEN request_id END,
                    attempts = max(attempts - ?, 0), transient_attempts = transient_attempts + ?,
                    first_transient_at = CASE WHEN ? THEN coalesce(first_transient_at, ?) ELSE first_transient_at END,
                    reason = ?, message = ?, decided_at = ?
                WHERE row_id = ? AND request_id = ?
                """
        ).execute(arguments: [
            fate.state.rawValue, fate.state.rawValue, fate.counts && settlement.counts ? 0 : 1,
            fate.transient ? 1 : 0, fate.transient, settlement.answeredAt.microseconds, fate.reason, fate.message,
            settlement.answeredAt.microseconds, exception.row.rawValue, request.id.rawValue,
        ])
        guard database.changesCount == 1 else { throw SpoolError.broken("a row was settled outside of its request") }
    }

    private func settleList() throws {
        let (state, doubt) = restState
        let settled = Set(settlement.exceptions.map(\.row.rawValue))
        let rows = try Int64.fetchAll(
            database, sql: "SELECT row_id FROM row_fates WHERE request_id = ? AND state IN ('sending', 'in_doubt')",
            arguments: [request.id.rawValue])
        for row in rows where !settled.contains(row) {
            try database.cachedStatement(
                sql: """
                    UPDATE row_fates SET state = ?1, attempts = max(attempts - ?2, 0), decided_at = ?3,
                        request_id = CASE WHEN ?1 IN ('in_doubt', 'delivered') THEN request_id END,
                        reason = CASE WHEN ?1 = 'delivered' THEN NULL ELSE coalesce(?4, reason) END,
                        message = CASE WHEN ?1 = 'delivered' THEN NULL ELSE coalesce(?5, message) END
                    WHERE row_id = ?6
                    """
            ).execute(arguments: [
                state.rawValue, settlement.counts ? 0 : 1, settlement.answeredAt.microseconds, doubt?.rawValue,
                settlement.error, row,
            ])
        }
        // A list that is pending again dissolves: its rows are left over and join the next list.
        try setRequest(state == .pending ? .delivered : state, doubt)
    }

    private func setRequest(_ state: RowState, _ doubt: Doubt?) throws {
        try database.cachedStatement(
            sql: """
                UPDATE request_log SET state = ?1, doubt = ?2, answered_at = ?3, http_status = ?4, error = ?5,
                    unknown_since = CASE WHEN ?2 = 'unknown' THEN coalesce(unknown_since, sent_at)
                        WHEN ?1 = 'in_doubt' THEN unknown_since END
                WHERE request_id = ?6
                """
        ).execute(arguments: [
            state.rawValue, doubt?.rawValue, settlement.answeredAt.microseconds, settlement.httpStatus,
            settlement.error, request.id.rawValue,
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
