internal import Spool

extension TableShipper {
    private static let fewestIDsPerQuestion = 200

    /// True if requests are in doubt that are not about to be sent again.
    func hasDoubt() async throws -> Bool {
        for state in routes {
            let doubtful = try await shared.spool.requests(of: state.route, in: [.inDoubt])
            if doubtful.contains(where: { !hasInHand($0.id) }) { return true }
        }
        return false
    }

    /// Asks BigQuery about the next requests in doubt, when it is time to.
    func ask(_ group: inout Group) async throws {
        if hasSettlingDoubt || awaitsSettling, !keeper.isSettling {
            hasSettlingDoubt = false
            awaitsSettling = false
            hasFreshDoubt = true
        }
        guard hasFreshDoubt || askedInRound != nil, !isAsking, !isWriting, unsettled.isEmpty, !needsLook, !needsPlan,
            now >= questionDue, let plan
        else { return }
        if canAsk == false { return try await resendUnasked() }
        if askedInRound == nil {
            askedInRound = []
            hasFreshDoubt = false
        }
        let requests = try await nextInDoubt()
        guard !requests.isEmpty else {
            askedInRound = nil
            return
        }
        askedInRound?.formUnion(requests.map(\.id))
        let verification = Verification(
            table: table, location: keeper.info?.location ?? configuration.location,
            extractedAt: plan.expression(of: .extractedAt), insertID: plan.expression(of: .insertID))
        isAsking = true
        let (spool, client, uptime, epoch) = (shared.spool, shared.client, clock.uptime, keeper.epoch)
        group.addTask {
            let started = uptime()
            do {
                let findings = try await verification.ask(about: requests, spool, client)
                return .asked(.success(findings), at: started, epoch: epoch)
            } catch {
                return .asked(.failure(error), at: started, epoch: epoch)
            }
        }
    }

    /// Requests for one question. While the table settles, what it accepted is asked about only when nothing else is to do.
    private func nextInDoubt() async throws -> [DeliveryRequest] {
        let isIdle =
            inFlight.isEmpty && ready.isEmpty && !isPreparing && waiting.isEmpty
            && routes.allSatisfy { $0.freshIsUsedUp && $0.leftOverIsUsedUp }
        var chosen: [DeliveryRequest] = []
        var rows = 0
        for state in routes {
            for request in try await shared.spool.requests(of: state.route, in: [.inDoubt]) {
                guard !hasInHand(request.id), askedInRound?.contains(request.id) != true else { continue }
                if request.doubt == .settling, keeper.isSettling, !isIdle {
                    hasSettlingDoubt = true
                    continue
                }
                guard chosen.isEmpty || rows + request.rows <= idsPerQuestion else { return chosen }
                chosen.append(request)
                rows += request.rows
            }
        }
        return chosen
    }

    /// `verify: never`, or no permission: what is in doubt is sent again, once the table has settled.
    private func resendUnasked() async throws {
        guard !keeper.isSettling else { return }
        hasFreshDoubt = false
        hasSettlingDoubt = false
        askedInRound = nil
        var rows = 0
        for state in routes {
            for request in try await shared.spool.requests(of: state.route, in: [.inDoubt])
            where !hasInHand(request.id) {
                rows += request.rows
                waiting[request.id] = WaitingRequest(
                    id: request.id, route: request.route, isRange: request.range != nil, rows: request.rows,
                    bytes: request.bytes, attempt: 0, due: now, doubt: request.doubt)
            }
        }
        guard rows > 0 else { return }
        shared.report(
            .warning(
                code: "duplicates_possible",
                message:
                    "\(rows) rows whose outcome is not known are sent to \(table) again without asking; duplicates "
                    + "are possible, and hidden by the latest view", table: table.description))
    }

    func take(
        asked result: Swift.Result<[Verification.Finding], any Error>, at moment: Duration, epoch: Int
    ) throws {
        switch result {
        case .failure(let error):
            askedInRound = nil
            hasFreshDoubt = true
            guard let failure = error as? BigQueryError else {
                if error is CancellationError { return }
                throw error
            }
            questionFailed(failure)
        case .success(let findings):
            questionAttempts = 0
            failingSince[.question] = nil
            guard epoch == keeper.epoch else {
                // The table is another by now.
                askedInRound = nil
                hasFreshDoubt = true
                return
            }
            for finding in findings {
                if let found = finding.damage {
                    note(found)
                    damaged.insert(finding.request.id)
                    continue
                }
                shared.report(
                    .detail(
                        message: "asked about request \(finding.request.id.rawValue): \(finding.found.count) of "
                            + "\(finding.found.count + finding.missing.count) rows are there",
                        table: table.description))
                settle(finding, askedAt: moment)
            }
        }
    }

    private func questionFailed(_ error: BigQueryError) {
        switch error.kind {
        case .denied where error.isMissingPermission:
            canAsk = false
            shared.report(
                .warning(
                    code: "verify_denied",
                    message: "BigQuery does not let us ask which rows arrived (\(error.message)); grant "
                        + "roles/bigquery.jobUser on the project, or set verify: never", table: table.description))
            return
        case .denied where error.status != 403 || error.reason != nil:
            // Not about asking: the credentials, or the project, are refused. The rows stay in doubt.
            ending = .refused(
                ShipStop(.denied, error.message, hint: "check destination.credentials and run etlctl check"))
            return
        case .notFound:
            needsLook = true
        case .cancelled:
            return
        default:
            break
        }
        fail(.question, error.message)
        // It may have been too large for a proxy, or too much for the time.
        idsPerQuestion = max(idsPerQuestion / 2, Self.fewestIDsPerQuestion)
        questionAttempts += 1
        questionDue = now + configuration.retry.delay(attempt: questionAttempts, retryAfter: error.retryAfter)
    }

    /// What the answer says about one request: found rows are delivered, the rest is sent again within the window, or waits for the
    /// table to settle.
    private func settle(_ finding: Verification.Finding, askedAt: Duration) {
        let request = finding.request
        let doubt = request.doubt ?? .unknown
        let mayResend = !keeper.isSettling
        let keepsMissing = finding.found.count <= finding.missing.count && !finding.missing.isEmpty
        var settlement: Settlement
        if finding.missing.isEmpty {
            settlement = Settlement(request.id, rest: .delivered, answeredAt: clock.now())
            settlement.clearsDoubt = true
        } else if keepsMissing {
            settlement = Settlement(
                request.id, rest: .inDoubt(doubt), exceptions: finding.found.map { RowSettlement($0, .delivered) },
                answeredAt: clock.now())
        } else {
            settlement = Settlement(
                request.id, rest: .delivered, exceptions: finding.missing.map { RowSettlement($0, .inDoubt(doubt)) },
                answeredAt: clock.now())
        }
        var decision = Decision(
            settlement: settlement, route: request.route, delivered: finding.found.count)
        if !mayResend, !finding.missing.isEmpty { awaitsSettling = true }
        if mayResend, !finding.missing.isEmpty {
            if keepsMissing {
                decision.waiting = WaitingRequest(
                    id: request.id, route: request.route, isRange: request.range != nil, rows: finding.missing.count,
                    bytes: request.bytes, attempt: 0, due: now, doubt: doubt,
                    window: askedAt + Self.resendWindow)
            } else {
                // They are a request of their own now.
                decision.raisesDoubt = .unknown
            }
        }
        unsettled.append(decision)
    }
}
