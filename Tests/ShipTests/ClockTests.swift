import Sandbox
import Ship
import Spool
import Synchronization
import TestSupport
import Testing

/// A wall clock that is wrong, or that steps: only how long things take counts, and never what time it is.
struct ClockTests {
    private static let steps: [Duration] = [.seconds(365 * 86_400), .seconds(-365 * 86_400), .seconds(-3600)]

    /// Wrong by so much from the n-th time it is looked at.
    private static func clock(of bench: ShipBench, wrongBy step: Duration, from look: Int = 0) -> ShipClock {
        let looks = Mutexed(0)
        var clock = bench.clock.shipClock
        clock.now = {
            let look = looks.increment() > look
            return look ? bench.clock.now().advanced(by: step) : bench.clock.now()
        }
        return clock
    }

    /// Sends rows whose outcome stays unknown, with one clock, and settles them with another.
    private static func doubtAndSettle(
        first: (ShipBench) -> ShipClock, second: (ShipBench) -> ShipClock
    ) async throws {
        // De-duplication is off: a row sent twice would be there twice.
        try await withBench({ $0.dedupeWindow = .zero }) { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 600, from: 100)
            try bench.sandbox.state.setFaults("accept-then-drop-reply,on=insertAll")
            let (then, later) = (first(bench), second(bench))
            try await bench.ship {
                $0.clock = then
                $0.retry.first = .seconds(3600)
                $0.retry.maximum = .seconds(3600)
                $0.patience = .seconds(1)
            }
            let ledger = try await bench.ledger()
            #expect(ledger.delivered == 3 && ledger.inDoubt > 0)
            bench.sandbox.state.clearFaults()
            let summary = try await bench.ship { $0.clock = later }
            #expect(summary.status == .drained)
            #expect(try await bench.ledger().delivered == 603)
            #expect(try bench.ids().count == 603)
            #expect(try Set(bench.ids()).count == 603)
        }
    }

    @Test(arguments: steps)
    func `a clock that was set right between two starts loses and doubles nothing`(step: Duration) async throws {
        try await Self.doubtAndSettle(first: { Self.clock(of: $0, wrongBy: step) }, second: { $0.clock.shipClock })
    }

    @Test(arguments: steps)
    func `a clock that went wrong between two starts loses and doubles nothing`(step: Duration) async throws {
        try await Self.doubtAndSettle(first: { $0.clock.shipClock }, second: { Self.clock(of: $0, wrongBy: step) })
    }

    @Test(arguments: steps + [.zero, .seconds(4000)])
    func `a table that others made just now settles, whatever time this machine takes it for`(step: Duration)
        async throws
    {
        try await withBench { bench in
            try await bench.createDataset()
            try await bench.createTable(
                ShipBench.metadataFields + [ShipBench.field("n INT64"), ShipBench.field("text STRING")])
            try await bench.spool(count: 3)
            // Without permission to ask nothing is sent to a table that settles.
            try bench.sandbox.state.setFaults("deny=query")
            let summary = try await bench.ship { $0.clock = Self.clock(of: bench, wrongBy: step) }
            #expect(summary.status == .settling)
            #expect(try await bench.ledger().pending == 3)
        }
    }

    @Test func `a clock that is set right does not end a table's settling`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 3)
            try await bench.ship { $0.clock = Self.clock(of: bench, wrongBy: .seconds(-4000)) }
            try await bench.spool(count: 3, from: 100)
            try bench.sandbox.state.setFaults("deny=query")
            #expect(try await bench.ship().status == .settling)
            #expect(try await bench.ledger().pending == 3)
            bench.clock.advance(by: .seconds(600))
            #expect(try await bench.ship().status == .drained)
            #expect(try await bench.ledger().delivered == 6)
        }
    }

    /// Which rows a table that is gone had taken is not told by a clock that went back meanwhile.
    @Test(arguments: [Duration.seconds(-30), .seconds(-3600), .seconds(3600)])
    func `a clock that steps before a table is recreated hides no lost row`(step: Duration) async throws {
        try await withBench({ $0.dedupeWindow = .zero }) { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            let wrong = Mutex(Duration.zero)
            var configuration = bench.configuration()
            configuration.follow = true
            configuration.settle = .zero
            configuration.clock.now = { bench.clock.now().advanced(by: wrong.withLock { $0 }) }
            let shipper = bench.shipper(configuration)
            let run = Task { try await shipper.run() }
            try await bench.spool(count: 10, from: 100)
            #expect(try await eventually { try await bench.ledger().delivered == 13 })
            // A look has agreed by now; from here on none gets through.
            #expect(
                await eventually {
                    let calls = bench.sandbox.state.requests.map(\.operation)
                    return calls.last == .tablesGet || calls.last == .tablesPatch
                })
            try bench.sandbox.state.setFaults("status=503,on=tables.get")
            wrong.withLock { $0 = step }
            try await bench.spool(count: 10, from: 200)
            #expect(try await eventually { try await bench.ledger().delivered == 23 })
            try await bench.deleteTable()
            try await bench.createTable(
                ShipBench.metadataFields + [ShipBench.field("n INT64"), ShipBench.field("text STRING")])
            bench.sandbox.state.clearFaults()
            let last = Set((200..<210).map { ShipBench.insertID($0) })
            #expect(await eventually { (try? Set(bench.ids()).isSuperset(of: last)) ?? false })
            shipper.endFollowing()
            #expect(try await run.value.status == .drained)
        }
    }

    @Test(arguments: steps)
    func `a clock that steps while rows are sent holds nothing up`(step: Duration) async throws {
        try await withBench { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 2000, from: 100)
            let summary = try await bench.ship {
                $0.clock = Self.clock(of: bench, wrongBy: step, from: 8)
                $0.maximumRowsPerRequest = 100
            }
            #expect(summary.status == .drained)
            #expect(try await bench.ledger().delivered == 2003)
            #expect(try Set(bench.ids()).count == 2003)
        }
    }
}

private final class Mutexed: Sendable {
    private let value: Mutex<Int>
    init(_ value: Int) { self.value = Mutex(value) }
    func increment() -> Int {
        value.withLock {
            $0 += 1
            return $0
        }
    }
}
