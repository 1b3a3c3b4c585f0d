import JSONBytes
import Sandbox
import Ship
import Spool
import Synchronization
import TestSupport
import Testing
import Transport

/// A field of a spooled row: column, spooled type, JSON text.
struct TestField {
    var name: String
    var type: String
    var json: String

    init(_ name: String, _ type: String, _ json: String) {
        self.name = name
        self.type = type
        self.json = json
    }
}

/// A spool and a sandbox, and what tests do with them.
final class ShipBench: Sendable {
    let spool: SpoolStore
    let sandbox: SandboxServer
    let clock: TestClock
    let client = AuthorizedClient(client: HTTPClient(), tokens: nil)
    private let reported = Mutex<[ShipEvent]>([])
    /// Other names of metadata columns, for what is spooled from here on.
    let renames = Mutex<[String: String]>([:])

    static let endpoint = "loopback"
    static let table = "p.d.memos"

    init(_ spool: SpoolStore, _ sandbox: SandboxServer, _ clock: TestClock) {
        self.spool = spool
        self.sandbox = sandbox
        self.clock = clock
    }

    var events: [ShipEvent] { reported.withLock { $0 } }
    var warnings: [String] {
        events.compactMap { if case .warning(let code, _, _) = $0 { code } else { nil } }
    }

    // MARK: Spooling

    static func definition(_ stream: String, table: String? = nil) -> StreamDefinition {
        StreamDefinition(
            name: stream, source: "app", mode: "changes", endpoint: endpoint, table: table ?? "p.d.\(stream)",
            identity: stream)
    }

    /// Spools rows as the Firestore source would.
    func spool(
        _ rows: [[TestField]], stream: String = "memos", table: String? = nil, from first: Int = 1,
        operation: RowOperation = .upsert, id: ((Int) -> String)? = nil
    ) async throws {
        let definition = Self.definition(stream, table: table)
        _ = try await spool.openStream(definition)
        let run = try await spool.beginRun(
            definition, id: "run-\(stream)-\(clock.now().microseconds)-\(first)", fingerprint: "f", generation: 0,
            position: nil)
        let batch = RowBatch()
        for (offset, fields) in rows.enumerated() {
            let number = first + offset
            append(
                number, id?(number) ?? "m\(number)", fields, stream: stream, operation: operation, run: run.id,
                to: batch)
        }
        try await spool.append(PageCommit(run: run, rows: batch))
        try await spool.endRun(run, status: .complete, warnings: nil, error: nil)
    }

    func spool(count: Int, stream: String = "memos", table: String? = nil, from first: Int = 1, bytes: Int = 10)
        async throws
    {
        let text = String(repeating: "x", count: bytes)
        try await spool(
            (0..<count).map { [TestField("n", "INT64", "\($0)"), TestField("text", "STRING", "\"\(text)\"")] },
            stream: stream, table: table, from: first)
    }

    static func insertID(_ number: Int, stream: String = "memos") -> String {
        let text = "\(stream)-\(number)"
        return text + String(repeating: "_", count: max(0, 22 - text.count))
    }

    private func append(
        _ number: Int, _ id: String, _ fields: [TestField], stream: String, operation: RowOperation, run: String,
        to batch: RowBatch
    ) {
        let extracted = Timestamp(microseconds: clock.now().microseconds + Int64(number))
        let insertID = Self.insertID(number, stream: stream)
        var metadata = [
            TestField("_id", "STRING", "\"\(id)\""), TestField("_path", "STRING", "\"\(stream)/\(id)\""),
            TestField("_updated_at", "TIMESTAMP", "\"\(extracted)\""),
            TestField("_extracted_at", "TIMESTAMP", "\"\(extracted)\""),
            TestField("_run_id", "STRING", "\"\(run)\""), TestField("_op", "STRING", "\"\(operation.name)\""),
            TestField("_insert_id", "STRING", "\"\(insertID)\""),
        ]
        var own = fields.sorted { $0.name < $1.name }
        if let index = own.firstIndex(where: { $0.name == "_rescued" }) { metadata.append(own.remove(at: index)) }
        let roles = metadata.map(\.name)
        renames.withLock { names in
            for index in metadata.indices { metadata[index].name = names[metadata[index].name] ?? metadata[index].name }
        }
        let shape =
            (zip(metadata, roles).map { "\($0.name)\t\($0.type)\t\($1)" } + own.map { "\($0.name)\t\($0.type)\t" })
            .joined(separator: "\n")
        let payload = "{" + (metadata + own).map { "\"\($0.name)\":\($0.json)" }.joined(separator: ",") + "}"
        var attributes = RowBatch.Attributes(shape: batch.shapeNumber(for: shape), extractedAt: extracted)
        attributes.operation = operation
        let bytes = [Array(payload.utf8), Array(id.utf8), Array(insertID.utf8)]
        bytes[0].withUnsafeBytes { payload in
            bytes[1].withUnsafeBytes { id in
                bytes[2].withUnsafeBytes { insertID in
                    batch.append(payload: payload, id: id, insertID: insertID, attributes)
                }
            }
        }
    }

