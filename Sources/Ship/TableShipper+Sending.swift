internal import Spool

extension TableShipper {
    /// Bodies prepared in one go: as many requests are put on record in one commit.
    private static let bodiesAtOnce = 8
    /// The next ones are prepared when no more than this are left to be sent.
    private static let readyEnough = 4
    /// Decisions are put on record in one commit with those that come up in this time, up to this many.
    private static let decisionsAtOnce = 32
    static let decisionDelay: Duration = .milliseconds(20)
    /// Requests that wait for another attempt, beyond which no new ones are made.
    private var maximumWaiting: Int { 4 * configuration.maximumInFlight }
    /// So many failures in a row mean that the destination is down: then only one request at a time finds out whether it is back.
    private var failuresThatMeanDown: Int { max(configuration.maximumInFlight, 4) }
    private var isDown: Bool { failures >= failuresThatMeanDown }
    /// Rows in doubt may be sent again unasked so long after the first attempt (BigQuery de-duplicates for about a minute).
    static let resendWindow: Duration = .seconds(30)
    /// An answer that took longer than this, and far longer than usual, counts as a sign of too many requests.
    private static let slowAnswer = 5.0
    /// Bodies do not get smaller than this, whatever is refused.
    private static let leastBytesPerRequest = 16 << 10
    /// How old the last look may be when rows are about to be rejected for what they are.
    private static let looksOften: Duration = .seconds(5)

    // MARK: Preparing

    /// Starts to prepare the next requests: what waits and is due first, then rows left over, then new ones.
    func prepare(_ group: inout Group) {
        guard !isPacking, packed == nil, ready.count <= Self.readyEnough, !needsPlan, !needsLook, !isHeld,
            plan != nil,
            unsettled.count < 64, let packer
        else { return }
        let next: Preparation?
        if let beginning { next = work(following: beginning) } else { next = nextWork() }
        guard let work = next else { return }
        let least = bytesPerRequest
        let returns = shared.budget.returns
        shared.budget.setActive(holder, true)
        let granted = shared.budget.reserve(2 * least, least: least, for: holder)
        guard granted > 0 else { return awaitRoom(since: returns, &group) }
        var preparation = work
        preparation.maximumBytes = granted
        preparation.maximumRows = shared.control.takeRows(upTo: work.maximumRows)
        guard preparation.maximumRows > 0 else {
            shared.budget.release(granted, of: holder)
            if inFlight.isEmpty, ready.isEmpty, unsettled.isEmpty, !isWriting, beginning == nil { ending = .stopped }
            return
        }
        for resend in preparation.resends { waiting[resend.id] = nil }
        resending.formUnion(preparation.resends.map(\.id))
        packer.limits.bytes = bytesPerRequest
        isPacking = true
        let spool = shared.spool
        let job = preparation
        group.addTask {
            do {
                return .packed(.success(try await job.run(packer, spool)), granted: granted)
            } catch {
                return .packed(.failure(error), granted: granted)
            }
        }
    }

    /// The fresh rows behind those that are being put on record; nil: other rows come first, or better wait what becomes of these.
    private func work(following result: Preparation.Result) -> Preparation? {
        guard !isDown, result.job.takesFresh, !result.freshIsUsedUp, !result.needsPlan,
            let last = result.fresh.last?.last, waiting.count < maximumWaiting
        else { return nil }
        let now = now
        let isAnythingDue =
            waiting.values.contains { $0.due <= now }
            || routes.contains { !$0.leftOverIsUsedUp || $0.held.values.contains { $0.due <= now } }
        guard !isAnythingDue else { return nil }
        var work = Preparation(
            route: result.job.route, maximumBodies: Self.bodiesAtOnce, maximumBytes: 0,
            maximumRows: configuration.maximumRowsPerRequest * Self.bodiesAtOnce)
        work.takesFresh = true
        work.after = last
        return work
    }

    /// Puts what was packed on record, one commit after the other.
    func take(packed result: Preparation.Result, granted: Int, _ group: inout Group) {
        var result = result
        if ending != nil {
            // Nothing of it is on record, nothing of it is sent.
            result.leftOver = []
            result.fresh = []
        }
        guard result.mustBegin else { return take(prepared: result, granted: granted) }
        guard beginning == nil else {
            packed = (result, granted)
            return
        }
        beginning = result
        let spool = shared.spool
        let job = result
        group.addTask {
            do {
                return .begun(.success(try await Preparation.begin(job, spool)), granted: granted)
            } catch {
                return .begun(.failure(error), granted: granted)
            }
        }
    }

