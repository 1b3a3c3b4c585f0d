import Spool

/// What the spool promises, as simply as it can be said: every row has a state, and a request is a set of rows.
struct SpoolModel {
    struct ModelRow: Equatable {
        var state = RowState.pending
        var attempts = 0
        /// The request whose fate the row shares, also after its delivery.
        var request: Int?
        /// True once the row was treated apart from a range.
        var isSingle = false
        var deliveredAt: Int64?
    }

    struct ModelRequest {
        var isRange: Bool
        var state: RowState
        var doubt: Doubt?
        /// An attempt with an unknown outcome has not been cleared up.
        var isUnknown = false
        var answeredAt: Int64 = 0
    }

    /// By row id.
    private(set) var rows: [Int64: ModelRow] = [:]
    private(set) var requests: [Int: ModelRequest] = [:]
    private(set) var spooled: [Int64: Int] = [:]
    private(set) var retired: [Int64: Int] = [:]
    private var nextRequest = 0

    static func route(of row: Int64) -> Int64 { row >> 40 }

    func members(_ request: Int) -> [Int64] {
        rows.filter { $0.value.request == request }.keys.sorted()
    }

    func rows(of route: Int64, where condition: (ModelRow) -> Bool) -> [Int64] {
        rows.filter { Self.route(of: $0.key) == route && condition($0.value) }.keys.sorted()
    }

    /// Rows never claimed.
    func fresh(_ route: Int64) -> [Int64] {
        rows(of: route) { $0.state == .pending && $0.request == nil && !$0.isSingle }
    }

    func leftOver(_ route: Int64) -> [Int64] {
        rows(of: route) { $0.state == .pending && $0.isSingle }
    }

    // MARK: Events

    mutating func append(_ row: Int64, isRejected: Bool) {
        rows[row] = ModelRow(state: isRejected ? .rejected : .pending, isSingle: isRejected)
        spooled[Self.route(of: row), default: 0] += 1
    }

    mutating func begin(_ members: [Int64], isRange: Bool) {
        for row in members {
            rows[row]?.attempts += 1
        }
        make(ModelRequest(isRange: isRange, state: .sending), of: members)
    }

    mutating func resend(_ request: Int) {
        requests[request]?.state = .sending
        requests[request]?.doubt = nil
        for row in members(request) {
            rows[row]?.state = .sending
            rows[row]?.attempts += 1
        }
    }

    mutating func settle(_ number: Int, _ settlement: Settlement) {
        guard let request = requests[number] else { return }
        let isStillUnknown = request.isUnknown && !settlement.clearsDoubt
        func outcome(_ rest: Settlement.Rest) -> (RowState, Doubt?) {
            switch rest {
            case .delivered: (.delivered, nil)
            case .inDoubt(let doubt): (.inDoubt, doubt)
            case .pending: isStillUnknown ? (.inDoubt, .unknown) : (.pending, nil)
            }
        }
        let time = settlement.answeredAt.microseconds
        var doubtful: [Doubt: [Int64]] = [:]
        for exception in settlement.exceptions {
            let row = exception.row.rawValue
            var uncounted = !settlement.counts
            var (state, doubt): (RowState, Doubt?)
            switch exception.outcome {
            case .delivered: (state, doubt) = outcome(.delivered)
            case .rejected: (state, doubt) = (.rejected, nil)
            case .inDoubt(let reason): (state, doubt) = (.inDoubt, reason)
            case .pending(_, _, let counts, _):
                (state, doubt) = outcome(.pending)
                if !counts { uncounted = true }
            }
            if uncounted { lowerAttempts(row) }
            rows[row]?.request = nil
            rows[row]?.isSingle = true
            rows[row]?.state = state
            rows[row]?.deliveredAt = state == .delivered ? time : nil
            if let doubt { doubtful[doubt, default: []].append(row) }
        }
        let (state, doubt) = outcome(settlement.rest)
        let rest = members(number)
        for row in rest {
            if !settlement.counts { lowerAttempts(row) }
            rows[row]?.state = state
            rows[row]?.deliveredAt = state == .delivered ? time : nil
            if !request.isRange, state == .pending || state == .delivered { rows[row]?.request = nil }
        }
        requests[number]?.state = state
        requests[number]?.doubt = doubt
        requests[number]?.answeredAt = time
        requests[number]?.isUnknown =
            state == .inDoubt && (isStillUnknown || doubt == .unknown)
        if let last = settlement.splitAfter?.rawValue, request.isRange, state != .delivered {
            var second = ModelRequest(isRange: true, state: state)
            second.doubt = doubt
            second.answeredAt = time
            second.isUnknown = requests[number]?.isUnknown ?? false
            make(second, of: rest.filter { $0 > last })
        }
        for (doubt, members) in doubtful {
            make(
                ModelRequest(
                    isRange: false, state: .inDoubt, doubt: doubt, isUnknown: isStillUnknown || doubt == .unknown),
                of: members)
        }
        forgetEmptyRequests()
    }

