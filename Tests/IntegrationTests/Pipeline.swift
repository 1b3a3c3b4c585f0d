import Foundation
import JSONBytes
import Sandbox
import TestSupport

/// A Firestore database, a stand-in for BigQuery and a folder with a configuration: what the program needs to run end to end.
struct Pipeline: Sendable {
    let database: FirestoreDatabase
    let sandbox: SandboxServer
    let program: EtlctlProcess

    /// - Parameter streams: lines of YAML below `streams:`, indented by two spaces.
    static func with<Result>(
        streams: String, sandbox configuration: SandboxConfiguration = SandboxConfiguration(),
        environment: [String: String] = [:], _ body: (Pipeline) async throws -> Result
    ) async throws -> Result {
        let database = try await FirestoreEmulator.running().database()
        let sandbox = try SandboxServer(configuration)
        try sandbox.start()
        defer { sandbox.stop() }
        return try await withTemporaryFolder { folder in
            let text = """
                destination: {project: p, dataset: d, endpoint: "\(sandbox.endpoint)"}
                sources:
                  app: {type: firestore, project: \(database.project), endpoint: "\(database.endpoint)"}
                streams:
                \(streams)

                """
            try text.write(toFile: folder + "/etl.yaml", atomically: true, encoding: .utf8)
            return try await body(
                Pipeline(
                    database: database, sandbox: sandbox,
                    program: EtlctlProcess(folder: folder, environment: environment)))
        }
    }

    static let memos = "  memos: {source: app, from: memos, mode: changes}"

    /// Replaces a text in the configuration.
    func reconfigure(_ old: String, _ new: String) throws {
        let path = program.folder + "/etl.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try text.replacing(old, with: new).write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// The first stream of a command's JSON.
    func stream(_ arguments: String...) async throws -> JSONValue {
        let outcome = try await program.run(arguments + ["--json"])
        return try outcome.json()["streams"]?.arrayValue?.first ?? .null
    }

    /// Memos with every kind of value; every seventh without a timestamp in `last_modified`.
    static func memo(_ number: Int, revision: Int = 0) -> [String: JSONValue] {
        var fields: [String: JSONValue] = [
            "title": JSONValue.text("Memo \(number), \"quoted\" é 😀 \\ revision \(revision)"),
            "number": JSONValue.integer(Int64(number)),
            "ratio": JSONValue.double("\(Double(number) / 7)"),
            "done": JSONValue.flag(number.isMultiple(of: 2)),
            "tags": JSONValue.list(JSONValue.text("a"), JSONValue.integer(Int64(revision))),
            "last_modified": JSONValue.time("2025-11-\(10 + number % 15)T10:00:00.\(100 + number % 900)Z"),
        ]
        if number.isMultiple(of: 7) { fields["last_modified"] = JSONValue.text("on day \(number)") }
        return fields
    }

    func seed(_ numbers: Range<Int>, collection: String = "memos", revision: Int = 0) async throws {
        try await database.write(
            numbers.map { .set("\(collection)/m\($0)", Self.memo($0, revision: revision)) })
    }
}
