internal import Spool

/// A request on record as being sent, with its body.
struct Outgoing: Sendable {
    var id: RequestID
    var route: Int64
    var isRange: Bool
    var packed: PackedRequest
    /// Attempts of this process that failed.
    var attempt = 0
    /// What the spool holds against the rows; nil: nothing.
    var doubt: Doubt?
    /// Rows in doubt may be sent until then, by `ShipClock.uptime`; after that BigQuery must be asked first.
    var window: Duration?

    /// What becomes of it when it is not sent after all.
    var unsent: Settlement {
        var settlement = Settlement(
            id, rest: doubt.map { .inDoubt($0) } ?? .pending, exceptions: packed.exclusions)
        settlement.counts = false
        return settlement
    }
}

/// A request that waits for its next attempt.
struct WaitingRequest: Sendable {
    var id: RequestID
    var route: Int64
    var isRange: Bool
    var rows: Int
    var bytes: Int
    var attempt: Int
    /// By `ShipClock.uptime`.
    var due: Duration
    var doubt: Doubt?
    var window: Duration?
    /// The server named a time: it is not brought forward.
    var isFixed = false
}

/// Reads rows, packs bodies (`run`), and puts them on record as being sent, before the first byte goes out (`begin`). Both run beside the
/// table's loop; the rows that follow may be packed while a commit of `begin` is under way.
struct Preparation: Sendable {
    struct Result: Sendable {
        var job: Preparation
        /// On record as being sent.
        var outgoing: [Outgoing] = []
        /// Packed, and not on record yet.
        var leftOver: [PackedRequest] = []
        var fresh: [PackedRequest] = []
        /// On record as being sent, but not packed: to be settled as not sent.
        var unsent: [Outgoing] = []
        var freshIsUsedUp = false
        var leftOverIsUsedUp = false
        /// A shape came up that the plan does not know.
        var unknownShape: Int64?
        /// Where reading met damage; what was read before it is packed.
        var damage: SpoolError?
        /// Requests whose rows can't be read.
        var damaged: Set<RequestID> = []
        var needsPlan: Bool { unknownShape != nil }
        /// Another command changed rows meanwhile: look at the spool again.
        var isStale = false

        private var packed: [PackedRequest] { outgoing.map(\.packed) + leftOver + fresh }
        var rows: Int { packed.reduce(0) { $0 + $1.count } }
        var bytes: Int { packed.reduce(0) { $0 + $1.bytes } }
        var bodies: Int { outgoing.count + leftOver.count + fresh.count }
        var mustBegin: Bool { !leftOver.isEmpty || !fresh.isEmpty }
    }

    var route: Route
    var resends: [WaitingRequest] = []
    var takesLeftOver = false
    /// Rows left over that are not due yet.
    var held: Set<RowID> = []
    /// Rows left over that were held and are due now.
    var due: Set<RowID> = []
    var takesFresh = false
    /// Fresh rows up to here were packed already.
    var after: RowID?
    var maximumBodies: Int
    var maximumBytes: Int
    var maximumRows: Int

    func run(_ packer: RequestPacker, _ spool: SpoolStore) async throws -> Result {
        var result = Result(job: self)
        do {
            if !resends.isEmpty { try await prepareResends(packer, spool, &result) }
            if takesLeftOver, !result.needsPlan {
                let read = try await pack(.leftOver(route: route.number, after: nil), packer, spool, result)
                result.leftOverIsUsedUp = read.isUsedUp
                result.unknownShape = read.unknownShape
                result.damage = result.damage ?? read.damage
                result.leftOver = read.packed
            }
            if takesFresh, !result.needsPlan {
                let read = try await pack(.fresh(route: route.number, after: after), packer, spool, result)
                result.freshIsUsedUp = read.isUsedUp
                result.unknownShape = read.unknownShape
                result.damage = result.damage ?? read.damage
                result.fresh = read.packed
            }
        } catch SpoolError.stale {
            packer.clear()
            result.isStale = true
            result.freshIsUsedUp = false
            result.leftOverIsUsedUp = false
        }
        return result
    }

    /// Puts what was packed on record, in one commit.
    ///
    /// Rows packed after others whose commit turned out to be stale are stale too: the spool takes no range that leaves rows out.
    static func begin(_ packed: Result, _ spool: SpoolStore) async throws -> Result {
        var result = packed
        let lists = result.leftOver.map { ($0, false) } + result.fresh.map { ($0, true) }
        result.leftOver = []
        result.fresh = []
        let route = packed.job.route.number
        let requests = lists.map { request, isRange in
            NewRequest(
                route: route,
                rows: isRange
                    ? .range(first: request.first, last: request.last, count: request.count)
                    : .list(request.rows + request.exclusions.map(\.row)), bytes: request.bytes)
        }
        do {
            let ids = try await spool.begin(requests)
            for (id, (request, isRange)) in zip(ids, lists) {
                result.outgoing.append(Outgoing(id: id, route: route, isRange: isRange, packed: request))
            }
        } catch SpoolError.stale {
            result.isStale = true
            result.freshIsUsedUp = false
            result.leftOverIsUsedUp = false
        }
        return result
    }

