import Foundation
import JSONBytes
import Sandbox
import Spool
import TestSupport
import Testing
import Transport

/// What operators do, and what goes on beside it, with the real program.
@Suite struct OperationTests {
    @Test func `a recreated table is reported, and rows delivered to the old one can be sent again`() async throws {
        let sandbox = try SandboxServer()
        try sandbox.start()
        defer { sandbox.stop() }
        try await withTemporaryFolder { folder in
            let program = try Self.prepare(folder, endpoint: sandbox.endpoint)
            try Self.write(0..<30, "a", in: folder)
            #expect(try await program.run("run", "--settle", "0s").code == 0)
            #expect(try sandbox.state.rowCount(of: "p.d.lines") == 30)

            let address = sandbox.endpoint + "/bigquery/v2/projects/p/datasets/d/tables"
            let client = HTTPClient()
            let table = try await client.send(HTTPRequest(.get, address + "/lines")).body
            #expect(try await client.send(HTTPRequest(.delete, address + "/lines")).isSuccess)
            let headers = [HTTPHeader("Content-Type", "application/json")]
            let made = try await client.send(HTTPRequest(.post, address, headers: headers, body: HTTPBody(table)))
            #expect(made.isSuccess, "\(String(decoding: made.body, as: UTF8.self))")

            try Self.write(30..<40, "b", in: folder)
            #expect(try await program.run("extract").code == 0)
            let shipped = try await program.run("ship", "--settle", "0s")
            #expect(shipped.code == 0)
            #expect(shipped.diagnostics.contains("table_changed"), "\(shipped.diagnostics)")
            #expect(shipped.diagnostics.contains("etlctl retry --delivered-before"))
            let now = ISO8601DateFormatter().string(from: Date().addingTimeInterval(1))
            let retried = try await program.run("retry", "lines", "--delivered-before", now)
            #expect(retried.code == 0, "\(retried.diagnostics)")
            #expect(try await program.run("ship", "--settle", "0s").code == 0)
            let ids = try sandbox.state.rows(of: "p.d.lines").compactMap { $0["_insert_id"]?.stringValue }
            #expect(Set(ids).count == 40, "every row is in the table that is there now")
            let audit = try await program.run("audit", "--json")
            #expect(try audit.json()["balanced"] == true)
        }
    }

    @Test(.timeLimit(.minutes(10)))
    func `a damaged page is told of by every command, and all rows around it arrive`() async throws {
        let sandbox = try SandboxServer()
        try sandbox.start()
        defer { sandbox.stop() }
        try await withTemporaryFolder { folder in
            let program = try Self.prepare(folder, endpoint: sandbox.endpoint)
            try Self.write(0..<3000, "a", in: folder)
            #expect(try await program.run("extract").code == 0)
            let path = folder + "/var/spool.sqlite"
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            // Where rows stand, well behind the beginning of their page: without that all of the page's rows would be gone.
            let places = (2000..<2200).compactMap { bytes.range(of: Data("\"row \($0)\"".utf8)) }
            let place = try #require(places.first { $0.lowerBound % SpoolStore.pageSize > 4000 })
            // Some rows long: at least one is gone with its number, and a row stands there that never was.
            bytes.replaceSubrange(place.lowerBound - 700..<place.lowerBound, with: Data(count: 700))
            try bytes.write(to: URL(fileURLWithPath: path))

            let shipped = try await program.run("ship", "--settle", "0s", "--patience", "3s", "--json")
            #expect(shipped.code == 74, "\(shipped.diagnostics)")
            #expect(try shipped.json()["error"]?["code"] == "spool")
            #expect(try shipped.json()["error"]?["hint"]?.stringValue?.contains("spool verify --quarantine") == true)
            #expect(try sandbox.state.rowCount(of: "p.d.lines") > 1500, "what stands before the damage is sent")
            let audit = try await program.run("audit", "--json")
            #expect(audit.code == 65, "\(audit.diagnostics)")
            let checks = try audit.json()["streams"]?.arrayValue?.first?["checks"]?.arrayValue
            for name in ["sqlite_integrity", "payloads_intact"] {
                #expect(checks?.first { $0["name"]?.stringValue == name }?["ok"] == false, "\(name)")
            }
            for command in [
                ["status"], ["schema"], ["audit", "rows"], ["spool", "compact"], ["spool", "backup", folder + "/copy"],
                ["retry"], ["discard", "--why", "so", "--state", "rejected"], ["audit", "destination"], ["extract"],
            ] {
                let outcome = try await program.run(command)
                #expect([0, 65, 74].contains(outcome.code), "\(command): \(outcome.code) \(outcome.diagnostics)")
            }
            #expect(try await program.run("spool", "verify").code == 74)

            let quarantined = try await program.run("spool", "verify", "--quarantine", "--json")
            #expect(quarantined.code == 0, "\(quarantined.diagnostics)")
            let lost = try #require(try quarantined.json()["rejected"]?.intValue)
            #expect(lost > 0 && lost < 12)
            #expect(try await program.run("ship", "--settle", "0s").code == 0)
            #expect(try sandbox.state.rowCount(of: "p.d.lines") == 3000 - lost)
            #expect(try await program.run("audit").code == 0)
        }
    }

