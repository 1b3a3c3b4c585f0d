package import Spool
internal import Synchronization
package import Transport

/// Takes rows from the spool, inserts them into BigQuery and settles every one of them exactly once.
///
/// The caller holds the spool's shipper lock (`SpoolStore.lockShipper`).
package final class Shipper: Sendable {
    private let spool: SpoolStore
    private let configuration: ShipConfiguration
    private let shared: TableShipper.Shared
    private let control: ShipControl
    private let stopped = Mutex<Set<String>>([])

    /// How long calls about tables and questions may go on after a stop: less than requests with rows, whose answers are worth more.
    private static let metadataGrace: Duration = .seconds(2)

    /// - Parameters:
    ///   - streams: the configured streams; rows of others are shipped with the defaults.
    ///   - events: called from several tasks at once.
    package init(
        spool: SpoolStore, client: AuthorizedClient, configuration: ShipConfiguration, streams: [StreamDelivery],
        events: @escaping @Sendable (ShipEvent) -> Void = { _ in }
    ) {
        var configuration = configuration
        // Which rows were accepted before a look at their table, and which after, is told by their times.
        configuration.clock = configuration.clock.rising()
        self.spool = spool
        self.configuration = configuration
        control = ShipControl(
            follows: configuration.follow, rowLimit: configuration.rowLimit,
            rowsPerSecond: configuration.rowsPerSecond)
        var bigQuery = BigQueryClient(client: client, endpoint: configuration.endpoint)
        bigQuery.interruption = { [control, clock = configuration.clock] in
            await control.waitForStop()
            await clock.sleep(Self.metadataGrace)
        }
        shared = TableShipper.Shared(
            spool: spool, client: bigQuery, configuration: configuration,
            streams: Dictionary(streams.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first }),
            budget: DeliveryBudget(
                maximumInFlight: configuration.maximumInFlight, maximumRequestBytes: configuration.maximumRequestBytes),
            control: control, report: events)
    }

    /// Tables (`project.dataset.table`) that nothing is sent to any more, for they were refused or could not be reached for too long.
    package var stoppedTables: Set<String> { stopped.withLock { $0 } }

    /// With `follow`: from now on the run ends when everything is delivered.
    package func endFollowing() { control.endFollowing() }

    /// Ships what is due. Ends when that is done, when nothing more can be done, or, within five seconds, when the task is cancelled: requests
    /// under way are finished or abandoned, and what is known of them is settled.
    ///
    /// - Throws: `SpoolError`; what is under way is then in doubt at the next start. Everything about the destination is in the summary.
    package func run() async throws -> ShipSummary {
        // Not cancelled with the caller's task: settling what is known must go on after the wish to stop. It is awaited right here.
        let work = Task { try await ship() }
        return try await withTaskCancellationHandler {
            try await work.value
        } onCancel: { [control] in
            control.stop()
        }
    }

    private func ship() async throws -> ShipSummary {
        _ = try await spool.doubtUnfinishedRequests()
        if let stop = try await endpointConflict() { return try await summary([], stop: stop) }
        let results = try await withThrowingTaskGroup(of: TableResult?.self) { group in
            var results: [TableResult] = []
            var working: Set<String> = []
            var refused: [String: Refusal] = [:]
            var holders = 0
            var isPolling = false
            while true {
                let now = configuration.clock.uptime()
                for table in refused.keys where refused[table]?.isOver(at: now) ?? false { working.remove(table) }
                for (table, routes) in try await tables() where !working.contains(table) {
                    working.insert(table)
                    refused[table]?.due = nil
                    _ = stopped.withLock { $0.remove(table) }
                    holders += 1
                    let holder = holders
                    group.addTask { [shared] in
                        do {
                            return try await Self.ship(table, routes, holder: holder, shared)
                        } catch {
                            // The spool can't be written: no table can go on.
                            shared.control.stop()
                            throw error
                        }
                    }
                }
                if control.follows, !control.isStopping, !isPolling {
                    isPolling = true
                    // New streams may bring new tables.
                    let clock = configuration.clock
                    let interval = configuration.pollInterval
                    group.addTask {
                        await clock.sleep(interval)
                        return nil
                    }
                }
                guard let finished = try await group.next() else { break }
                guard let finished else {
                    isPolling = false
                    continue
                }
                if let index = results.firstIndex(where: { $0.table == finished.table }) {
                    results[index].goOn(with: finished)
                } else {
                    results.append(finished)
                }
                switch finished.ending {
                case .refused, .offline: _ = stopped.withLock { $0.insert(finished.table) }
                case .drained, .settling, .stopped: break
                }
                guard control.follows, !control.isStopping, case .refused(let stop) = finished.ending else { continue }
                let pause = refused[finished.table, default: Refusal()].begin(at: configuration.clock.uptime())
                shared.report(
                    .warning(
                        code: "table_refused",
                        message:
                            "\(stop). Its rows stay in the spool; it is tried again in \(pause.components.seconds) s",
                        table: finished.table))
            }
            return results
        }
        return try await summary(results, stop: nil)
    }

    private struct TableResult: Sendable {
        var table: String
        var ending: TableShipper.Ending
        var summaries: [StreamSummary]

        /// Once more the same table: how it ended now, with what both did.
        mutating func goOn(with later: TableResult) {
            ending = later.ending
            for summary in later.summaries {
                if let index = summaries.firstIndex(where: { $0.stream == summary.stream }) {
                    summaries[index].goOn(with: summary)
                } else {
                    summaries.append(summary)
                }
            }
        }
    }

    /// A table that is refused while the shipper follows. Whoever may mend that, a permission for instance, need not start anything anew.
    private struct Refusal {
        /// How long until the next attempt: doubling, from a minute to ten.
        private var pause: Duration = .seconds(60)
        /// Nil: under way.
        var due: Duration?

        /// - Returns: how long it is left alone.
        mutating func begin(at now: Duration) -> Duration {
            defer { pause = min(pause * 2, .seconds(600)) }
            due = now + pause
            return pause
        }

        func isOver(at now: Duration) -> Bool { due.map { now >= $0 } ?? false }
    }

    private static func ship(
        _ table: String, _ routes: [Route], holder: Int, _ shared: TableShipper.Shared
    ) async throws -> TableResult {
        guard let reference = TableReference(table) else {
            let stop = ShipStop(.configuration, "\(table) is no name of a table: project.dataset.table is needed")
            return TableResult(table: table, ending: .refused(stop), summaries: [])
        }
        let shipper = TableShipper(shared: shared, table: reference, holder: holder, routes: routes)
        var (ending, summaries) = try await shipper.run()
        switch ending {
        case .refused(let stop), .offline(let stop):
            for index in summaries.indices { summaries[index].stop = stop }
        case .drained, .settling, .stopped:
            break
        }
        return TableResult(table: table, ending: ending, summaries: summaries)
    }

    // MARK: What is to be shipped

    private func isChosen(_ route: Route) -> Bool { configuration.only?.contains(route.stream) ?? true }

    /// Routes by table. Without `follow` only tables that have something to do: a drained table costs no request.
    private func tables() async throws -> [(String, [Route])] {
        var tables: [(String, [Route])] = []
        for entry in try await spool.ledger() where isChosen(entry.route) && entry.spooled > 0 {
            if let index = tables.firstIndex(where: { $0.0 == entry.route.table }) {
                tables[index].1.append(entry.route)
            } else {
                tables.append((entry.route.table, [entry.route]))
            }
        }
        return tables
    }

    /// Rows wait for another endpoint than the configured one.
    private func endpointConflict() async throws -> ShipStop? { try await Self.endpointConflict(spool, configuration) }

    /// Why these rows can't go to the configured endpoint, if any can't; asks nobody.
    package static func endpointConflict(
        _ spool: SpoolStore, _ configuration: ShipConfiguration
    ) async throws -> ShipStop? {
        let endpoint = normalizedEndpoint(configuration.endpoint)
        for entry in try await spool.ledger()
        where configuration.only?.contains(entry.route.stream) ?? true && entry.undelivered > 0
            && entry.route.endpoint != endpoint
        {
            return ShipStop(
                .configuration,
                "\(entry.undelivered) rows of stream \(entry.route.stream) were spooled for \(entry.route.table) at "
                    + "\(entry.route.endpoint), but destination.endpoint is \(endpoint)",
                hint: "set destination.endpoint back and ship them, or discard them with etlctl discard")
        }
        return nil
    }

    // MARK: The summary

    private func summary(_ results: [TableResult], stop: ShipStop?) async throws -> ShipSummary {
        var streams: [StreamSummary] = []
        let known = results.flatMap(\.summaries)
        for entry in try await spool.ledger() where isChosen(entry.route) && entry.spooled > 0 {
            var summary =
                known.first { $0.stream == entry.route.stream && $0.table == entry.route.table }
                ?? StreamSummary(stream: entry.route.stream, table: entry.route.table)
            summary.pending = entry.pending + entry.sending
            summary.inDoubt = entry.inDoubt
            if summary == StreamSummary(stream: summary.stream, table: summary.table), !isConfigured(summary.stream) {
                // A stream of long ago with nothing left is no news.
                continue
            }
            streams.append(summary)
        }
        let endings = results.map(\.ending)
        var first = stop
        var status = ShipSummary.Status.drained
        if stop != nil { status = .refused }
        for ending in endings {
            switch ending {
            case .refused(let reason):
                if first == nil { first = reason }
                status = .refused
            case .offline(let reason):
                if first == nil { first = reason }
                if status != .refused { status = .offline }
            case .stopped:
                if status == .drained || status == .settling { status = .stopped }
            case .settling:
                if status == .drained { status = .settling }
            case .drained:
                break
            }
        }
        if control.isStopping, status == .drained || status == .settling { status = .stopped }
        return ShipSummary(status: status, streams: streams, stop: first)
    }

    private func isConfigured(_ stream: String) -> Bool { shared.streams[stream] != nil }
}
