import Foundation
import JSONBytes
import Logging
import Ship
import Spool
import Synchronization
import Transport

/// Ships what is due, under the spool's shipper lock, and reports how it ended.
struct ShipWork: Sendable {
    let environment: CommandEnvironment
    let store: SpoolStore
    /// Only these streams; nil for everything spooled.
    let only: Set<String>?

    /// Scope for tables and rows; questions need it too (protocol facts: C.1).
    static let scopes = ["https://www.googleapis.com/auth/bigquery"]

    /// How often rows whose time is over are removed, where they are kept for hours or days.
    private static let retentionInterval: Duration = .seconds(600)

    /// What the shipper is told, from the configuration and the flags of one command.
    func configuration(_ adjust: (inout ShipConfiguration) -> Void) -> ShipConfiguration {
        let destination = environment.configuration.destination
        var options = ShipConfiguration(
            project: destination.project, dataset: destination.dataset, endpoint: destination.endpoint.url)
        options.location = destination.location
        options.create = destination.createsMissing
        options.evolveSchema = destination.schemaPolicy == .evolve
        options.latestViews = destination.keepsLatestViews
        options.maximumRowsPerRequest = destination.maximumRowsPerRequest
        options.maximumRequestBytes = Int(destination.maximumRequestBytes)
        options.maximumInFlight = destination.maximumInFlight
        options.rowsPerSecond = Int(destination.rowsPerSecond)
        options.verify = destination.verification == .never ? .never : .auto
        options.only = only
        adjust(&options)
        return options
    }

    func shipper(
        _ options: ShipConfiguration, _ console: Console, _ progress: ProgressReporter
    ) async throws -> Shipper {
        let client: AuthorizedClient
        do { client = try await self.client() } catch {
            // Without credentials for it, too: that the rows are not for this endpoint is what helps.
            if let stop = try await Shipper.endpointConflict(store, options) { throw stop }
            throw error
        }
        let totals = try await dueRows(options)
        for (stream, rows) in totals { progress.update(stream, rows: 0, total: options.follow ? nil : rows) }
        let delivered = Mutex<[String: Int64]>([:])
        return Shipper(
            spool: store, client: client, configuration: options,
            streams: deliveries,
            events: { event in
                switch event {
                case .progress(let stream, _, let count, _, _):
                    let total = delivered.withLock { counts in
                        counts[stream, default: 0] += Int64(count)
                        return counts[stream, default: 0]
                    }
                    progress.update(
                        stream, rows: total, total: options.follow ? nil : totals[stream].map { max($0, total) })
                case .warning(let code, let message, let table):
                    console.log.warning("\(table.map { "\($0): " } ?? "")\(code): \(message)")
                case .note(let message, let table):
                    console.log.info("\(table.map { "\($0): " } ?? "")\(message)")
                case .detail(let message, let table):
                    console.log.debug("\(table.map { "\($0): " } ?? "")\(message)")
                }
            })
    }

    /// Rows that are still to be delivered, by stream.
    private func dueRows(_ options: ShipConfiguration) async throws -> [String: Int64] {
        var due: [String: Int64] = [:]
        for entry in try await store.ledger() where only?.contains(entry.route.stream) ?? true && entry.undelivered > 0
        {
            due[entry.route.stream, default: 0] += Int64(entry.undelivered)
        }
        guard let limit = options.rowLimit else { return due }
        return due.mapValues { min($0, Int64(limit)) }
    }

    /// Holds the lock while the shipper runs; retention before, after and, however long that is, meanwhile.
    func run(_ shipper: Shipper) async throws -> ShipReport {
        let lock = try store.lockShipper(holder: environment.holder("ship"))
        defer { withExtendedLifetime(lock) {} }
        try await applyRetention()
        let summary = try await withThrowingTaskGroup(of: ShipSummary?.self) { group in
            group.addTask { try await shipper.run() }
            group.addTask {
                try await keepApplyingRetention()
                return nil
            }
            while let ended = try await group.next() {
                // Retention ends before the shipper only when the command is interrupted.
                guard let summary = ended else { continue }
                group.cancelAll()
                return summary
            }
            throw CancellationError()
        }
        try await applyRetention()
        return ShipReport(summary: summary)
    }

