internal import Spool

/// Ships the rows of one table: the loop around preparing, sending, judging, settling and asking. Several requests are under way at once;
/// all decisions are made here, one at a time.
// Not Sendable: it lives inside one task. What runs beside it (sends, reads, commits) gets copies and reports back as an event.
final class TableShipper {
    struct Shared: Sendable {
        var spool: SpoolStore
        var client: BigQueryClient
        var configuration: ShipConfiguration
        var streams: [String: StreamDelivery]
        var budget: DeliveryBudget
        var pool = BodyPool()
        var control: ShipControl
        var report: @Sendable (ShipEvent) -> Void
    }

    /// Why the loop ends.
    enum Ending: Sendable, Equatable {
        case drained
        case settling
        case offline(ShipStop)
        case refused(ShipStop)
        case stopped
    }

    enum Event: Sendable {
        case packed(Swift.Result<Preparation.Result, any Error>, granted: Int)
        case begun(Swift.Result<Preparation.Result, any Error>, granted: Int)
        case answered(Answer)
        case settled(Swift.Result<Void, any Error>, [Decision])
        case asked(Swift.Result<[Verification.Finding], any Error>, at: Duration, epoch: Int)
        case room
        case timer(Duration)
        case stop
        case graceIsOver
    }

    struct Answer: Sendable {
        var outgoing: Outgoing
        var reply: InsertReply
        var round: UInt64
        /// By `ShipClock.uptime`.
        var startedAt: Duration
        var endedAt: Duration
    }

    /// A settlement, what it adds to the summary, and what follows once it is on record.
    struct Decision: Sendable {
        var settlement: Settlement
        var route: Int64
        var delivered = 0
        var rejected = 0
        var inDoubt = 0
        /// The request's next attempt.
        var waiting: WaitingRequest?
        /// Single rows and their next attempts.
        var held: [(row: RowID, due: Duration, attempt: Int)] = []
        /// BigQuery is to be asked about rows of it: at once, or when nothing else is to do.
        var raisesDoubt: Doubt?
        /// It left requests behind that the loop does not know.
        var needsScan = false
    }

    struct RouteState {
        var route: Route
        var freshIsUsedUp = false
        var leftOverIsUsedUp = false
        /// Single rows that wait for their next attempt: when, and after how many.
        var held: [RowID: (due: Duration, attempt: Int)] = [:]
        /// Attempts of the single rows that are under way.
        var attempts: [RowID: Int] = [:]
    }

    /// How often the table is looked at while rows are sent.
    static let lookInterval: Duration = .seconds(30)

    typealias Group = ThrowingTaskGroup<Event, any Error>

    let shared: Shared
    let table: TableReference
    let holder: DeliveryBudget.Holder
    let keeper: TableKeeper
    var summaries: [Int64: StreamSummary] = [:]
    var routes: [RouteState]

    // What is under way beside the loop.
    var inFlight: [RequestID: Outgoing] = [:]
    var isPacking = false
    /// What is being put on record as being sent.
    var beginning: Preparation.Result?
    /// Packed meanwhile, with the bytes granted for it.
    var packed: (result: Preparation.Result, granted: Int)?
    /// Requests that are being prepared to be sent again.
    var resending: Set<RequestID> = []
    var isWriting = false
    var isAsking = false
    var isAwaitingRoom = false
    var timers: Set<Duration> = []

    // What waits.
    var ready: [Outgoing] = []
    var waiting: [RequestID: WaitingRequest] = [:]
    var unsettled: [Decision] = []
    /// Since when there are decisions that are not being written.
    var undecidedSince: Duration?
    var postponed: [Answer] = []

    // The table.
    var plan: TablePlan?
    var packer: RequestPacker?
    var bytesPerRequest: Int
    /// The smallest body that was refused for its size.
    var refusedBytes: Int?
    var needsPlan = true
    var needsLook = true
    var lookedAt: Duration?
    var metadataDue: Duration = .zero
    var metadataAttempts = 0
    var sentSinceLook = false
    /// insertAll knew less than the metadata says.
    var insertDisagrees = false
    var lastChangeOfOurs: Duration?
    var viewDue: Duration = .zero
    var warned: Set<String> = []

    // Doubt.
    /// Nil: not known yet whether questions are permitted.
    var canAsk: Bool?
    /// Requests may be in doubt that the loop does not know of.
    var mustScan = true
    /// BigQuery is to be asked now.
    var hasFreshDoubt = false
    /// Rows were accepted by a settling table: to be asked about when nothing else is to do.
    var hasSettlingDoubt = false
    /// Rows that were not found wait for the table to settle, to be asked about once more.
    var awaitsSettling = false
    /// A round of questions goes through all requests in doubt once.
    var askedInRound: Set<RequestID>?
    var questionDue: Duration = .zero
    var idsPerQuestion = Verification.idsPerQuestion
    var questionAttempts = 0

