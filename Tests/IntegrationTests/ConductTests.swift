import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// How `extract` and `ship` behave beyond moving rows.
@Suite struct ConductTests {
    private func reconfigure(_ lines: FolderOfLines, _ change: (String) -> String) throws {
        let path = lines.program.folder + "/etl.yaml"
        try change(String(contentsOfFile: path, encoding: .utf8)).write(toFile: path, atomically: true, encoding: .utf8)
    }

    @Test func `verbose tells of every page and every request, and nothing else does`() async throws {
        try await FolderOfLines.with(destination: "max_rows_per_request: 10") { lines in
            try lines.write(25)
            let extracted = try await lines.program.run("extract", "--verbose")
            #expect(extracted.diagnostics.contains("lines: a page is committed; 25 rows read, 25 spooled"))
            try lines.sandbox.state.setFaults("status=503,on=insertAll,times=1")
            let shipped = try await lines.program.run("ship", "--settle", "0s", "--verbose", "--log-format", "json")
            let requests = shipped.diagnostics.split(separator: "\n").filter { $0.contains("attempt") }
            #expect(requests.count >= 4, "\(shipped.diagnostics)")
            #expect(requests.contains { $0.contains("p.d.lines: request") && $0.contains("HTTP 503") })
            #expect(
                requests.contains { $0.contains("HTTP 200") && $0.contains("10 delivered, 0 rejected, 0 in doubt") })
            #expect(requests.allSatisfy { $0.contains("\"DEBUG\"") })
            try lines.write(25)
            #expect(try await lines.program.run("run", "--settle", "0s").diagnostics.contains("attempt") == false)
        }
    }

    @Test func `a stream that is no longer configured is shipped with all, and none by its name`() async throws {
        try await FolderOfLines.with(destination: "max_rows_per_request: 10") { lines in
            try lines.write(5)
            #expect(try await lines.program.run("extract").code == 0)
            try reconfigure(lines) { $0.replacing("  lines: {", with: "  others: {table: others, ") }
            let named = try await lines.program.run("ship", "lines", "--settle", "0s", "--json")
            #expect(named.code == 64)
            #expect(try named.json()["error"]?["code"] == "usage")
            #expect(try await lines.program.run("ship", "--settle", "0s").code == 0)
            #expect(try lines.sandbox.state.rowCount(of: "p.d.lines") == 5)
        }
    }

    @Test func `leave for an empty snapshot that extract was given holds for a later ship`() async throws {
        try await FolderOfLines.with(destination: "max_rows_per_request: 10") { lines in
            try reconfigure(lines) {
                $0.replacing("mode: incremental, key: [id]", with: "mode: full, key: [id]").replacing(
                    "latest_views: false", with: "latest_views: true")
            }
            try lines.write(5)
            #expect(try await lines.program.run("run", "--settle", "0s").code == 0)
            for name in try FileManager.default.contentsOfDirectory(atPath: lines.program.folder + "/drops") {
                try Data().write(to: URL(fileURLWithPath: "\(lines.program.folder)/drops/\(name)"))
            }
            func shown() throws -> Bool? {
                let view = try lines.sandbox.state.resource(of: "p.d.lines_latest")["view"]?["query"]?.stringValue ?? ""
                let runs = try lines.spool("SELECT run_id FROM run_log ORDER BY run_no").split(separator: "\n")
                return runs.last.map { view.contains($0) }
            }
            #expect(try await lines.program.run("extract").code == 0)
            let kept = try await lines.program.run("ship", "--settle", "0s")
            #expect(kept.diagnostics.contains("snapshot_empty"), "\(kept.diagnostics)")
            #expect(try shown() == false)
            #expect(try await lines.program.run("extract", "--allow-mass-delete").code == 0)
            for _ in 0..<2 {
                #expect(try await lines.program.run("ship", "--settle", "0s").code == 0)
                #expect(try shown() == true)
            }
        }
    }
}
