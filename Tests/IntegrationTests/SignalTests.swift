import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

@Suite(.firestoreEmulator) struct SignalTests {
    @Test(arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
    func `a signal ends a run that goes on for ever, settles what is known, and the exit code tells`(
        signal: Int32, code: Int32
    ) async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<20)
            let started = try pipeline.program.start(["run", "--every", "1h", "--json"])
            let arrived = await eventually {
                (try? pipeline.sandbox.state.rowCount(of: "p.d.memos")) == 20
            }
            started.send(signal)
            let outcome = await started.wait()
            #expect(arrived)
            #expect(outcome.code == code)
            #expect(try outcome.json()["error"]?["code"] == "interrupted")
            let status = try await pipeline.stream("status")
            #expect(status["sending"]?.intValue == 0)
            #expect(try await pipeline.program.run("ship").code == 0)
            #expect(try pipeline.sandbox.state.rowCount(of: "p.d.memos") == 20)
        }
    }

    @Test func `a second extractor of a stream ends with 75 and names the first, which leaves nothing when killed`()
        async throws
    {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<20)
            // A database that never answers holds the first one up.
            let silent = try LoopbackServer { _ in .stall() }
            let (real, other) = (pipeline.database.endpoint, silent.url)
            try pipeline.reconfigure("endpoint: \"\(real)\"}", "endpoint: \"\(other)\"}")
            let first = try pipeline.program.start(["extract"])
            #expect(await eventually { silent.startedRequests > 0 })
            let second = try await pipeline.program.run("extract", "--json")
            #expect(second.code == 75)
            #expect(try second.json()["error"]?["code"] == "busy")
            #expect(second.diagnostics.contains("etlctl extract"))
            first.send(SIGKILL)
            _ = await first.wait()
            try pipeline.reconfigure("endpoint: \"\(other)\"}", "endpoint: \"\(real)\"}")
            #expect(try await pipeline.program.run("extract").code == 0)
        }
    }

    @Test func `a second shipper ends with 75 and names the first, which leaves nothing when killed`() async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<20)
            let first = try pipeline.program.start(["run", "--every", "1h"])
            let arrived = await eventually {
                (try? pipeline.sandbox.state.rowCount(of: "p.d.memos")) == 20
            }
            #expect(arrived)
            let shipper = try await pipeline.program.run("ship", "--json")
            #expect(shipper.code == 75)
            #expect(try shipper.json()["error"]?["code"] == "busy")
            #expect(shipper.diagnostics.contains("etlctl ship"))
            first.send(SIGKILL)
            _ = await first.wait()
            // The kernel released the lock: nothing is left to clean up.
            #expect(try await pipeline.program.run("ship").code == 0)
        }
    }

    @Test func `a run that was killed is continued by resume under its id`() async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<50)
            var program = pipeline.program
            program.environment["ETLCTL_CRASH_AT"] = "commit.after:3"
            let killed = try await program.run("extract")
            #expect(killed.signal == SIGKILL)
            let run = try await pipeline.stream("status")["last_run"]?["run_id"]?.stringValue
            let resumed = try await pipeline.program.run("resume", "--json")
            #expect(resumed.code == 0, "\(resumed.diagnostics)")
            let stream = try resumed.json()["extract"]?["streams"]?.arrayValue?.first
            #expect(stream?["run_id"]?.stringValue == run)
            #expect(stream?["status"] == "complete")
            #expect(try resumed.json()["ship"]?["status"] == "drained")
            #expect(try pipeline.sandbox.state.rowCount(of: "p.d.memos") == 50)
        }
    }
}
