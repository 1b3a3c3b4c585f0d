import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// `etlctl spool` and what it leaves for `ship`.
@Suite struct SpoolCommandTests {
    private func withLines(
        _ destination: String = "max_rows_per_request: 100", spool: String = "",
        _ body: (FolderOfLines) async throws -> Void
    ) async throws {
        try await FolderOfLines.with(destination: destination, spool: spool, body)
    }

    private func size(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return (attributes[.size] as? NSNumber)?.intValue ?? 0
    }

    @Test func `a spool restored from a backup asks before it sends what the original may have sent`() async throws {
        try await withLines { lines in
            try lines.write(150)
            #expect(try await lines.program.run("run", "--settle", "0s").code == 0)
            try lines.write(150)
            #expect(try await lines.program.run("extract").code == 0)
            let copy = lines.program.folder + "/copy.sqlite"
            #expect(try await lines.program.run("spool", "backup", copy).code == 0)
            let mode = try FileManager.default.attributesOfItem(atPath: copy)[.posixPermissions] as? NSNumber
            #expect(mode?.intValue == 0o600)
            let again = try await lines.program.run("spool", "backup", copy)
            #expect(again.code != 0 && again.diagnostics.contains(copy), "\(again.diagnostics)")
            // The original sends half of what is pending, then the disk it is on is lost.
            #expect(try await lines.program.run("ship", "--settle", "0s", "--limit", "100").code == 0)
            #expect(try lines.sandbox.state.rowCount(of: "p.d.lines") == 250)
            for name in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: lines.spoolPath + name) }
            try FileManager.default.moveItem(atPath: copy, toPath: lines.spoolPath)
            lines.sandbox.state.advanceClock(by: .seconds(120))
            lines.sandbox.state.clearRequests()

            let status = try await lines.program.run("status", "--json").json()["streams"]?.arrayValue?.first
            #expect(status?["in_doubt"]?.intValue == 150 && status?["pending"]?.intValue == 0)
            let shipped = try await lines.program.run("ship", "--settle", "0s")
            #expect(shipped.code == 0, "\(shipped.diagnostics)")
            let calls = lines.sandbox.state.requests.map(\.operation).filter { [.query, .insertAll].contains($0) }
            #expect(calls.first == .query)
            let ids = try lines.sandbox.state.insertIDs(of: "p.d.lines")
            #expect(ids.count == 300 && Set(ids).count == 300)
            #expect(try await lines.program.run("audit").code == 0)
        }
    }

    @Test func `compact gives back the room of rows that retention removed`() async throws {
        try await withLines("max_rows_per_request: 1000", spool: ", keep_delivered: 0s") { lines in
            try lines.write(4000, bytes: 1000)
            #expect(try await lines.program.run("extract").code == 0)
            #expect(try await lines.program.run("ship", "--settle", "0s").code == 0)
            let before = try size(lines.spoolPath)
            let compacted = try await lines.program.run("spool", "compact", "--json")
            #expect(compacted.code == 0, "\(compacted.diagnostics)")
            #expect(before > 4_000_000)
            #expect(try size(lines.spoolPath) < 1_000_000)
            #expect(try compacted.json()["bytes_after"]?.intValue ?? .max < 1_000_000)
            let entry = try await lines.program.run("audit", "--json").json()["streams"]?.arrayValue?.first
            #expect(entry?["spooled"]?.intValue == 4000 && entry?["retired"]?.intValue == 4000)
            // What later runs need is still known: a file that grew gives its new line alone.
            let file = lines.program.folder + "/drops/00000000.jsonl"
            let content = try String(contentsOfFile: file, encoding: .utf8)
            try (content + "{\"id\":\"new\"}\n").write(toFile: file, atomically: true, encoding: .utf8)
            let extracted = try await lines.program.run("extract", "--json")
            #expect(try extracted.json()["streams"]?.arrayValue?.first?["rows_spooled"]?.intValue == 1)
        }
    }

    @Test(arguments: [["ship", "--follow"], ["run", "--every", "1h"]])
    func `what is kept of delivered rows goes when its time is over, also in a command that never ends`(
        command: [String]
    ) async throws {
        try await withLines(spool: ", keep_delivered: 2s") { lines in
            try lines.write(500)
            #expect(try await lines.program.run("extract").code == 0)
            let follower = try lines.program.start(command + ["--settle", "0s"])
            let isRetired = await eventually {
                (try? lines.spool("SELECT count(*) FROM spooled_rows")) == "0\n"
            }
            follower.send(SIGTERM)
            #expect(await follower.wait().code == 143)
            #expect(isRetired)
            #expect(try lines.sandbox.state.rowCount(of: "p.d.lines") == 500)
            let entry = try await lines.program.run("audit", "--json").json()["streams"]?.arrayValue?.first
            #expect(entry?["retired"]?.intValue == 500)
        }
    }

    @Test func `a spool file that was cut is named, and what is left of it arrives`() async throws {
        try await withLines { lines in
            let all = try lines.write(3000, bytes: 300)
            #expect(try await lines.program.run("extract").code == 0)
            let whole = try size(lines.spoolPath)
            #expect(whole > 1_000_000, "the rows are in the file, not in the log")
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: lines.spoolPath))
            try handle.truncate(atOffset: UInt64(whole * 2 / 3))
            try handle.close()

            let verified = try await lines.program.run("spool", "verify", "--json")
            #expect(verified.code == 74)
            #expect(try verified.json()["error"]?["code"] == "spool")
            let ranges = try verified.json()["rows"]?.arrayValue ?? []
            #expect(!ranges.isEmpty && ranges.allSatisfy { $0["stream"] == "lines" }, "\(verified.output)")
            let named: Int64 = ranges.reduce(0) {
                $0 + ($1["last_row"]?.intValue ?? 0) - ($1["first_row"]?.intValue ?? 0) + 1
            }
            let quarantined = try await lines.program.run("spool", "verify", "--quarantine", "--json")
            #expect(quarantined.code == 0, "\(quarantined.diagnostics)")
            #expect(try quarantined.json()["rejected"]?.intValue == named)
            #expect(try await lines.program.run("spool", "verify").code == 0)

            let shipped = try await lines.program.run("ship", "--settle", "0s")
            #expect(shipped.code == 0, "\(shipped.diagnostics)")
            let arrived = try lines.sandbox.state.rowCount(of: "p.d.lines")
            #expect(named > 0 && arrived == all.count - Int(named) && arrived > all.count / 3, "\(arrived), \(named)")
            #expect(try await lines.program.run("audit").code == 0)
        }
    }
}
