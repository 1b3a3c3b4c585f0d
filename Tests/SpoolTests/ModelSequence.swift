import GRDB
import TestSupport

@testable import Spool

/// One random sequence of operations, done to a spool and to the model alike, compared after each.
struct ModelSequence {
    struct Difference: Error, CustomStringConvertible {
        var description: String
    }

    private var spool: SpoolStore
    private var random: SeededGenerator
    private var model = SpoolModel()
    private var runs: [Run] = []
    private var nextNumber = 0
    /// The wall clock of the sequence, in microseconds; one tick per step.
    private var clock: Int64 = 1_764_000_000_000_000
    private var trace: [String] = []

    init(spool: SpoolStore, seed: UInt64) {
        self.spool = spool
        random = SeededGenerator(seed: seed)
    }

    mutating func run(steps: Int) async throws {
        runs = [try await spool.beginTestRun(.memos("memos")), try await spool.beginTestRun(.memos("orders"))]
        do {
            for index in 1...steps {
                clock += 1
                try await step()
                // Comparing costs more than the steps do; a difference does not go away by itself.
                if index % 4 == 0 { try await compare() }
            }
            for route in try await spool.routes() {
                for check in try await spool.audit(route, payloadMatches: { _, _ in true }) where !check.isOK {
                    throw Difference(description: "\(check)")
                }
            }
        } catch {
            throw Difference(description: "\(error)\n" + trace.joined(separator: "\n"))
        }
    }

    private mutating func pick<Element>(_ items: [Element]) -> Element? { items.randomElement(using: &random) }

    private mutating func step() async throws {
        let run = random.isOnce(of: 4) ? runs[1] : runs[0]
        switch Int.random(in: 0..<22, using: &random) {
        case 0...3: try await append(run)
        case 4...6: try await beginRange(run.route)
        case 7: try await beginList(run.route)
        case 8...12: try await settle(run.route)
        case 13...14: try await resend(run.route)
        case 15: try await retry(run)
        case 16: try await discard(run)
        case 17: try await retire()
        case 18: try await doubtDelivered(run.route)
        case 19: try await reopen(isKilled: random.isOnce(of: 2))
        case 20 where random.isOnce(of: 3): try await restore()
        default: try await retryDelivered(run)
        }
    }

    private mutating func append(_ run: Run) async throws {
        let batch = RowBatch()
        let first = try await spool.write { database in
            try Int64.fetchOne(database, sql: "SELECT next_row FROM routes WHERE route = ?", arguments: [run.route])
                ?? 0
        }
        let count = Int.random(in: 0..<12, using: &random)
        var rejections: [Bool] = []
        for _ in 0..<count {
            var row = TestRow(nextNumber, stream: run.streamNumber == runs[0].streamNumber ? "memos" : "orders")
            rejections.append(random.isOnce(of: 8))
            if rejections.last == true { row.attributes.rejection = (reason: "bad_line", message: "") }
            batch.append(row)
            nextNumber += 1
        }
        trace.append("append \(count) to route \(run.route)")
        try await spool.append(PageCommit(run: run, rows: batch))
        for (index, isRejected) in rejections.enumerated() {
            model.append(first + Int64(index), isRejected: isRejected)
        }
    }

    private mutating func beginRange(_ route: Int64) async throws {
        let fresh = try await spool.rowIDs(.fresh(route: route, after: nil)).map(\.rawValue)
        guard fresh == model.fresh(route) else { throw Difference(description: "fresh rows \(fresh)") }
        if fresh.isEmpty { return }
        let size = Int.random(in: 1...min(fresh.count, 9), using: &random)
        let parts = random.isOnce(of: 3) ? [Array(fresh[..<size]), Array(fresh[size...])] : [Array(fresh[..<size])]
        trace.append("begin \(parts)")
        _ = try await spool.begin(
            parts.filter { !$0.isEmpty }.map { part in
                NewRequest(
                    route: route,
                    rows: .range(first: RowID(part[0]), last: RowID(part[part.count - 1]), count: part.count), bytes: 90
                )
            })
        for part in parts where !part.isEmpty { model.begin(part, isRange: true) }
    }