    private func prepareResends(
        _ packer: RequestPacker, _ spool: SpoolStore, _ result: inout Result
    ) async throws {
        // On record first: from then on no other command changes the rows.
        try await spool.resend(resends.map(\.id))
        packer.isUnlimited = true
        defer { packer.isUnlimited = false }
        for resend in resends {
            let reading = Reading(packer: packer, limit: .max, bodies: 1, bytes: .max, held: [])
            try await reading.read(.request(resend.id), limit: Int(Int32.max), spool)
            var outgoing = Outgoing(
                id: resend.id, route: resend.route, isRange: resend.isRange,
                packed: reading.packed.first ?? PackedRequest(), attempt: resend.attempt, doubt: resend.doubt,
                window: resend.window)
            if let damage = reading.damage {
                // All of it or nothing: which rows share its fate can't be told.
                outgoing.packed = PackedRequest()
                result.damage = damage
                result.damaged.insert(resend.id)
                result.unsent.append(outgoing)
            } else if let shape = reading.unknownShape {
                result.unknownShape = shape
                result.unsent.append(outgoing)
            } else {
                result.outgoing.append(outgoing)
            }
        }
    }

    private func pack(
        _ selection: RowSelection, _ packer: RequestPacker, _ spool: SpoolStore, _ soFar: Result
    ) async throws -> Reading {
        let reading = Reading(
            packer: packer, limit: maximumRows - soFar.rows, bodies: maximumBodies - soFar.bodies,
            bytes: maximumBytes - soFar.bytes, held: held)
        guard reading.hasRoom else { return reading }
        let limit = min(packer.limits.rows * reading.bodies + held.count + 1, Int(Int32.max))
        reading.isUsedUp = true
        try await reading.read(selection, limit: limit, spool)
        if reading.damage != nil {
            // Nothing behind it can be reached.
            reading.isUsedUp = true
        } else if reading.count >= limit {
            reading.isUsedUp = false
        }
        return reading
    }
}

/// Fills bodies inside a read of the spool.
// Unchecked: used by the one closure of one read, and by the caller only after that read has returned.
private final class Reading: @unchecked Sendable {
    private let packer: RequestPacker
    private let limit: Int
    let bodies: Int
    private let bytes: Int
    private let held: Set<RowID>
    private let holdsAny: Bool
    private(set) var packed: [PackedRequest] = []
    private(set) var unknownShape: Int64?
    private(set) var damage: SpoolError?
    private(set) var count = 0
    var isUsedUp = false
    private var taken = 0
    private var packedBytes = 0

    init(packer: RequestPacker, limit: Int, bodies: Int, bytes: Int, held: Set<RowID>) {
        self.packer = packer
        self.limit = limit
        self.bodies = bodies
        self.bytes = bytes
        self.held = held
        holdsAny = !held.isEmpty
    }

    var hasRoom: Bool { limit > 0 && bodies > 0 && bytes > 0 }

    func read(_ selection: RowSelection, limit: Int, _ spool: SpoolStore) async throws {
        do {
            try await spool.readRows(selection, limit: limit) { self.take($0) }
        } catch let error as SpoolError {
            guard case .damaged = error else { throw error }
            damage = error
        }
        finish()
    }

    /// False ends the read.
    private func take(_ row: RowBytes) -> Bool {
        count += 1
        if holdsAny, held.contains(row.id) { return true }
        guard taken < limit else { return stop() }
        while true {
            switch packer.add(row) {
            case .added:
                taken += 1
                return true
            case .unknownShape(let shape):
                unknownShape = shape
                return stop()
            case .full:
                seal()
                // The next body may be as large as one may be.
                guard packed.count < bodies, packedBytes + packer.limits.bytes <= bytes else { return stop() }
            }
        }
    }

    private func stop() -> Bool {
        isUsedUp = false
        return false
    }

    private func seal() {
        let request = packer.seal()
        packedBytes += request.bytes
        packed.append(request)
    }

    private func finish() {
        if unknownShape != nil || damage != nil, packer.isUnlimited {
            packer.clear()
        } else if !packer.isEmpty {
            seal()
        }
    }
}