    @Test func `a damaged row is named, never sent, and set aside; all others arrive`() async throws {
        let sandbox = try SandboxServer()
        try sandbox.start()
        defer { sandbox.stop() }
        try await withTemporaryFolder { folder in
            let program = try Self.prepare(folder, endpoint: sandbox.endpoint)
            try Self.write(0..<200, "a", in: folder)
            #expect(try await program.run("extract").code == 0)
            #expect(try await program.run("spool", "verify").code == 0)
            let path = folder + "/var/spool.sqlite"
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            let place = try #require(
                bytes.range(of: Data("\"row 77\"".utf8)), "the spool is in the file, not in the log")
            bytes[place.lowerBound + 2] ^= 0x20
            try bytes.write(to: URL(fileURLWithPath: path))

            let verified = try await program.run("spool", "verify", "--json")
            #expect(verified.code == 74)
            #expect(try verified.json()["rows"]?.arrayValue?.map { $0["stream"]?.stringValue } == ["lines"])
            let audit = try await program.run("audit", "--json")
            #expect(audit.code == 65)
            #expect(audit.diagnostics.contains("payloads_intact"))
            #expect(try await program.run("ship", "--settle", "0s").code != 0)
            #expect(!(try sandbox.state.rows(of: "p.d.lines").contains { $0["_id"]?.stringValue == "77" }))

            let quarantined = try await program.run("spool", "verify", "--quarantine", "--json")
            #expect(quarantined.code == 0, "\(quarantined.diagnostics)")
            #expect(try quarantined.json()["rejected"]?.intValue == 1)
            _ = try await program.run("ship", "--settle", "0s")
            #expect(try sandbox.state.rowCount(of: "p.d.lines") == 199)
            #expect(try await program.run("audit").code == 0)
            let rejected = try await program.run("audit", "rows", "--state", "rejected", "--json").json()["rows"]?
                .arrayValue
            #expect(rejected?.count == 1 && rejected?.first?["reason"] == "damaged")
        }
    }

    private static func prepare(_ folder: String, endpoint: String) throws -> EtlctlProcess {
        try FileManager.default.createDirectory(atPath: folder + "/drops", withIntermediateDirectories: true)
        let text = """
            destination: {project: p, dataset: d, endpoint: "\(endpoint)", latest_views: false}
            sources:
              drops: {type: files, url: drops}
            streams:
              lines: {source: drops, from: "*.jsonl", mode: incremental, key: [id]}

            """
        try text.write(toFile: folder + "/etl.yaml", atomically: true, encoding: .utf8)
        return EtlctlProcess(folder: folder)
    }

    private static func write(_ numbers: Range<Int>, _ name: String, in folder: String) throws {
        let text = numbers.map { "{\"id\":\($0),\"name\":\"row \($0)\"}\n" }.joined()
        try text.write(toFile: "\(folder)/drops/\(name).jsonl", atomically: true, encoding: .utf8)
    }
}