    private mutating func beginList(_ route: Int64) async throws {
        let left = try await spool.rowIDs(.leftOver(route: route, after: nil)).map(\.rawValue)
        guard left == model.leftOver(route) else { throw Difference(description: "left over rows \(left)") }
        let chosen = left.filter { _ in !random.isOnce(of: 4) }
        if chosen.isEmpty { return }
        trace.append("begin list \(chosen)")
        _ = try await spool.begin([NewRequest(route: route, rows: .list(chosen.map(RowID.init)), bytes: 9)])
        model.begin(chosen, isRange: false)
    }

    /// A request that is not settled, as the spool and as the model know it.
    private mutating func openRequest(_ route: Int64, _ states: Set<RowState>) async throws -> (RequestID, Int)? {
        let open = try await spool.requests(of: try await spool.route(route), in: states)
        guard let request = pick(open) else { return nil }
        let rows = try await spool.rowIDs(.request(request.id)).map(\.rawValue)
        guard let number = model.requests.keys.first(where: { model.members($0) == rows }) else {
            throw Difference(description: "the model has no request with the rows \(rows)")
        }
        return (request.id, number)
    }

    private mutating func settle(_ route: Int64) async throws {
        // Mostly what is being sent; sometimes what was asked about, or found damaged before it was sent again.
        let states: Set<RowState> = random.isOnce(of: 4) ? [.inDoubt, .pending] : [.sending]
        guard let (id, number) = try await openRequest(route, states) else { return }
        let rests: [Settlement.Rest] = [.delivered, .delivered, .pending, .inDoubt(.unknown), .inDoubt(.settling)]
        var settlement = Settlement(
            id, rest: pick(rests) ?? .delivered, answeredAt: Timestamp(microseconds: clock))
        let rows = model.members(number)
        if random.isOnce(of: 2) {
            let outcomes: [RowSettlement.Outcome] = [
                .delivered, .rejected(reason: "invalid", message: "no"), .inDoubt(.unknown), .inDoubt(.settling),
                .pending(reason: "stopped", message: "", counts: false, transient: false),
                .pending(reason: "backendError", message: "", counts: true, transient: true),
            ]
            for row in rows where random.isOnce(of: 3) {
                settlement.exceptions.append(RowSettlement(RowID(row), pick(outcomes) ?? .delivered))
            }
        }
        settlement.counts = !random.isOnce(of: 5)
        settlement.clearsDoubt = random.isOnce(of: 3)
        if rows.count > 1, random.isOnce(of: 3), let last = pick(Array(rows.dropLast())) {
            settlement.splitAfter = RowID(last)
        }
        trace.append("settle \(rows): \(settlement)")
        try await spool.settle([settlement])
        model.settle(number, settlement)
    }

    private mutating func resend(_ route: Int64) async throws {
        guard let (id, number) = try await openRequest(route, [.pending, .inDoubt]) else { return }
        trace.append("resend \(model.members(number))")
        try await spool.resend([id])
        model.resend(number)
    }

    /// A filter for one row, or for none in particular, and whether it lets a row pass.
    private mutating func filter(_ run: Run) async throws -> (RowFilter, Set<Int64>) {
        var filter = RowFilter()
        let stream = run.streamNumber == runs[0].streamNumber ? "memos" : "orders"
        filter.streams = [stream]
        let records = try await spool.records(filter)
        if random.isOnce(of: 2), let record = pick(records) {
            filter.id = record.id
            return (filter, [record.row.rawValue])
        }
        return (filter, Set(records.map(\.row.rawValue)))
    }

    private mutating func retry(_ run: Run) async throws {
        let (filter, candidates) = try await filter(run)
        let chosen = candidates.filter { model.rows[$0]?.state == .rejected }.sorted()
        trace.append("retry \(chosen)")
        try expect(try await spool.retryRejected(filter), chosen.count)
        model.setApart(chosen, as: .pending)
    }

    private mutating func discard(_ run: Run) async throws {
        let (filter, candidates) = try await filter(run)
        let states: Set<RowState> = [.pending, .inDoubt, .rejected]
        let chosen = candidates.filter { row in model.rows[row].map { states.contains($0.state) } ?? false }.sorted()
        trace.append("discard \(chosen)")
        try expect(try await spool.discard(filter, why: "so"), chosen.count)
        model.setApart(chosen, as: .discarded)
    }

