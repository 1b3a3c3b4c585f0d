import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// `run` with a spool that is too small for what is read: delivery makes room, and what stops delivery ends it.
@Suite struct RoomTests {
    private func withLines(_ body: (FolderOfLines) async throws -> Void) async throws {
        try await FolderOfLines.with(destination: "max_rows_per_request: 500", spool: ", max_size: 2MiB") { lines in
            try lines.write(10)
            #expect(try await lines.program.run("run", "--settle", "0s").code == 0)
            for _ in 0..<4 { try lines.write(4000, bytes: 200) }
            try await body(lines)
        }
    }

    @Test func `everything passes through a spool of a tenth of its size`() async throws {
        try await withLines { lines in
            let outcome = try await lines.program.run("run", "--settle", "0s")
            #expect(outcome.code == 0, "\(outcome.diagnostics)")
            #expect(try lines.sandbox.state.rowCount(of: "p.d.lines") == lines.count)
            #expect(try await lines.program.run("audit").code == 0)
        }
    }

    @Test(arguments: [
        ("deny=insertAll", 77, "denied"), ("status=400,on=insertAll", 1, "internal"),
    ])
    func `what stops the delivery ends the waiting too`(fault: String, code: Int32, name: String) async throws {
        try await withLines { lines in
            try lines.sandbox.state.setFaults(fault)
            let outcome = try await lines.program.run("run", "--settle", "0s", "--patience", "1s", "--json")
            #expect(outcome.code == code, "\(outcome.diagnostics)")
            let report = try outcome.json()
            #expect(report["error"]?["code"]?.stringValue == name)
            #expect(report["extract"]?["streams"]?.arrayValue?.first?["status"] == "interrupted")
            lines.sandbox.state.clearFaults()
            lines.sandbox.state.advanceClock(by: .seconds(120))
            let after = try await lines.program.run("run", "--settle", "0s")
            #expect(after.code == 0, "\(after.diagnostics)")
            let ids = try lines.sandbox.state.insertIDs(of: "p.d.lines")
            #expect(ids.count == lines.count && Set(ids).count == lines.count)
        }
    }

    @Test func `an extraction that fails while others follow is told at once`() async throws {
        try await withLines { lines in
            try FileManager.default.moveItem(
                atPath: lines.program.folder + "/drops", toPath: lines.program.folder + "/gone")
            let running = try lines.program.start(["run", "--every", "100ms", "--patience", "0s"])
            #expect(
                await eventually { running.diagnostics.split(separator: "\n").count { $0.contains("lines: ") } >= 2 })
            #expect(running.diagnostics.contains("drops"))
            running.send(SIGTERM)
            #expect(await running.wait().code == 143)
        }
    }
}
