internal import Spool

extension TableShipper {
    /// Decisions are put on record in one commit with those that come up in this time, up to this many.
    private static let decisionsAtOnce = 32
    static let decisionDelay: Duration = .milliseconds(20)
    private static let longestAnswer = 64 << 20
    /// Rows in doubt may be sent again unasked so long after the first attempt (BigQuery de-duplicates for about a minute).
    static let resendWindow: Duration = .seconds(30)
    /// An answer that took longer than this, and far longer than usual, counts as a sign of too many requests.
    private static let slowAnswer = 5.0
    /// Bodies do not get smaller than this, whatever is refused.
    private static let leastBytesPerRequest = 16 << 10
    /// How old the last look may be when rows are about to be rejected for what they are.
    private static let looksOften: Duration = .seconds(5)

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
        // A row's errors take some hundred bytes of answer, one for each column perhaps; nonsense is not read beyond that.
        let maximumAnswer = min((1 << 20) + outgoing.packed.rows.count * (16 << 10), Self.longestAnswer)
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

    func awaitRoom(since returns: UInt64, _ group: inout Group) {
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
        tell(decision, answer)
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

    private func tell(_ decision: Decision, _ answer: Answer) {
        let packed = answer.outgoing.packed
        let outcome = decision.settlement.httpStatus.map { "HTTP \($0)" } ?? "no answer"
        let milliseconds = Int((answer.endedAt - answer.startedAt).inSeconds * 1000)
        var text =
            "request \(answer.outgoing.id.rawValue), attempt \(answer.outgoing.attempt + 1): \(packed.rows.count) rows, \(packed.bytes) bytes, "
            + "\(outcome) after \(milliseconds) ms: \(decision.delivered) delivered, \(decision.rejected) rejected, "
            + "\(decision.inDoubt) in doubt"
        if let error = decision.settlement.error { text += "; \(error)" }
        shared.report(.detail(message: text, table: table.description))
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
        let place = routes.firstIndex { $0.route.number == outgoing.route }
        // A list of single rows is made anew for each attempt: how often is known of its rows.
        let earlier = place.flatMap { place in
            outgoing.packed.rows.lazy.compactMap { self.routes[place].attempts[$0] }.max()
        }
        let attempt = max(outgoing.attempt, outgoing.isRange ? 0 : earlier ?? 0) + 1
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
        guard let index = place else { return }
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
            // `stopped` is no attempt: at once, unless nothing but that was answered.
            let isImmediate = !counts && verdict.isProgress
            let attempt = (routes[index].attempts[exception.row] ?? 0) + (isImmediate ? 0 : 1)
            let delay = isImmediate ? .zero : configuration.retry.delay(attempt: attempt)
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