    private func nextWork() -> Preparation? {
        let now = now
        var due = waiting.values.filter { $0.due <= now }.sorted {
            ($0.route, $0.id.rawValue) < ($1.route, $1.id.rawValue)
        }
        let rows = configuration.maximumRowsPerRequest * Self.bodiesAtOnce
        if isDown {
            // One request finds out.
            guard inFlight.isEmpty, ready.isEmpty else { return nil }
            due = Array(due.prefix(1))
        }
        due.removeAll { request in
            guard mustAskFirst(request) else { return false }
            // Too late to send it unasked.
            waiting[request.id] = nil
            hasFreshDoubt = true
            return true
        }
        if keeper.isSettling { due.removeAll { $0.doubt == .settling } }
        for index in routes.indices {
            var work = Preparation(
                route: routes[index].route, maximumBodies: Self.bodiesAtOnce, maximumBytes: 0, maximumRows: rows)
            var bytes = 0
            for request in due where request.route == work.route.number {
                guard work.resends.isEmpty || bytes + request.bytes <= 2 * bytesPerRequest,
                    work.resends.count < Self.bodiesAtOnce
                else { break }
                bytes += request.bytes
                work.resends.append(request)
            }
            let held = routes[index].held
            work.held = Set(held.filter { $0.value.due > now }.keys)
            work.due = Set(held.keys).subtracting(work.held)
            let hasDueRows = !work.due.isEmpty
            work.takesLeftOver =
                !isDown && (!routes[index].leftOverIsUsedUp || hasDueRows)
                || isDown && hasDueRows
                    && work.resends.isEmpty
            work.takesFresh =
                !routes[index].freshIsUsedUp && waiting.count < maximumWaiting
                && (!isDown || work.resends.isEmpty && waiting.isEmpty && !hasDueRows && held.isEmpty)
            if isDown { work.maximumBodies = 1 }
            if !work.resends.isEmpty || work.takesLeftOver || work.takesFresh { return work }
        }
        return nil
    }

    private func mustAskFirst(_ request: WaitingRequest) -> Bool {
        guard canAsk != false, let window = request.window else { return false }
        return now >= window
    }

    func take(prepared result: Preparation.Result, granted: Int) {
        for resend in result.job.resends { resending.remove(resend.id) }
        if result.bytes < granted { shared.budget.release(granted - result.bytes, of: holder) }
        let job = result.job
        if let index = routes.firstIndex(where: { $0.route.number == job.route.number }), !result.isStale {
            if job.takesFresh { routes[index].freshIsUsedUp = result.freshIsUsedUp }
            if job.takesLeftOver { routes[index].leftOverIsUsedUp = result.leftOverIsUsedUp }
            for outgoing in result.outgoing where !outgoing.isRange {
                for row in outgoing.packed.rows {
                    routes[index].attempts[row] = routes[index].held.removeValue(forKey: row)?.attempt ?? 0
                }
            }
            if job.takesLeftOver, result.leftOverIsUsedUp {
                // Offered and not found: another command took them.
                for row in job.due { routes[index].held[row] = nil }
            }
        }
        shared.control.giveBackRows(max(0, job.maximumRows - result.rows))
        if result.needsPlan { needsPlan = true }
        if result.isStale { mustScan = true }
        for outgoing in result.unsent { unsettled.append(returned(outgoing)) }
        for outgoing in result.outgoing {
            if outgoing.attempt == 0, outgoing.doubt == nil {
                summaries[outgoing.route]?.rescued += outgoing.packed.rescued
            }
            if outgoing.packed.body == nil {
                settleWithoutSending(outgoing)
            } else {
                ready.append(outgoing)
            }
        }
    }

