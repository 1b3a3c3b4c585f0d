/// When the loop wakes, and when it has waited long enough.
extension TableShipper {
    /// How long what is due and can't be done is left alone at the most, while nothing happens.
    private static let longestWait: Duration = .seconds(1)

    /// Wakes the loop at the next moment at which it may have something to do.
    func armTimer(_ group: inout Group) {
        guard ending == nil else { return }
        var moments: [Duration] = []
        if let next = waiting.values.map(\.due).min() { moments.append(next) }
        for route in routes {
            if let next = route.held.values.map(\.due).min() { moments.append(next) }
        }
        if let until = keeper.settlesUntil { moments.append(until) }
        if needsLook || needsPlan || needsProbe { moments.append(metadataDue) }
        if sentSinceLook, let lookedAt { moments.append(max(lookedAt + Self.lookInterval, metadataDue)) }
        if hasFreshDoubt { moments.append(questionDue) }
        if let patience = configuration.patience, !shared.control.follows {
            for (since, _) in failingSince.values { moments.append(since + patience) }
        }
        if let first = ready.first {
            let wait = shared.control.delay(toSend: 0, at: now)
            if wait > .zero, !first.packed.isEmpty { moments.append(now + wait) }
        }
        if let undecidedSince { moments.append(undecidedSince + Self.decisionDelay) }
        if isQuiet { moments.append(nextPoll) }
        let now = now
        // One that should have rung is late, and not to be relied on.
        timers = timers.filter { $0 > now }
        guard let due = moments.min() else { return }
        // Something that is due already was left for a reason: an event will follow, or it is looked at again in a moment. If nothing comes of
        // that, ever later: a link that is down half the day must not keep the machine busy.
        var soon = now + .milliseconds(10)
        if due <= now {
            soon = now + min(.milliseconds(10) * (1 << min(overdueWakes, 10)), Self.longestWait)
            overdueWakes += 1
        } else {
            overdueWakes = 0
        }
        let next = moments.map { $0 <= now ? soon : max($0, now + .milliseconds(10)) }.min() ?? soon
        guard timers.min().map({ next < $0 }) ?? true else { return }
        timers.insert(next)
        let clock = clock
        group.addTask {
            await clock.sleep(next - now)
            return .timer(next)
        }
    }

    /// Says that nothing goes on to who reads the log: after ten seconds, then every ten minutes.
    func reportFailing() {
        guard let (since, reason) = failingSince.values.min(by: { $0.0 < $1.0 }) else {
            guard failingReportDue != nil else { return }
            failingReportDue = nil
            shared.report(.note(message: "goes on again", table: table.description))
            return
        }
        // That a settling table is not known yet everywhere is no news.
        if keeper.isSettling, failsForMetadata { return }
        let now = now
        guard now >= failingReportDue ?? (since + .seconds(10)) else { return }
        failingReportDue = now + .seconds(600)
        shared.report(
            .warning(
                code: "destination_failing",
                message: "nothing but failures for \((now - since).components.seconds) s, the last: \(reason). "
                    + "Every row is safe in the spool; it is tried again", table: table.description))
    }

    func giveUpIfOutOfPatience() {
        guard let patience = configuration.patience, !shared.control.follows else { return }
        let isIdle = isQuiet && routes.allSatisfy { $0.freshIsUsedUp && $0.leftOverIsUsedUp } && waiting.isEmpty
        for (concern, (since, reason)) in failingSince where now - since >= patience {
            // Questions that fail do not hold up what can be sent meanwhile.
            if concern == .question, !isIdle { continue }
            if concern == .insert, keeper.isSettling, failsForMetadata {
                ending = .settling
                return
            }
            ending = .offline(
                ShipStop(
                    .unavailable, "\(table): nothing but failures for \(patience.inSeconds) s, the last: \(reason)",
                    hint: "every row is safe in the spool: run etlctl ship again later, or give it more --patience"))
            return
        }
    }

    func fail(_ concern: Concern, _ reason: String) {
        failingSince[concern] = (failingSince[concern]?.0 ?? now, reason)
    }
}
