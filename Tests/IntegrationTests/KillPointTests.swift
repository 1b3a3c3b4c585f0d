import Foundation
import JSONBytes
import Sandbox
import Spool
import TestSupport
import Testing

/// Killed at every named moment, one after the other: the spool holds what `Spool.md` says, and the next start makes it good.
@Suite struct KillPointTests {
    /// Two requests carry the rows of a round.
    private static let rowsARequest = 10

    private static func onWire(_ point: CrashPoint) -> Bool { ![.beforeCommit, .afterCommit].contains(point) }

    @Test(arguments: CrashPoint.ofDelivery, [true, false])
    func `ship is killed at each moment, and nothing is lost or doubled, inside and outside of the window`(
        point: CrashPoint, isInsideWindow: Bool
    ) async throws {
        try await withFolderOfLines { lines in
            try lines.write(5)
            #expect(try await lines.program.run("run", "--settle", "0s").code == 0)
            var left: Set<String> = []
            var isOver = false
            var kill = 0
            while !isOver, kill < 40 {
                kill += 1
                let rows = try lines.write(2 * Self.rowsARequest)
                #expect(try await lines.program.run("extract").code == 0)
                var program = lines.program
                program.environment["ETLCTL_CRASH_AT"] = "\(point.rawValue):\(kill)"
                let killed = try await program.run("ship", "--settle", "0s")
                isOver = killed.signal != SIGKILL
                if isOver {
                    #expect(killed.code == 0, "\(killed.diagnostics)")
                } else {
                    left.insert(try await checkWhatIsLeft(lines, rows, point, kill))
                }
                try await checkNextStart(lines, isInsideWindow: isInsideWindow)
            }
            if Self.onWire(point) {
                #expect(kill == 3, "one kill for each request")
            } else {
                // Before `begin` and `settle`, or after them: the walk has met both.
                let met: Set =
                    point == .beforeCommit ? ["nothing begun", "sent, not settled"] : ["nothing sent", "settled"]
                #expect(left.isSuperset(of: met), "\(left)")
            }
        }
    }

    /// What a kill left, in words; every row is where it may be.
    private func checkWhatIsLeft(
        _ lines: FolderOfLines, _ rows: Range<Int>, _ point: CrashPoint, _ kill: Int
    ) async throws -> String {
        // What has left the killed process arrives by itself.
        let sent = Self.rowsARequest * (point == .beforeSend ? kill - 1 : kill)
        if Self.onWire(point) {
            #expect(await eventually { (try? lines.arrived(rows).count) == sent }, "\(point) \(kill)")
        }
        #expect(await eventually { lines.sandbox.state.requestsInFlight == 0 })
        let arrived = try lines.arrived(rows)
        let states = try lines.states(rows)
        #expect(states.count == rows.count)
        for (id, state) in states {
            switch state {
            case "pending": #expect(!arrived.contains(id), "\(point) \(kill): a row that was sent is pending")
            case "delivered": #expect(arrived.contains(id), "\(point) \(kill): a row that is not there is delivered")
            default: #expect(state == "sending", "\(point) \(kill)")
            }
        }
        let sending = states.filter { $0.value == "sending" }.map(\.key)
        if Self.onWire(point) { #expect(sending.count >= Self.rowsARequest, "\(point) \(kill)") }
        if states.values.allSatisfy({ $0 == "pending" }) { return "nothing begun" }
        if sending.contains(where: arrived.contains) { return "sent, not settled" }
        return sending.isEmpty ? "settled" : arrived.isEmpty ? "nothing sent" : "in between"
    }

    private func checkNextStart(_ lines: FolderOfLines, isInsideWindow: Bool) async throws {
        let all = 0..<lines.count
        let sending = try lines.states(all).contains { $0.value == "sending" }
        if !isInsideWindow { lines.sandbox.state.advanceClock(by: .seconds(120)) }
        lines.sandbox.state.clearRequests()
        let shipped = try await lines.program.run("ship", "--settle", "0s", "--json")
        #expect(shipped.code == 0, "\(shipped.diagnostics)")
        #expect(try shipped.json()["status"] == "drained")
        let calls = lines.sandbox.state.requests.map(\.operation).filter { [.query, .insertAll].contains($0) }
        if sending { #expect(calls.first == .query, "after a restart BigQuery is asked before anything is sent again") }
        #expect(try lines.states(all).allSatisfy { $0.value == "delivered" })
        let ids = try lines.sandbox.state.insertIDs(of: "p.d.lines")
        #expect(ids.count == all.count && Set(ids).count == all.count)
        #expect(try await lines.program.run("audit").code == 0)
    }

    @Test(arguments: [CrashPoint.beforeCommit, .afterCommit])
    func `extract is killed at each commit, and rows and position stay together`(point: CrashPoint) async throws {
        try await withFolderOfLines { lines in
            var pages: Set<Int> = []
            var isOver = false
            var kill = 0
            while !isOver, kill < 40 {
                kill += 1
                let rows = try lines.write(4500)
                var program = lines.program
                program.environment["ETLCTL_CRASH_AT"] = "\(point.rawValue):\(kill)"
                let killed = try await program.run("extract")
                isOver = killed.signal != SIGKILL
                if isOver { #expect(killed.code == 0, "\(killed.diagnostics)") }
                let states = try lines.states(rows)
                #expect(states.values.allSatisfy { $0 == "pending" })
                pages.insert(states.count)
                // Every row is there once, with the run that counts it.
                #expect(try await lines.program.run("audit").code == 0)
                #expect(
                    try lines.spool(
                        """
                        SELECT count(*) FROM runs r WHERE rows_spooled <>
                            (SELECT count(*) FROM spooled_rows s WHERE s.run_id = r.run_id)
                        """) == "0\n")
                let next = try await lines.program.run("extract", "--json")
                #expect(next.code == 0, "\(next.diagnostics)")
                #expect(try next.json()["streams"]?.arrayValue?.first?["status"] == "complete")
                #expect(
                    try lines.spool("SELECT count(*), count(DISTINCT insert_id) FROM spooled_rows")
                        == "\(lines.count)|\(lines.count)\n")
                #expect(try lines.spool("SELECT count(*) FROM runs WHERE status <> 'complete'") == "0\n")
            }
            #expect(pages == [0, 2000, 4000, 4500])
            #expect(try await lines.program.run("run", "--settle", "0s").code == 0)
            #expect(try lines.sandbox.state.rowCount(of: "p.d.lines") == lines.count)
        }
    }

    private func withFolderOfLines(_ body: (FolderOfLines) async throws -> Void) async throws {
        var configuration = SandboxConfiguration()
        configuration.logLimit = 100_000
        let sandbox = try SandboxServer(configuration)
        try sandbox.start()
        defer { sandbox.stop() }
        try await withTemporaryFolder { folder in
            let destination = "max_rows_per_request: \(Self.rowsARequest), max_in_flight: 1"
            try await body(FolderOfLines(folder, sandbox, destination: destination))
        }
    }
}