    /// Every row was excluded: nothing goes out.
    private func settleWithoutSending(_ outgoing: Outgoing) {
        var settlement = Settlement(
            outgoing.id, rest: .delivered, exceptions: outgoing.packed.exclusions, answeredAt: clock.now())
        settlement.counts = false
        unsettled.append(
            Decision(settlement: settlement, route: outgoing.route, rejected: outgoing.packed.exclusions.count))
    }

    /// Put on record as being sent, but not sent.
    private func returned(_ outgoing: Outgoing) -> Decision {
        Decision(
            settlement: outgoing.unsent, route: outgoing.route, rejected: outgoing.packed.exclusions.count,
            raisesDoubt: outgoing.doubt, needsScan: true)
    }

    /// What was prepared and will not be sent any more.
    func returnReady() {
        for outgoing in ready {
            unsettled.append(returned(outgoing))
            shared.budget.release(outgoing.packed.bytes, of: holder)
        }
        ready = []
    }

    // MARK: Sending

    func launch(_ group: inout Group) {
        while let next = ready.first, unsettled.count < 64 {
            if let window = next.window, canAsk != false, now >= window {
                // It waited too long for its turn.
                ready.removeFirst()
                shared.budget.release(next.packed.bytes, of: holder)
                unsettled.append(returned(next))
                continue
            }
            let returns = shared.budget.returns
            guard shared.control.delay(toSend: 0, at: now) == .zero else { return }
            guard let round = shared.budget.take(for: holder) else { return awaitRoom(since: returns, &group) }
            _ = shared.control.delay(toSend: next.packed.rows.count, at: now)
            ready.removeFirst()
            send(next, round, &group)
        }
    }

    private func send(_ outgoing: Outgoing, _ round: UInt64, _ group: inout Group) {
        guard let body = outgoing.packed.body else { return }
        inFlight[outgoing.id] = outgoing
        sentSinceLook = true
        summaries[outgoing.route]?.requests += 1
        summaries[outgoing.route]?.bytes += outgoing.packed.bytes
        if outgoing.attempt > 0 || outgoing.doubt != nil { summaries[outgoing.route]?.retries += 1 }
        let client = shared.client
        let table = table
        let uptime = clock.uptime
        // A row's errors take some hundred bytes of answer; nonsense is not read beyond that.
        let maximumAnswer = (1 << 20) + outgoing.packed.rows.count * 2048
        var light = outgoing
        // The body lives as long as the transfer, not as long as the answer is looked at.
        light.packed.body = nil
        let sent = light
        let isCompressed = outgoing.packed.isCompressed
        group.addTask {
            let started = uptime()
            let reply = await client.insertAll(
                table, body: body, isCompressed: isCompressed, maximumResponseBytes: maximumAnswer)
            return .answered(
                Answer(outgoing: sent, reply: reply, round: round, startedAt: started, endedAt: uptime()))
        }
    }

    private func awaitRoom(since returns: UInt64, _ group: inout Group) {
        guard !isAwaitingRoom else { return }
        isAwaitingRoom = true
        shared.budget.setActive(holder, true)
        let budget = shared.budget
        let holder = holder
        group.addTask {
            await budget.waitForRoom(holder, since: returns)
            return .room
        }
    }

    // MARK: Answers

    func take(_ answer: Answer) {
        inFlight[answer.outgoing.id] = nil
        shared.budget.release(answer.outgoing.packed.bytes, of: holder)
        let verdict = Verdict(of: answer.reply, for: attempt(answer), at: clock.now())
        let latency = (answer.endedAt - answer.startedAt).inSeconds
        let isSlow = latency > Self.slowAnswer && latency > 8 * (typicalLatency ?? latency)
        let result: DeliveryBudget.Result =
            switch verdict.advice {
            case .slowDown: .refused
            case .retry where verdict.httpStatus == 503: .refused
            default: isSlow ? .refused : verdict.httpStatus == 200 ? .accepted : .neither
            }
        shared.budget.give(answer.round, of: holder, result)
        if verdict.httpStatus == 200 {
            typicalLatency = typicalLatency.map { $0 * 0.9 + latency * 0.1 } ?? latency
        }
        // Refused as invalid against a schema that may not be what we think it is: look before rows are rejected.
        let isRejecting = verdict.exceptions.contains {
            if case .rejected("invalid", _) = $0.outcome { true } else { false }
        }
        if isRejecting, ending == nil, now - (lookedAt ?? .zero) > Self.looksOften {
            postponed.append(answer)
            needsLook = true
            return
        }
        apply(verdict, answer, afterChange: false)
    }