    private mutating func retryDelivered(_ run: Run) async throws {
        let (filter, candidates) = try await filter(run)
        let cutoff = clock - Int64.random(in: 0..<20, using: &random)
        let isByTime = random.isOnce(of: 2)
        let chosen = candidates.filter { row in
            guard let row = model.rows[row], row.state == .delivered else { return false }
            return !isByTime || (row.deliveredAt ?? 0) < cutoff
        }.sorted()
        if isByTime {
            trace.append("retry delivered before \(cutoff) \(chosen)")
            try expect(
                try await spool.retryDelivered(before: Timestamp(microseconds: cutoff), filter), chosen.count)
        } else {
            trace.append("retry missing \(chosen)")
            try expect(try await spool.retryMissing(candidates.sorted().map(RowID.init)), chosen.count)
        }
        model.setApart(chosen, as: .pending)
    }

    private mutating func retire() async throws {
        let cutoff = clock - Int64.random(in: -1..<20, using: &random)
        trace.append("retire before \(cutoff)")
        try expect(
            try await spool.retire(deliveredBefore: Timestamp(microseconds: cutoff)), model.retire(before: cutoff))
    }

    private mutating func doubtDelivered(_ route: Int64) async throws {
        let since = clock - Int64.random(in: 0..<20, using: &random)
        trace.append("doubt what route \(route) delivered since \(since)")
        let table = try await spool.route(route).table
        try expect(
            try await spool.doubtDelivered(to: table, endpoint: "loopback", since: Timestamp(microseconds: since)),
            model.doubtDelivered(route, since: since))
    }

    private mutating func reopen(isKilled: Bool) async throws {
        trace.append("reopen\(isKilled ? " after a kill" : "")")
        try spool.close()
        spool = try SpoolStore(path: spool.path, creating: false)
        guard isKilled else { return }
        _ = try await spool.doubtUnfinishedRequests()
        model.doubtUnfinished()
    }

    private mutating func restore() async throws {
        trace.append("restore")
        try await spool.doubtPending()
        model.doubtPending()
    }

    // MARK: Comparing

    private func expect(_ found: Int, _ expected: Int) throws {
        guard found == expected else { throw Difference(description: "\(found) rows instead of \(expected)") }
    }

    private func compare() async throws {
        let records = try await spool.records()
        let found = Dictionary(uniqueKeysWithValues: records.map { ($0.row.rawValue, "\($0.state) \($0.attempts)") })
        let expected = model.rows.mapValues { "\($0.state) \($0.attempts)" }
        guard found == expected else {
            let rows = Set(found.keys).union(expected.keys).filter { found[$0] != expected[$0] }.sorted()
            throw Difference(
                description: "rows: "
                    + rows.map { "\($0) is \(found[$0] ?? "gone") not \(expected[$0] ?? "gone")" }
                    .joined(separator: ", "))
        }
        for entry in try await spool.ledger() {
            let route = entry.route.number
            var expected = LedgerEntry(route: entry.route)
            expected.spooled = model.spooled[route] ?? 0
            expected.retired = model.retired[route] ?? 0
            for state in RowState.allCases {
                expected.add(model.rows(of: route) { $0.state == state }.count, to: state)
            }
            guard entry == expected, entry.isBalanced else {
                throw Difference(description: "the ledger says \(entry), not \(expected)")
            }
            try await compareRequests(entry.route)
        }
    }

    private func compareRequests(_ route: Route) async throws {
        let states: Set<RowState> = [.pending, .sending, .inDoubt]
        var found: Set<String> = []
        for request in try await spool.requests(of: route, in: states) {
            let rows = try await spool.rowIDs(.request(request.id)).map(\.rawValue)
            guard request.rows == rows.count else {
                throw Difference(description: "request of \(rows) says it has \(request.rows) rows")
            }
            found.insert(
                "\(request.range != nil) \(request.state) \(request.doubt?.rawValue ?? "-") "
                    + "\(request.unknownSince != nil) \(rows)")
        }
        let expected = model.requests.filter { number, request in
            states.contains(request.state) && model.members(number).first.map(SpoolModel.route) == route.number
        }.map { number, request in
            "\(request.isRange) \(request.state) \(request.doubt?.rawValue ?? "-") \(request.isUnknown) \(model.members(number))"
        }
        guard found == Set(expected) else {
            throw Difference(description: "requests \(found.sorted()) instead of \(expected.sorted())")
        }
    }
}
