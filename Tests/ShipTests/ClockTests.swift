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
