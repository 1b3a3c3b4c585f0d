import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// What an operator decides about rows, with the real program: retry, discard, mend.
@Suite struct OperatorTests {
    private func withLines(_ body: (FolderOfLines) async throws -> Void) async throws {
        try await FolderOfLines.with(destination: "max_rows_per_request: 20", body)
    }

    private func rows(_ lines: FolderOfLines, _ arguments: String...) async throws -> [JSONValue] {
        let outcome = try await lines.program.run(["audit", "rows"] + arguments + ["--json"])
        #expect(outcome.code == 0, "\(outcome.diagnostics)")
        return try outcome.json()["rows"]?.arrayValue ?? []
    }

    @Test func `rejected rows are shown with their reason, retried by it, and arrive under the same insertIds`()
        async throws
    {
        try await withLines { lines in
            try lines.write(10)
            #expect(try await lines.program.run("run", "--settle", "0s").code == 0)
            try lines.write(50)
            #expect(try await lines.program.run("extract").code == 0)
            try lines.sandbox.state.setFaults("row-error=invalid,rate=0.2", "seed=7")
            let shipped = try await lines.program.run("ship", "--settle", "0s", "--json")
            #expect(shipped.code == 65, "\(shipped.diagnostics)")
            lines.sandbox.state.clearFaults()
            let rejected = try await rows(lines, "--state", "rejected")
            #expect(
                !rejected.isEmpty && rejected.allSatisfy { $0["reason"] == "invalid" && $0["attempts"]?.intValue == 1 })
            let reported = try shipped.json()["streams"]?.arrayValue?.first?["rejected"]?.intValue
            #expect(reported == Int64(rejected.count))

            let none = try await lines.program.run("retry", "lines", "--reason", "too_large", "--json")
            #expect(try none.json()["retried"]?.intValue == 0)
            let id = try #require(rejected.first?["id"]?.stringValue)
            #expect(try await lines.program.run("retry", "--id", id, "--json").json()["retried"]?.intValue == 1)
            let rest = try await lines.program.run("retry", "lines", "--reason", "invalid", "--json")
            #expect(try rest.json()["retried"]?.intValue == Int64(rejected.count - 1))
            #expect(try await lines.program.run("ship", "--settle", "0s").code == 0)
            for row in rejected {
                let now = try await rows(lines, "--id", try #require(row["id"]?.stringValue))
                #expect(now.count == 1 && now[0]["state"] == "delivered" && now[0]["insert_id"] == row["insert_id"])
                #expect(now.first?["attempts"]?.intValue == 2)
            }
            #expect(try lines.sandbox.state.rowCount(of: "p.d.lines") == 60)
            #expect(try await lines.program.run("audit").code == 0)
        }
    }

    @Test func `a discarded row is kept with the operator's words and never sent`() async throws {
        try await withLines { lines in
            try lines.write(10)
            #expect(try await lines.program.run("extract").code == 0)
            for wrong in [
                ["--id", "3"], ["--why", "x"], ["--why", "x", "--id", "3", "--state", "pending"],
                ["--why", "x", "--state", "delivered"], ["--why", " ", "--id", "3"],
            ] {
                #expect(try await lines.program.run(["discard", "lines"] + wrong).code == 64, "\(wrong)")
            }
            let discarded = try await lines.program.run("discard", "--why", "a test row", "--id", "3", "--json")
            #expect(try discarded.json()["discarded"]?.intValue == 1)
            #expect(try await lines.program.run("ship", "--settle", "0s").code == 0)
            let row = try await rows(lines, "--state", "discarded").first
            #expect(row?["id"] == "3" && "\(row ?? .null)".contains("a test row"))
            #expect(try lines.sandbox.state.rowCount(of: "p.d.lines") == 9)
            let entry = try await lines.program.run("audit", "--json").json()["streams"]?.arrayValue?.first
            #expect(entry?["discarded"]?.intValue == 1 && entry?["delivered"]?.intValue == 9)
        }
    }

    @Test func `rows that are gone from the table are named, and mended under the same insertIds`() async throws {
        try await withLines { lines in
            try lines.write(30)
            #expect(try await lines.program.run("run", "--settle", "0s").code == 0)
            #expect(try await lines.program.run("audit", "destination").code == 0)
            let ids = Set(try lines.sandbox.state.insertIDs(of: "p.d.lines"))
            try lines.sandbox.state.removeRows(of: "p.d.lines")
            lines.sandbox.state.advanceClock(by: .seconds(120))
            let found = try await lines.program.run("audit", "destination", "--json")
            #expect(found.code == 65)
            let stream = try found.json()["streams"]?.arrayValue?.first
            #expect(Set(stream?["missing"]?.arrayValue?.compactMap(\.stringValue) ?? []) == ids)
            #expect(try await lines.program.run("audit", "destination", "--mend").code == 65)
            #expect(try await lines.program.run("ship", "--settle", "0s").code == 0)
            #expect(Set(try lines.sandbox.state.insertIDs(of: "p.d.lines")) == ids)
            #expect(try lines.sandbox.state.rowCount(of: "p.d.lines") == 30)
            #expect(try await lines.program.run("audit", "destination").code == 0)
        }
    }
}
