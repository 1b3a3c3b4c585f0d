import Sandbox
import Ship
import Spool
import Synchronization
import TestSupport
import Testing

/// Following costs next to nothing while there is nothing to do, or nothing that can be done.
struct IdleTests {
    /// How often the shipper went to sleep within two seconds of following, after `prepare`.
    private func sleeps(_ bench: ShipBench, _ prepare: (Task<ShipSummary, any Error>) async throws -> Void) async throws
        -> Int
    {
        let count = Mutex(0)
        var configuration = bench.configuration()
        configuration.follow = true
        configuration.pollInterval = .milliseconds(500)
        configuration.retry.first = .seconds(3600)
        configuration.retry.maximum = .seconds(3600)
        let sleep = configuration.clock.sleep
        configuration.clock.sleep = { duration in
            count.withLock { $0 += 1 }
            await sleep(duration)
        }
        let shipper = bench.shipper(configuration)
        let run = Task { try await shipper.run() }
        try await prepare(run)
        let before = count.withLock { $0 }
        // What is measured is a rate: it takes time.
        try await Task.sleep(for: .seconds(2))
        let during = count.withLock { $0 } - before
        run.cancel()
        _ = try await run.value
        return during
    }

    @Test func `when everything is delivered`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 10)
            let count = try await sleeps(bench) { _ in
                let isDelivered = try await eventually { try await bench.ledger().delivered == 10 }
                #expect(isDelivered)
                // Long after the table was looked at.
                bench.clock.advance(by: .seconds(90))
            }
            #expect(count > 2, "it looks for new rows")
            #expect(count < 40)
        }
    }

    @Test func `when the destination can't be reached`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 10)
            try bench.sandbox.state.setFaults("drop-before-accept,on=insertAll", "drop-before-accept,on=tables.get")
            let count = try await sleeps(bench) { _ in
                let isTried = await eventually { !bench.sandbox.state.requests.isEmpty }
                #expect(isTried)
                bench.clock.advance(by: .seconds(90))
            }
            #expect(count < 40)
            #expect(try await bench.ledger().delivered == 0)
        }
    }

    @Test(arguments: 0..<12)
    func `rows spooled just before the end of following are delivered`(delay: Int) async throws {
        try await withBench { bench in
            try await bench.spool(count: 10)
            var configuration = bench.configuration()
            configuration.follow = true
            configuration.pollInterval = .milliseconds(200)
            let shipper = bench.shipper(configuration)
            let run = Task { try await shipper.run() }
            let isDelivered = try await eventually { try await bench.ledger().delivered == 10 }
            #expect(isDelivered)
            // The end comes at another moment between two looks (every 200 ms) in each case.
            try await Task.sleep(for: .milliseconds(delay * 20))
            try await bench.spool(count: 10, from: 100)
            shipper.endFollowing()
            #expect(try await run.value.status == .drained)
            #expect(try await bench.ledger().delivered == 20)
        }
    }
}