    // MARK: Shipping

    func configuration() -> ShipConfiguration {
        var configuration = ShipConfiguration(project: "p", dataset: "d", endpoint: sandbox.endpoint)
        configuration.retry.first = .milliseconds(2)
        configuration.retry.maximum = .milliseconds(20)
        configuration.patience = .seconds(120)
        configuration.pollInterval = .milliseconds(5)
        configuration.clock = clock.shipClock
        return configuration
    }

    func shipper(
        _ configuration: ShipConfiguration? = nil, streams: [StreamDelivery]? = nil
    ) -> Shipper {
        var memos = StreamDelivery(name: "memos")
        memos.isFirestore = true
        return Shipper(
            spool: spool, client: client,
            configuration: configuration ?? self.configuration(), streams: streams ?? [memos],
            events: { event in self.reported.withLock { $0.append(event) } })
    }

    @discardableResult
    func ship(
        streams: [StreamDelivery]? = nil, _ change: (inout ShipConfiguration) -> Void = { _ in }
    ) async throws -> ShipSummary {
        var configuration = configuration()
        change(&configuration)
        return try await shipper(configuration, streams: streams).run()
    }

    /// Ships until the table has settled and everything is delivered: for tests of what comes after that.
    func shipSettled(_ change: (inout ShipConfiguration) -> Void = { _ in }) async throws {
        try await ship(change)
        clock.advance(by: .seconds(3600))
        let summary = try await ship(change)
        #expect(summary.status == .drained)
    }

    // MARK: Looking

    func rows(_ table: String = table) throws -> [JSONValue] { try sandbox.state.rows(of: table) }

    func ids(_ table: String = table) throws -> [String] {
        try rows(table).compactMap { $0["_insert_id"]?.stringValue }
    }

    func ledger(_ stream: String = "memos") async throws -> LedgerEntry {
        let entries = try await spool.ledger()
        let entry = try #require(entries.first { $0.route.stream == stream })
        #expect(entry.isBalanced)
        return entry
    }

    func requests(_ name: String) -> [LoggedRequest] { sandbox.state.requests.filter { "\($0)".contains(name) } }
}

/// Clocks that run on their own and can be moved on.
final class TestClock: Sendable {
    private let added = Mutex<Duration>(.zero)

    func advance(by duration: Duration) { added.withLock { $0 += duration } }

    func now() -> Timestamp { Timestamp.now().advanced(by: added.withLock { $0 }) }

    var shipClock: ShipClock {
        var clock = ShipClock()
        let real = clock.uptime
        clock.uptime = { real() + self.added.withLock { $0 } }
        clock.now = { self.now() }
        return clock
    }
}

/// A spool and a sandbox for one test, with one clock unless `configure` gives the sandbox another.
func withBench<Value>(
    _ configure: (inout SandboxConfiguration) -> Void = { _ in }, _ body: (ShipBench) async throws -> Value
) async throws -> Value {
    try await withTemporarySpool { spool in
        let clock = TestClock()
        var configuration = SandboxConfiguration()
        configuration.clock = { clock.now().microseconds }
        configure(&configuration)
        let sandbox = try SandboxServer(configuration)
        try sandbox.start()
        defer { sandbox.stop() }
        return try await body(ShipBench(spool, sandbox, clock))
    }
}