    private func attempt(_ answer: Answer) -> Verdict.Attempt {
        Verdict.Attempt(
            table: table, rows: answer.outgoing.packed.rows, bytes: answer.outgoing.packed.bytes,
            transientAttempts: answer.outgoing.packed.transientAttempts, failures: answer.outgoing.attempt,
            isSettling: keeper.isSettling)
    }

    /// Answers that waited for a look at the table.
    func judgePostponed(afterChange: Bool = false) {
        let answers = postponed
        postponed = []
        for answer in answers {
            apply(Verdict(of: answer.reply, for: attempt(answer), at: clock.now()), answer, afterChange: afterChange)
        }
    }

    private func apply(_ verdict: Verdict, _ answer: Answer, afterChange: Bool) {
        let outgoing = answer.outgoing
        var verdict = verdict
        if afterChange { verdict.spareRejected() }
        // Accepted by a settling table before, and not accepted now: that earlier acceptance is still to be asked about.
        if outgoing.doubt == .settling, verdict.rest == .pending { verdict.rest = .inDoubt(.settling) }
        var settlement = Settlement(
            outgoing.id, rest: verdict.rest, exceptions: verdict.exceptions + outgoing.packed.exclusions,
            answeredAt: clock.now())
        settlement.counts = verdict.counts
        settlement.httpStatus = verdict.httpStatus
        settlement.error = verdict.error
        var decision = Decision(settlement: settlement, route: outgoing.route)
        if verdict.advice == .split, outgoing.isRange, outgoing.packed.rows.count > 1 {
            decision.settlement.splitAfter = outgoing.packed.rows[outgoing.packed.rows.count / 2 - 1]
            decision.needsScan = true
        }
        tally(verdict, outgoing, &decision)
        follow(verdict, outgoing)
        if verdict.isProgress {
            recover()
        } else if verdict.advice != .proceed, verdict.advice != .split, verdict.advice != .cancelled {
            failures += 1
            failsForMetadata = verdict.advice == .lookAtTable
            fail(.insert, verdict.error ?? "only passing refusals of single rows")
        }
        plan(after: verdict, answer, &decision)
        unsettled.append(decision)
    }

    private func tally(_ verdict: Verdict, _ outgoing: Outgoing, _ decision: inout Decision) {
        decision.rejected = outgoing.packed.exclusions.count
        let rest = outgoing.packed.rows.count - verdict.exceptions.count
        switch verdict.rest {
        case .delivered: decision.delivered = rest
        case .inDoubt: decision.inDoubt = rest
        case .pending: break
        }
        for exception in verdict.exceptions {
            if case .rejected = exception.outcome { decision.rejected += 1 }
        }
    }

    private func follow(_ verdict: Verdict, _ outgoing: Outgoing) {
        switch verdict.advice {
        case .proceed:
            // Carefully back to what is configured, below what was refused.
            let limit = min(configuration.maximumRequestBytes, refusedBytes.map { $0 / 4 * 3 } ?? .max)
            bytesPerRequest = max(bytesPerRequest, min(limit, bytesPerRequest + bytesPerRequest / 8))
        case .retry, .slowDown, .cancelled:
            break
        case .split:
            bytesPerRequest = max(min(bytesPerRequest, outgoing.packed.bytes / 2), Self.leastBytesPerRequest)
            // A connection that was cut may have been cut for another reason; what was refused for its size is refused again.
            if verdict.rest == .pending { refusedBytes = min(refusedBytes ?? .max, outgoing.packed.bytes) }
        case .lookAtTable:
            needsLook = true
            insertDisagrees = true
        case .stop(let stop):
            if ending == nil { ending = .refused(stop) }
        }
    }

    /// The table takes rows again: what waits need not wait longer.
    private func recover() {
        failingSince[.insert] = nil
        defer { failures = 0 }
        guard isDown else { return }
        let soon = configuration.retry.first
        questionDue = min(questionDue, now + soon)
        for (id, request) in waiting where !request.isFixed && request.due > now + soon {
            waiting[id]?.due = now + soon * Double.random(in: 0...1)
        }
    }

