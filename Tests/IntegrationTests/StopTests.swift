import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// SIGINT and SIGTERM while the destination hangs: it has the rows and does not answer.
@Suite struct StopTests {
    private static let rows = 60

    /// `ship` with requests that hang; the rows have arrived.
    private func withHangingShip(
        _ body: (_ lines: FolderOfLines, _ shipper: EtlctlProcess.Started) async throws -> Void
    ) async throws {
        let sandbox = try SandboxServer()
        try sandbox.start()
        defer { sandbox.stop() }
        try await withTemporaryFolder { folder in
            let lines = try FolderOfLines(folder, sandbox, destination: "max_rows_per_request: 20")
            try lines.write(5)
            #expect(try await lines.program.run("run", "--settle", "0s").code == 0)
            let rows = try lines.write(Self.rows)
            #expect(try await lines.program.run("extract").code == 0)
            try sandbox.state.setFaults("stall=1h,when=after,on=insertAll")
            let shipper = try lines.program.start(["ship", "--settle", "0s", "--json"])
            #expect(await eventually { (try? lines.arrived(rows).count) == Self.rows })
            try await body(lines, shipper)
            // Whatever the end was: BigQuery is asked, finds them, and nothing is sent again.
            sandbox.state.clearFaults()
            sandbox.state.clearRequests()
            sandbox.state.advanceClock(by: .seconds(120))
            #expect(try await lines.program.run("ship", "--settle", "0s").code == 0)
            #expect(!sandbox.state.requests.contains { $0.operation == .insertAll })
            #expect(try lines.states(0..<lines.count).values.allSatisfy { $0 == "delivered" })
            let ids = try sandbox.state.insertIDs(of: "p.d.lines")
            #expect(ids.count == lines.count && Set(ids).count == lines.count)
            #expect(try await lines.program.run("audit").code == 0)
        }
    }

    @Test(arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
    func `one signal gives up what hangs after five seconds and puts it in doubt`(
        signal: Int32, code: Int32
    ) async throws {
        try await withHangingShip { lines, shipper in
            let start = ContinuousClock.now
            shipper.send(signal)
            let outcome = await shipper.wait()
            let duration = ContinuousClock.now - start
            #expect(outcome.code == code, "\(outcome.diagnostics)")
            let report = try outcome.json()
            #expect(report["status"] == "stopped")
            #expect(report["error"]?["code"] == "interrupted")
            #expect(duration < .seconds(12), "five, and what a busy machine adds: \(duration)")
            #expect(try lines.states(5..<lines.count).values.allSatisfy { $0 == "in_doubt" })
        }
    }

    private static let pairs: [(Int32, Int32, Int32)] = [
        (SIGINT, SIGINT, 130), (SIGTERM, SIGTERM, 143), (SIGINT, SIGTERM, 143),
    ]

    @Test(arguments: pairs)
    func `a second signal ends the orderly stop at once, and nothing is lost`(
        first: Int32, second: Int32, code: Int32
    ) async throws {
        try await withHangingShip { lines, shipper in
            shipper.send(first)
            // The kernel keeps one of a kind: the second must not come before the first was taken.
            #expect(await eventually { !shipper.hasPending(first) })
            // Nor before the program, which takes signals on a thread of its own, has begun to stop; it says nothing of that yet.
            try await Task.sleep(for: .milliseconds(200))
            shipper.send(second)
            let outcome = await shipper.wait()
            #expect(outcome.code == code, "\(outcome.signal ?? 0) \(outcome.diagnostics)")
            // Nothing was tidied up any more, nor reported.
            #expect(outcome.output.isEmpty)
            #expect(try lines.states(5..<lines.count).values.allSatisfy { $0 == "sending" })
        }
    }
}