    // Failing.
    enum Concern: Hashable { case insert, metadata, question }
    var failingSince: [Concern: (Duration, String)] = [:]
    /// When who reads the log is told again that nothing goes on; nil: nothing was said yet.
    var failingReportDue: Duration?
    var failures = 0
    /// The last failure was insertAll not knowing a table or a column that is there.
    var failsForMetadata = false
    var typicalLatency: Double?

    /// The first damage that was met. What it does not touch is shipped, then the run ends with it.
    var damage: SpoolError?
    /// Requests whose rows can't be read.
    var damaged: Set<RequestID> = []
    /// A shape that the plan before the present one did not know.
    var unknownShape: Int64?
    /// How often in a row another command had changed what was prepared.
    var timesStale = 0

    var ending: Ending?
    var nextPoll: Duration = .zero
    /// The present step began while the shipper was to follow. The first that does not looks into the spool once more.
    var wasFollowing = false
    /// Wakes in a row for something that was due and that nothing came of.
    var overdueWakes = 0
    var startedAt: Duration = .zero

    init(shared: Shared, table: TableReference, holder: DeliveryBudget.Holder, routes: [Route]) {
        self.shared = shared
        self.table = table
        self.holder = holder
        self.routes = routes.map { RouteState(route: $0) }
        bytesPerRequest = shared.configuration.maximumRequestBytes
        keeper = TableKeeper(
            table: table, spool: shared.spool, client: shared.client, configuration: shared.configuration,
            report: shared.report)
        if shared.configuration.verify == .never { canAsk = false }
        for route in routes {
            summaries[route.number] = StreamSummary(stream: route.stream, table: route.table)
        }
    }

    var configuration: ShipConfiguration { shared.configuration }
    var clock: ShipClock { shared.configuration.clock }
    var now: Duration { clock.uptime() }

    /// Requests are being made.
    var isPreparing: Bool { isPacking || beginning != nil }

    /// Nothing is under way that the loop would have to wait for.
    var isQuiet: Bool {
        inFlight.isEmpty && !isPreparing && !isWriting && !isAsking && unsettled.isEmpty && ready.isEmpty
            && postponed.isEmpty
    }

    /// The loop has this request in hand, whatever the spool says of it at the moment.
    func hasInHand(_ id: RequestID) -> Bool {
        waiting[id] != nil || inFlight[id] != nil || resending.contains(id) || damaged.contains(id)
            || ready.contains { $0.id == id }
    }

    /// Nothing may be sent: accepted rows could be lost, and BigQuery can't be asked about them.
    var isHeld: Bool { keeper.isSettling && canAsk == false }

    // MARK: The loop

    /// - Throws: `SpoolError`. What the destination says is in the ending.
    func run() async throws -> (ending: Ending, summaries: [StreamSummary]) {
        startedAt = now
        try await keeper.load()
        if !shared.control.follows, try await isDrained() {
            // Nothing is owed to the destination; at most a view is to be switched.
            try await keepViews()
            try await keeper.rememberError(nil)
            return (.drained, routes.compactMap { summaries[$0.route.number] })
        }
        defer { shared.budget.setActive(holder, false) }
        try await withThrowingTaskGroup(of: Event.self) { group in
            let control = shared.control
            group.addTask {
                await control.waitForStop()
                return .stop
            }
            while true {
                try await step(&group)
                if ending != nil, isQuiet { break }
                guard let event = try await group.next() else { break }
                try await handle(event, &group)
            }
            group.cancelAll()
        }
        if let damage { throw damage }
        switch ending {
        case .offline(let stop), .refused(let stop): try await keeper.rememberError(stop.message)
        case .drained, .settling: try await keeper.rememberError(nil)
        case .stopped, nil: break
        }
        let seconds = (now - startedAt).inSeconds
        for number in summaries.keys { summaries[number]?.seconds = seconds }
        return (ending ?? .drained, routes.compactMap { summaries[$0.route.number] })
    }

    private func isDrained() async throws -> Bool {
        let numbers = Set(routes.map(\.route.number))
        return try await shared.spool.ledger().allSatisfy {
            !numbers.contains($0.route.number) || $0.undelivered == 0
        }
    }