    /// What a kill or a restart makes of rows being sent.
    mutating func doubtUnfinished() {
        for (number, request) in requests where request.state == .sending {
            requests[number]?.state = .inDoubt
            requests[number]?.doubt = .unknown
            requests[number]?.isUnknown = true
            for row in members(number) { rows[row]?.state = .inDoubt }
        }
    }

    mutating func doubtDelivered(_ route: Int64, since: Int64) -> Int {
        let again = rows(of: route) { $0.state == .delivered && ($0.deliveredAt ?? 0) >= since }
        let singles = again.filter { rows[$0]?.isSingle == true }
        for row in again {
            rows[row]?.state = .inDoubt
            rows[row]?.deliveredAt = nil
            if let request = rows[row]?.request {
                requests[request]?.state = .inDoubt
                requests[request]?.doubt = .settling
            }
        }
        make(ModelRequest(isRange: false, state: .inDoubt, doubt: .settling), of: singles)
        forgetEmptyRequests()
        return again.count
    }

    mutating func doubtPending() {
        doubtUnfinished()
        for (number, request) in requests where request.state == .pending {
            requests[number]?.state = .inDoubt
            requests[number]?.doubt = .unknown
            requests[number]?.isUnknown = true
            for row in members(number) { rows[row]?.state = .inDoubt }
        }
        for route in Set(rows.keys.map(Self.route)) {
            make(ModelRequest(isRange: false, state: .inDoubt, doubt: .unknown, isUnknown: true), of: leftOver(route))
            make(ModelRequest(isRange: true, state: .inDoubt, doubt: .unknown, isUnknown: true), of: fresh(route))
        }
    }

    mutating func setApart(_ chosen: [Int64], as state: RowState) {
        for row in chosen {
            rows[row]?.state = state
            rows[row]?.request = nil
            rows[row]?.isSingle = true
            rows[row]?.deliveredAt = nil
        }
        forgetEmptyRequests()
    }

    mutating func retire(before: Int64) -> Int {
        let gone = rows.filter { $0.value.state == .delivered && ($0.value.deliveredAt ?? 0) < before }.keys
        for row in gone {
            rows[row] = nil
            retired[Self.route(of: row), default: 0] += 1
        }
        forgetEmptyRequests()
        return gone.count
    }

    // MARK: Helpers

    private mutating func lowerAttempts(_ row: Int64) {
        let attempts = rows[row]?.attempts ?? 0
        rows[row]?.attempts = max(attempts - 1, 0)
    }

    private mutating func make(_ request: ModelRequest, of members: [Int64]) {
        if members.isEmpty { return }
        nextRequest += 1
        requests[nextRequest] = request
        for row in members {
            rows[row]?.request = nextRequest
            rows[row]?.state = request.state
            if !request.isRange { rows[row]?.isSingle = true }
        }
    }

    private mutating func forgetEmptyRequests() {
        for number in requests.keys where members(number).isEmpty { requests[number] = nil }
    }
}
