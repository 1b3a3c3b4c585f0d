import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// Where a spool's copy is kept, and how the program is told.
struct RemotePlace: Sendable {
    let url: String
    let environment: [String: String]
    /// Google's, where the test can see and spoil what is in it.
    var google: GoogleStore?

    static let kinds = ["folder", "gs", "s3", "az"]

    static func with<Result>(_ kind: String, _ body: (RemotePlace) async throws -> Result) async throws -> Result {
        switch kind {
        case "gs":
            let google = try GoogleStore()
            defer { google.stop() }
            return try await body(
                RemotePlace(
                    url: "gs://\(GoogleStore.bucket)/etl", environment: ["STORAGE_EMULATOR_HOST": google.url],
                    google: google))
        case "s3":
            let bucket = try await Bucket.make("s3")
            let url = try await PeerServer.shared("s3_server").url
            return try await body(
                RemotePlace(
                    url: "s3://\(bucket.name)/etl",
                    environment: Bucket.awsKeys.merging(["AWS_ENDPOINT_URL_S3": url, "AWS_REGION": "us-east-1"]) { $1 })
            )
        case "az":
            let bucket = try await Bucket.make("az")
            let url = try await PeerServer.shared("azure_server").url + "/" + Bucket.account
            let text = "AccountName=\(Bucket.account);AccountKey=\(Bucket.key);BlobEndpoint=\(url)"
            return try await body(
                RemotePlace(
                    url: "az://\(Bucket.account)/\(bucket.name)/etl",
                    environment: ["AZURE_STORAGE_CONNECTION_STRING": text]))
        default:
            return try await withTemporaryFolder { folder in
                try await body(RemotePlace(url: folder, environment: [:]))
            }
        }
    }
}

/// Machines with disks that don't last, one source of lines, one table, and a copy of the spool in a store.
final class RemotePipeline {
    let place: RemotePlace
    let sandbox: SandboxServer
    private let folder: String
    private(set) var count = 0

    static func with<Result>(
        _ kind: String = "gs", destination: String = "max_rows_per_request: 10",
        _ body: (RemotePipeline) async throws -> Result
    ) async throws -> Result {
        var configuration = SandboxConfiguration()
        configuration.logLimit = 100_000
        let sandbox = try SandboxServer(configuration)
        try sandbox.start()
        defer { sandbox.stop() }
        return try await RemotePlace.with(kind) { place in
            try await withTemporaryFolder { folder in
                let pipeline = try RemotePipeline(folder, place, sandbox, destination)
                return try await body(pipeline)
            }
        }
    }

    private init(_ folder: String, _ place: RemotePlace, _ sandbox: SandboxServer, _ destination: String) throws {
        (self.folder, self.place, self.sandbox) = (folder, place, sandbox)
        try FileManager.default.createDirectory(atPath: folder + "/drops", withIntermediateDirectories: true)
        for name in ["a", "b"] {
            try FileManager.default.createDirectory(atPath: folder + "/" + name, withIntermediateDirectories: true)
            let text = """
                spool: {path: disk/spool.sqlite, remote: "\(place.url)"}
                destination: {project: p, dataset: d, endpoint: "\(sandbox.endpoint)", latest_views: false, \(destination)}
                sources:
                  drops: {type: files, url: ../drops}
                streams:
                  lines: {source: drops, from: "*.jsonl", mode: incremental, key: [id]}

                """
            try text.write(toFile: "\(folder)/\(name)/etl.yaml", atomically: true, encoding: .utf8)
        }
    }

    /// One of two machines, `a` and `b`.
    func machine(_ name: String = "a", crashAt: String? = nil, lease: Int? = nil) -> EtlctlProcess {
        var environment = place.environment
        environment["ETLCTL_CRASH_AT"] = crashAt
        environment["ETLCTL_REMOTE_LEASE"] = lease.map { String($0) }
        return EtlctlProcess(folder: "\(folder)/\(name)", environment: environment)
    }

    func disk(_ name: String = "a") -> String { "\(folder)/\(name)/disk" }

    /// The copy that is being saved or restored.
    func copyOnTheWay(_ name: String = "a") -> String { disk(name) + "/spool.sqlite-remote-copy" }

    func loseDisk(_ name: String = "a") { try? FileManager.default.removeItem(atPath: disk(name)) }

    @discardableResult
    func write(_ lines: Int, text: (Int) -> String = { "line \($0)" }) throws -> Range<Int> {
        let numbers = count..<count + lines
        let content = numbers.map { "{\"id\":\($0),\"text\":\"\(text($0))\"}\n" }.joined()
        try content.write(
            toFile: "\(folder)/drops/\(String(format: "%08d", numbers.lowerBound)).jsonl", atomically: true,
            encoding: .utf8)
        count += lines
        return numbers
    }

    /// The time in which BigQuery knows an insertId again is over.
    func leaveWindow() async {
        #expect(await eventually { self.sandbox.state.requestsInFlight == 0 })
        sandbox.state.advanceClock(by: .seconds(120))
    }

    /// After a lost disk whose last process was killed, the lock is free when the store's time has passed.
    func leaveLease() { place.google?.advanceClock(by: 121) }

    /// Brings everything to rest and compares source, spool and table row by row.
    func finish(_ name: String = "a", _ comment: String = "") async throws {
        for _ in 0..<4 {
            let extracted = try await machine(name).run("extract")
            #expect(extracted.code == 0, "\(comment) \(extracted.diagnostics)")
            let shipped = try await machine(name).run("ship", "--settle", "0s")
            #expect(shipped.code == 0, "\(comment) \(shipped.diagnostics)")
        }
        try await compare(name, comment)
    }

    func compare(_ name: String = "a", _ comment: String = "") async throws {
        let audit = try await machine(name).run("audit")
        #expect(audit.code == 0, "\(comment) \(audit.output)")
        let ids = try sandbox.state.rows(of: "p.d.lines").compactMap { $0["_id"]?.stringValue.flatMap { Int($0) } }
        let missing = Set(0..<count).subtracting(ids)
        #expect(missing.isEmpty, "\(comment) missing: \(missing.count) of \(count)")
        #expect(ids.count == Set(ids).count, "\(comment) duplicated: \(ids.count - Set(ids).count)")
        let inserted = try sandbox.state.insertIDs(of: "p.d.lines")
        #expect(inserted.count == Set(inserted).count, "\(comment)")
        let states = try await machine(name).run("status", "--json").json()["streams"]?.arrayValue?.first
        #expect(states?["delivered"]?.intValue == Int64(count), "\(comment)")
    }

    /// The objects of Google's store: the current copy's, and all others.
    func objects() throws -> (state: JSONValue, current: Int, others: [String]) {
        let objects = try #require(place.google).objects
        let state = try JSONValue(parsing: try #require(objects["etl/etlctl-spool.json"]))
        let id = state["copy"]?["id"]?.stringValue ?? "none"
        let current = objects.keys.filter { $0.hasPrefix("etl/copy-\(id).") }
        return (state, current.count, objects.keys.filter { !current.contains($0) && !$0.hasSuffix(".json") })
    }
}