    private func step(_ group: inout Group) async throws {
        if ending == nil, shared.control.isStopping || Task.isCancelled { ending = .stopped }
        let follows = shared.control.follows
        if wasFollowing, !follows { lookForRows() }
        wasFollowing = follows
        if ending == nil { try await keepTable() }
        if ending == nil {
            reportFailing()
            giveUpIfOutOfPatience()
        }
        if ending != nil {
            returnReady()
            judgePostponed()
        }
        write(&group)
        if ending == nil {
            try await scanIfNeeded()
            launch(&group)
            prepare(&group)
            try await ask(&group)
            if isQuiet { try await rest() }
        }
        if ending != nil || isQuiet { shared.budget.setActive(holder, false) }
        armTimer(&group)
    }

    private func handle(_ event: Event, _ group: inout Group) async throws {
        if case .timer = event {} else { overdueWakes = 0 }
        switch event {
        case .packed(let result, let granted):
            isPacking = false
            take(packed: try result.get(), granted: granted, &group)
            try await giveUpIfStaleForEver()
        case .begun(let result, let granted):
            let job = beginning
            beginning = nil
            take(prepared: try begun(result, job), granted: granted)
            try await giveUpIfStaleForEver()
            if let next = packed {
                packed = nil
                take(packed: next.result, granted: next.granted, &group)
            }
        case .answered(let answer):
            take(answer)
        case .settled(let result, let decisions):
            isWriting = false
            try result.get()
            for decision in decisions { conclude(decision) }
            if decisions.contains(where: { $0.delivered > 0 }) { try await keeper.rememberError(nil) }
        case .asked(let result, let moment, let epoch):
            isAsking = false
            try take(asked: result, at: moment, epoch: epoch)
        case .room:
            isAwaitingRoom = false
        case .timer(let due):
            timers.remove(due)
        case .stop:
            if ending == nil { ending = .stopped }
            let clock = clock
            let grace = configuration.grace
            group.addTask {
                await clock.sleep(grace)
                return .graceIsOver
            }
        case .graceIsOver:
            // A commit or a read ends by itself in a moment; cut off while it runs, it would be lost.
            while isPreparing || isWriting, let event = try await group.next() { try await handle(event, &group) }
            group.cancelAll()
        }
    }

    /// Nothing is under way and nothing could be started: wait for a time to come, or end.
    private func rest() async throws {
        guard waiting.isEmpty, !needsLook, !needsPlan, !needsProbe, !mustScan else { return }
        if shared.control.isAtLimit {
            ending = .stopped
            return
        }
        // Following that ended in the middle of this step has its last look still to come.
        let follows = wasFollowing && damage == nil
        if isHeld {
            if !follows { ending = .settling }
            return
        }
        guard routes.allSatisfy({ $0.freshIsUsedUp && $0.leftOverIsUsedUp && $0.held.isEmpty }) else { return }
        if hasFreshDoubt || askedInRound != nil { return }
        if hasSettlingDoubt || !keeper.isSettling, try await hasDoubt() {
            hasSettlingDoubt = false
            hasFreshDoubt = true
            return
        }
        // Before the end: was it still the table we think it was?
        if sentSinceLook {
            needsLook = true
            return
        }
        try await keepViews()
        guard follows else {
            ending = try await hasDoubt() ? .settling : .drained
            if damage == nil { for state in routes { try await shared.spool.checkUnclaimed(of: state.route) } }
            return
        }
        guard now >= nextPoll else { return }
        nextPoll = now + configuration.pollInterval
        lookForRows()
    }

    /// Has the next step look into the spool for new rows.
    private func lookForRows() {
        if damage != nil { return }
        for index in routes.indices {
            routes[index].freshIsUsedUp = false
            routes[index].leftOverIsUsedUp = false
        }
    }

    // MARK: Settled

    /// A decision is on record: count it, and let follow what it left to do.
    private func conclude(_ decision: Decision) {
        if let waits = decision.waiting { waiting[waits.id] = waits }
        if let index = routes.firstIndex(where: { $0.route.number == decision.route }) {
            for (row, due, attempt) in decision.held { routes[index].held[row] = (due, attempt) }
        }
        switch decision.raisesDoubt {
        case .unknown: hasFreshDoubt = true
        case .settling: hasSettlingDoubt = true
        case nil: break
        }
        if decision.needsScan { mustScan = true }
        guard var summary = summaries[decision.route] else { return }
        summary.delivered += decision.delivered
        summary.rejected += decision.rejected
        summaries[decision.route] = summary
        if decision.delivered + decision.rejected + decision.inDoubt > 0 {
            shared.report(
                .progress(
                    stream: summary.stream, table: summary.table, delivered: decision.delivered,
                    rejected: decision.rejected, inDoubt: decision.inDoubt))
        }
    }
}
