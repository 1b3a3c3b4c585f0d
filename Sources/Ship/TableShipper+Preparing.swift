internal import Spool

extension TableShipper {
    /// Bodies prepared in one go: as many requests are put on record in one commit.
    private static let bodiesAtOnce = 8
    /// The next ones are prepared when no more than this are left to be sent.
    private static let readyEnough = 4
    /// Requests that wait for another attempt, beyond which no new ones are made.
    private var maximumWaiting: Int { 4 * configuration.maximumInFlight }
    /// So many failures in a row mean that the destination is down: then only one request at a time finds out whether it is back.
    private var failuresThatMeanDown: Int { max(configuration.maximumInFlight, 4) }
    var isDown: Bool { failures >= failuresThatMeanDown }

    /// Reads requests that are pending or in doubt and unknown to the loop, as after a start or after a request was split.
    func scanIfNeeded() async throws {
        guard mustScan, !isWriting, !isPreparing, unsettled.isEmpty else { return }
        mustScan = false
        for index in routes.indices {
            let open = try await shared.spool.requests(of: routes[index].route, in: [.pending, .inDoubt])
            for request in open where !hasInHand(request.id) {
                guard request.state == .pending else {
                    if request.doubt == .settling { hasSettlingDoubt = true } else { hasFreshDoubt = true }
                    continue
                }
                waiting[request.id] = WaitingRequest(
                    id: request.id, route: request.route, isRange: request.range != nil, rows: request.rows,
                    bytes: request.bytes, attempt: 0, due: now)
            }
        }
    }

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
        if let shape = result.unknownShape { makePlan(for: shape, result) }
        if let found = result.damage { note(found) }
        damaged.formUnion(result.damaged)
        if result.isStale {
            mustScan = true
            timesStale += 1
        } else {
            timesStale = 0
        }
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

    private func makePlan(for shape: Int64, _ result: Preparation.Result) {
        needsPlan = true
        if unknownShape == shape {
            // A shape is stored together with its first row.
            note(.damaged(path: shared.spool.path, reason: "the list of columns of some rows is gone"))
            damaged.formUnion(result.unsent.map(\.id))
            if let index = routes.firstIndex(where: { $0.route.number == result.job.route.number }) {
                routes[index].freshIsUsedUp = true
                routes[index].leftOverIsUsedUp = true
            }
        }
        unknownShape = shape
    }

    func note(_ found: SpoolError) { damage = damage ?? found }

    /// What became of putting requests on record; where the file is damaged, nothing of them is.
    func begun(
        _ result: Swift.Result<Preparation.Result, any Error>, _ job: Preparation.Result?
    ) throws -> Preparation.Result {
        do { return try result.get() } catch let error as SpoolError {
            guard case .damaged = error, var job else { throw error }
            job.leftOver = []
            job.fresh = []
            job.leftOverIsUsedUp = true
            job.freshIsUsedUp = true
            job.damage = error
            return job
        }
    }

    /// Rows that other commands keep changing are read again; but a damaged file may say for ever that they did.
    func giveUpIfStaleForEver() async throws {
        guard timesStale >= 100 else { return }
        let integrity = try await shared.spool.checkIntegrity()
        throw SpoolError.damaged(
            path: shared.spool.path,
            reason: integrity.isOK ? "what is due can't be put on record as being sent" : integrity.detail)
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
    func returned(_ outgoing: Outgoing) -> Decision {
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
}