    /// Until the task is cancelled.
    private func keepApplyingRetention() async throws {
        let pause = max(.seconds(1), min(environment.configuration.spool.keepDelivered / 10, Self.retentionInterval))
        while true {
            do { try await environment.context.sleep(pause) } catch { return }
            try await applyRetention()
        }
    }

    func client() async throws -> AuthorizedClient {
        let destination = environment.configuration.destination
        return try await environment.client(
            credentials: destination.credentials, endpoint: destination.endpoint, scopes: Self.scopes,
            of: "destination")
    }

    var deliveries: [StreamDelivery] { environment.configuration.streams.map(delivery) }

    /// What shipping would do, stream by stream, without sending any.
    func forecasts() async throws -> [TableForecast] {
        let client = try await client()
        var forecasts: [TableForecast] = []
        for entry in try await store.ledger() where entry.spooled > 0 && only?.contains(entry.route.stream) ?? true {
            forecasts.append(
                try await TableForecast.make(
                    for: entry.route, spool: store, client: client, configuration: configuration { _ in },
                    streams: deliveries))
        }
        return forecasts
    }

    private func applyRetention() async throws {
        let keep = environment.configuration.spool.keepDelivered
        try await store.retire(deliveredBefore: Timestamp.now().advanced(by: .zero - keep))
    }

    private func delivery(_ stream: StreamConfiguration) -> StreamDelivery {
        var delivery = StreamDelivery(name: stream.name)
        delivery.types = stream.types.mapValues(\.rawValue)
        delivery.isFirestore = stream.kind == .firestore
        // Files: without a key, `_id` only tells where a row stood.
        delivery.hasKey = stream.kind != .files || !stream.key.isEmpty
        delivery.isSnapshot = stream.mode == .full
        delivery.renamedMetadata = stream.rename.filter { $0.key.hasPrefix("_") }
        return delivery
    }
}

/// How a run of the shipper ended.
struct ShipReport: Sendable {
    let summary: ShipSummary

    var failure: Failure? {
        if let stop = summary.stop {
            let left = summary.rowsLeft
            let safe =
                left > 0 ? " \(Readable.count(Int64(left), "row")) \(left == 1 ? "is" : "are") safe in the spool." : ""
            return Failure(describing: stop).appending(safe)
        }
        guard summary.rejected > 0 else { return nil }
        return .data(
            "\(Readable.count(Int64(summary.rejected), "row")) \(summary.rejected == 1 ? "was" : "were") rejected.",
            hint:
                "etlctl audit rows --state rejected shows why; etlctl retry sends them again, etlctl discard gives them up."
        )
    }

    var json: JSONValue {
        [
            "status": .string(summary.status.rawValue),
            "streams": .array(
                summary.streams.map { stream in
                    [
                        "stream": .string(stream.stream), "table": .string(stream.table),
                        "delivered": .int(stream.delivered), "rejected": .int(stream.rejected),
                        "pending": .int(stream.pending), "in_doubt": .int(stream.inDoubt),
                        "requests": .int(stream.requests), "retries": .int(stream.retries), "bytes": .int(stream.bytes),
                        "seconds": .double(stream.seconds),
                    ]
                }),
        ]
    }

    var text: String {
        var table = TextTable(
            "STREAM", "TABLE", "DELIVERED", "REJECTED", "PENDING", "IN DOUBT", "REQUESTS", "RETRIES", "SENT", "TIME")
        for stream in summary.streams {
            table.append(
                .text(stream.stream), .text(stream.table), .count(stream.delivered), .count(stream.rejected),
                .count(stream.pending), .count(stream.inDoubt), .count(stream.requests), .count(stream.retries),
                .bytes(Int64(stream.bytes)), .duration(.seconds(stream.seconds)))
        }
        var lines = summary.streams.isEmpty ? ["Nothing to ship."] : [table.text]
        switch summary.status {
        case .drained: break
        case .settling:
            lines.append(
                "settling: \(Readable.count(Int64(summary.rowsLeft), "row")) wait until BigQuery shows them in a new or changed table; a later ship settles them."
            )
        case .offline, .refused, .stopped: lines.append(summary.status.rawValue)
        }
        return lines.joined(separator: "\n")
    }
}
