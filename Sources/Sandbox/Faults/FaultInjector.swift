/// Decides which faults strike which request. Randomness is seeded: the same requests in the same order meet the same faults.
struct FaultInjector: Sendable {
    /// What strikes one request.
    struct Decision: Sendable {
        var delayBefore: Duration = .zero
        var delayAfter: Duration = .zero
        /// The fault that takes the reply's place, if any; the first that matches.
        var outcome: Fault?
        var rowErrors: [(reason: String, rate: Double)] = []
        var losesRows = false
        var newTableDelay: Duration = .zero
        var loseNewTable: Duration = .zero
        var schemaDelay: Duration = .zero
        var dedupeWindow: Duration?
        /// A query's first reply says `jobComplete: false`.
        var leavesJobPending = false
        /// The specs of the faults that struck, for the log.
        var applied: [String] = []
    }

    private struct Armed: Sendable {
        var fault: Fault
        var matched = 0
        var struck = 0
    }

    private var armed: [Armed] = []
    private var random = SplitMix64(state: 1)

    var specs: [String] { armed.map(\.fault.spec) }

    mutating func add(_ faults: [Fault]) {
        for fault in faults {
            if case .seed(let seed) = fault.kind { random = SplitMix64(state: seed) }
            armed.append(Armed(fault: fault))
        }
    }

    mutating func removeAll() { armed = [] }

    /// Bytes of body after which the connection is reset; nil for never.
    var uploadLimit: Int? {
        armed.compactMap { entry in
            guard case .cutUpload(let limit) = entry.fault.kind else { return nil }
            return limit
        }.min()
    }

    mutating func decide(_ operation: Operation, table: TableKey?) -> Decision {
        var decision = Decision()
        for index in armed.indices where armed[index].fault.matches(operation, table: table) {
            let fault = armed[index].fault
            switch fault.kind {
            case .seed, .cutUpload: continue
            default: break
            }
            armed[index].matched += 1
            guard armed[index].matched > fault.after else { continue }
            if let times = fault.times, armed[index].struck >= times { continue }
            // A row error's rate is a share of rows; the rows are drawn later.
            var isPerRow = false
            if case .rowError = fault.kind { isPerRow = true }
            if !isPerRow, fault.rate < 1, random.unit() >= fault.rate { continue }
            if Self.takesReply(fault.kind), decision.outcome != nil { continue }
            armed[index].struck += 1
            decision.applied.append(fault.spec)
            apply(fault, to: &decision)
        }
        return decision
    }

    private func apply(_ fault: Fault, to decision: inout Decision) {
        switch fault.kind {
        case .status, .html, .drop, .reset, .truncate, .garbage, .rawGarbage, .deny: decision.outcome = fault
        case .stall(let duration), .latency(let duration):
            if fault.moment == .before { decision.delayBefore += duration } else { decision.delayAfter += duration }
        case .rowError(let reason): decision.rowErrors.append((reason, fault.rate))
        case .loseRows: decision.losesRows = true
        case .newTableDelay(let duration): decision.newTableDelay = max(decision.newTableDelay, duration)
        case .loseNewTable(let duration): decision.loseNewTable = max(decision.loseNewTable, duration)
        case .schemaDelay(let duration): decision.schemaDelay = max(decision.schemaDelay, duration)
        case .dedupeWindow(let duration): decision.dedupeWindow = duration
        case .pendingJob: decision.leavesJobPending = true
        case .seed, .cutUpload: break
        }
    }

    private static func takesReply(_ kind: Fault.Kind) -> Bool {
        switch kind {
        case .status, .html, .drop, .reset, .truncate, .garbage, .rawGarbage, .deny: true
        default: false
        }
    }

    /// Draws the rows that a row error strikes, out of `count`.
    mutating func draw(rate: Double, outOf count: Int) -> [Int] {
        (0..<count).filter { _ in rate >= 1 || random.unit() < rate }
    }
}

/// A small generator with a seed (Steele, Lea, Flood: SplitMix64).
struct SplitMix64: Sendable {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// In 0..<1.
    mutating func unit() -> Double { Double(next() >> 11) / Double(1 << 53) }
}
