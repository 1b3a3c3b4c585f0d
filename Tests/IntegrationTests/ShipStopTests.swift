import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// What stays on record of a destination that refuses, and of requests that were answered.
@Suite struct ShipStopTests {
    private func withLines(_ body: (FolderOfLines) async throws -> Void) async throws {
        try await FolderOfLines.with(destination: "max_rows_per_request: 20", body)
    }

    private func status(_ lines: FolderOfLines) async throws -> JSONValue? {
        try await lines.program.run("status", "--json").json()["streams"]?.arrayValue?.first
    }

    @Test func `status tells why a table stopped, until rows arrive again`() async throws {
        try await withLines { lines in
            try lines.write(50)
            #expect(try await lines.program.run("extract").code == 0)
            #expect(try await status(lines)?["last_error"] == .null)
            try lines.sandbox.state.setFaults("status=403,reason=accessDenied,on=insertAll")
            let refused = try await lines.program.run("ship", "--settle", "0s", "--json")
            #expect(refused.code == 77, "\(refused.diagnostics)")
            let told = try #require(try await status(lines)?["last_error"]?.stringValue)
            let message = try #require(try refused.json()["error"]?["message"]?.stringValue)
            #expect(message.contains(told.dropFirst(5).dropLast(5)), "\(told)")
            #expect(try await lines.program.run("status").output.contains("last error: "))
            lines.sandbox.state.clearFaults()
            #expect(try await lines.program.run("ship", "--settle", "0s").code == 0)
            #expect(try await status(lines)?["last_error"] == .null)
        }
    }

    @Test func `status forgets why a table stopped once nothing is left to be sent`() async throws {
        try await withLines { lines in
            try lines.write(5)
            #expect(try await lines.program.run("extract").code == 0)
            try lines.sandbox.state.setFaults("status=403,reason=accessDenied,on=insertAll")
            #expect(try await lines.program.run("ship", "--settle", "0s").code == 77)
            #expect(try await status(lines)?["last_error"]?.stringValue != nil)
            #expect(try await lines.program.run("discard", "--why", "test", "--state", "pending").code == 0)
            #expect(try await lines.program.run("ship", "--settle", "0s").code == 0)
            #expect(try await status(lines)?["last_error"] == .null)
        }
    }

    @Test func `a request keeps the last status that it was answered with`() async throws {
        try await withLines { lines in
            try lines.write(10)
            // A new table: what it accepted is asked about before it counts.
            #expect(try await lines.program.run("run").code == 0)
            #expect(try lines.spool("SELECT DISTINCT state, http_status FROM requests") == "delivered|200\n")
        }
    }

    @Test func `rows for another endpoint are named, also where there are no credentials for the new one`() async throws
    {
        try await withLines { lines in
            try lines.write(5)
            #expect(try await lines.program.run("extract").code == 0)
            let path = lines.program.folder + "/etl.yaml"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try text.replacing(lines.sandbox.endpoint, with: "https://bigquery.example.com")
                .write(toFile: path, atomically: true, encoding: .utf8)
            let refused = try await lines.program.run("ship", "--json")
            #expect(refused.code == 78)
            #expect(try refused.json()["error"]?["message"]?.stringValue?.contains("5 rows") == true)
        }
    }

    @Test func `run --dry-run tells what both would do and does neither`() async throws {
        try await withLines { lines in
            try lines.write(5)
            let first = try await lines.program.run("run", "--dry-run", "--json").json()
            #expect(first["extract"]?["streams"]?.arrayValue?.first?["objects"] == 1)
            #expect(first["ship"]?["streams"] == .array([]))
            #expect(!FileManager.default.fileExists(atPath: lines.spoolPath))
            #expect(try await lines.program.run("extract").code == 0)
            let second = try await lines.program.run("run", "--dry-run", "--json").json()
            #expect(second["ship"]?["streams"]?.arrayValue?.first?["rows"] == 5)
            #expect(try lines.spool("SELECT count(*) FROM requests") == "0\n")
        }
    }

    @Test func `run --follow ships what is spooled later, until it is stopped`() async throws {
        try await withLines { lines in
            try lines.write(5)
            let running = try lines.program.start(["run", "--follow", "--settle", "0s"])
            #expect(
                await eventually { (try? lines.sandbox.state.rowCount(of: "p.d.lines")) == 5 })
            try lines.write(5)
            #expect(try await lines.program.run("extract").code == 0)
            #expect(
                await eventually { (try? lines.sandbox.state.rowCount(of: "p.d.lines")) == 10 })
            running.send(SIGTERM)
            #expect(await running.wait().code == 143)
        }
    }

    @Test func `check finds a credentials file that can't work without asking anybody`() async throws {
        try await withLines { lines in
            let folder = lines.program.folder
            let path = folder + "/etl.yaml"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try text.replacing("dataset: d,", with: "dataset: d, credentials: key.json,")
                .write(toFile: path, atomically: true, encoding: .utf8)
            for content in [#"{"type":"#, #"{"type":"other"}"#, #"{"type":"service_account"}"#] {
                try content.write(toFile: folder + "/key.json", atomically: true, encoding: .utf8)
                let checked = try await lines.program.run("check", "--offline", "--json")
                #expect(checked.code == 78, "\(content): \(checked.output)")
                let shipped = try await lines.program.run("ship", "--json")
                let error = try shipped.json()["error"]
                #expect(shipped.code == 78 && error?["hint"]?.stringValue != nil, "\(content): \(shipped.output)")
                #expect(error?["message"]?.stringValue?.contains("destination.credentials, line 2") == true)
            }
        }
    }
}
