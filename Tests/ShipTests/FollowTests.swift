import Sandbox
import Ship
import Spool
import TestSupport
import Testing

/// Following goes on by itself when what stopped it is mended, and says meanwhile what is wrong.
struct FollowTests {
    /// Follows until `body` returns, then drains.
    private func following(_ bench: ShipBench, _ body: () async throws -> Void) async throws -> ShipSummary {
        var configuration = bench.configuration()
        configuration.follow = true
        configuration.patience = nil
        let shipper = bench.shipper(configuration)
        let run = Task { try await shipper.run() }
        do { try await body() } catch {
            run.cancel()
            _ = try? await run.value
            throw error
        }
        shipper.endFollowing()
        return try await run.value
    }

    private func count(_ code: String, _ bench: ShipBench) -> Int { bench.warnings.count { $0 == code } }

    @Test(arguments: ["deny=insertAll", "status=400,on=insertAll", "status=403,on=tables.get"])
    func `a table that was refused is tried again`(fault: String) async throws {
        try await withBench { bench in
            try await bench.spool(count: 10)
            try await bench.shipSettled()
            try await bench.spool(count: 10, from: 100)
            try await bench.spool(count: 10, stream: "orders")
            try bench.sandbox.state.setFaults("\(fault),table=memos")
            let summary = try await following(bench) {
                // Another table goes on.
                let isDelivered = try await eventually { try await bench.ledger("orders").delivered == 10 }
                #expect(isDelivered)
                #expect(await eventually { count("table_refused", bench) == 1 })
                let asked = bench.sandbox.state.requests.count { $0.table?.table == "memos" }
                // Left alone for a minute, then for two.
                bench.clock.advance(by: .seconds(55))
                // That nothing comes takes time to see: twenty looks of the shipper.
                try await Task.sleep(for: .milliseconds(100))
                #expect(bench.sandbox.state.requests.count { $0.table?.table == "memos" } == asked)
                #expect(count("table_refused", bench) == 1)
                bench.clock.advance(by: .seconds(5))
                #expect(await eventually { count("table_refused", bench) == 2 })
                bench.sandbox.state.clearFaults()
                bench.clock.advance(by: .seconds(60))
                // That nothing comes takes time to see: twenty looks of the shipper.
                try await Task.sleep(for: .milliseconds(100))
                #expect(try await bench.ledger().delivered == 10)
                bench.clock.advance(by: .seconds(60))
                let isMended = try await eventually { try await bench.ledger().delivered == 20 }
                #expect(isMended)
            }
            #expect(summary.status == .drained && summary.stop == nil)
            #expect(summary.streams.first { $0.stream == "memos" }?.delivered == 10)
            #expect(try bench.ids().count == 20)
        }
    }

    @Test func `what was refused before the end of following is what the end tells`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 10)
            try bench.sandbox.state.setFaults("deny=insertAll")
            let summary = try await following(bench) {
                #expect(await eventually { count("table_refused", bench) == 1 })
            }
            #expect(summary.status == .refused && summary.stop?.kind == .denied)
            #expect(try await bench.ledger().pending == 10)
        }
    }

    @Test func `that nothing goes on is said after ten seconds and then every ten minutes, and that it goes on`()
        async throws
    {
        try await withBench { bench in
            try await bench.spool(count: 10)
            try await bench.shipSettled()
            try await bench.spool(count: 10, from: 100)
            try bench.sandbox.state.setFaults("status=503,on=insertAll")
            let summary = try await following(bench) {
                #expect(await eventually { bench.sandbox.state.requests.contains { $0.status == 503 } })
                #expect(count("destination_failing", bench) == 0)
                for times in 1...2 {
                    bench.clock.advance(by: .seconds(times == 1 ? 11 : 600))
                    #expect(await eventually { count("destination_failing", bench) == times })
                }
                // That nothing comes takes time to see: twenty looks of the shipper.
                try await Task.sleep(for: .milliseconds(100))
                #expect(count("destination_failing", bench) == 2)
                bench.sandbox.state.clearFaults()
                let isDelivered = try await eventually { try await bench.ledger().delivered == 20 }
                #expect(isDelivered)
            }
            #expect(summary.status == .drained)
            let notes = bench.events.filter { if case .note("goes on again", _) = $0 { true } else { false } }
            #expect(notes.count == 1)
        }
    }
}