    /// When what was not settled for good is tried again.
    private func plan(after verdict: Verdict, _ answer: Answer, _ decision: inout Decision) {
        let outgoing = answer.outgoing
        let attempt = outgoing.attempt + 1
        var retryAfter: Duration?
        var delay: Duration?
        switch verdict.advice {
        case .retry(let after), .slowDown(let after): retryAfter = after
        case .split: delay = .zero
        default: break
        }
        let due = now + (delay ?? configuration.retry.delay(attempt: attempt, retryAfter: retryAfter))
        let isWhole = verdict.exceptions.count < outgoing.packed.rows.count
        let isStillUnknown = outgoing.doubt == .unknown
        var doubt: Doubt?
        var staysRequest = false
        switch verdict.rest {
        case .delivered:
            break
        case .inDoubt(.settling) where outgoing.doubt != .settling || verdict.httpStatus == 200:
            decision.raisesDoubt = .settling
        case .inDoubt(let reason):
            doubt = reason
            staysRequest = true
        case .pending:
            doubt = isStillUnknown ? .unknown : nil
            staysRequest = outgoing.isRange || isStillUnknown
        }
        if staysRequest, isWhole {
            let isSplit = decision.settlement.splitAfter != nil
            let unknownFrom = verdict.rest == .inDoubt(.unknown) ? answer.startedAt + Self.resendWindow : nil
            decision.waiting = WaitingRequest(
                id: outgoing.id, route: outgoing.route, isRange: outgoing.isRange,
                rows: isSplit ? outgoing.packed.rows.count / 2 : outgoing.packed.rows.count,
                bytes: isSplit ? outgoing.packed.bytes / 2 : outgoing.packed.bytes, attempt: attempt, due: due,
                doubt: doubt, window: outgoing.window ?? unknownFrom, isFixed: retryAfter != nil)
        }
        guard let index = routes.firstIndex(where: { $0.route.number == outgoing.route }) else { return }
        if verdict.rest == .pending, !staysRequest, isWhole {
            // A list that is pending again dissolves into single rows.
            let named = Set(verdict.exceptions.map(\.row))
            for row in outgoing.packed.rows where !named.contains(row) {
                decision.held.append((row, due, (routes[index].attempts[row] ?? 0) + 1))
            }
        }
        for exception in verdict.exceptions {
            guard case .pending(_, _, let counts, _) = exception.outcome else { continue }
            if isStillUnknown {
                decision.raisesDoubt = .unknown
                continue
            }
            let attempt = (routes[index].attempts[exception.row] ?? 0) + (counts ? 1 : 0)
            // `stopped` is no attempt: at once, unless nothing but that was answered.
            let isImmediate = !counts && verdict.isProgress
            let delay = isImmediate ? .zero : configuration.retry.delay(attempt: max(attempt, 1))
            decision.held.append((exception.row, now + delay, attempt))
        }
        if !outgoing.isRange {
            for row in outgoing.packed.rows { routes[index].attempts[row] = nil }
        }
    }

    // MARK: Settling

    /// Writes what was decided, as much as has come up, in one commit.
    func write(_ group: inout Group) {
        guard !isWriting, !unsettled.isEmpty else { return }
        if unsettled.count < Self.decisionsAtOnce, !inFlight.isEmpty, ending == nil {
            let due = (undecidedSince ?? now) + Self.decisionDelay
            if undecidedSince == nil { undecidedSince = now }
            guard now >= due else { return }
        }
        undecidedSince = nil
        let decisions = unsettled
        unsettled = []
        isWriting = true
        let spool = shared.spool
        group.addTask {
            do {
                try await spool.settle(decisions.map(\.settlement))
                return .settled(.success(()), decisions)
            } catch {
                return .settled(.failure(error), decisions)
            }
        }
    }
}

extension Verdict {
    /// The table turned out to be another than the rows were made for: they are to be made anew, not rejected.
    fileprivate mutating func spareRejected() {
        for index in exceptions.indices {
            guard case .rejected("invalid", let message) = exceptions[index].outcome else { continue }
            exceptions[index].outcome = .pending(
                reason: "table_changed", message: message, counts: true, transient: false)
        }
    }
}
