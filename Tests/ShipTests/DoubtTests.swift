import JSONBytes
import Sandbox
import Ship
import Spool
import TestSupport
import Testing

/// What happens to rows whose outcome is not known (contract section 6).
struct DoubtTests {
    @Test func `a reply lost after the commit does not duplicate rows`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 50, from: 100)
            try bench.sandbox.state.setFaults("accept-then-drop-reply,on=insertAll,times=1")
            bench.sandbox.state.clearRequests()
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(try await bench.ledger().delivered == 53)
            #expect(try bench.ids().count == 53)
            // Inside the window it was sent again, not asked about.
            #expect(!bench.sandbox.state.requests.contains { $0.operation == .query })
            #expect(bench.sandbox.state.requests.filter { $0.operation == .insertAll }.count == 2)
        }
    }

    @Test func `thirty seconds after the first unknown attempt BigQuery is asked, however many followed`() async throws
    {
        let time = TestClock()
        // De-duplication ends a second later: a row sent again after that would be there twice.
        try await withBench({
            $0.dedupeWindow = .seconds(31)
            $0.clock = { time.now().microseconds }
        }) { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 50, from: 100)
            try bench.sandbox.state.setFaults("status=500,when=after,on=insertAll")
            bench.sandbox.state.clearRequests()
            var configuration = bench.configuration()
            configuration.retry.first = .seconds(4)
            configuration.retry.maximum = .seconds(4)
            configuration.patience = .seconds(3600)
            let shipper = bench.shipper(configuration)
            let run = Task { try await shipper.run() }
            // Both clocks run fast, but stand while a request is under way.
            let isDone = try await eventually {
                let ledger = try await bench.ledger()
                guard ledger.sending == 0, bench.sandbox.state.requestsInFlight == 0 else { return false }
                for clock in [bench.clock, time] { clock.advance(by: .milliseconds(200)) }
                return ledger.delivered == 53
            }
            #expect(isDone)
            if !isDone { run.cancel() }
            _ = try await run.value
            let calls = bench.sandbox.state.requests.filter { [.insertAll, .query].contains($0.operation) }
            let sends = calls.filter { $0.operation == .insertAll }
            #expect(sends.count > 2, "sent again while that was safe")
            #expect((sends.last?.time ?? 0) - (sends.first?.time ?? 0) < 31_000_000)
            #expect(calls.last?.operation == .query)
            #expect(try bench.ids().count == 53)
        }
    }

    @Test func `a resend has the same body, byte for byte`() async throws {
        try await withBench({ $0.recordsBodies = true }) { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 50, from: 100)
            try bench.sandbox.state.setFaults("status=503,on=insertAll,times=2,when=after")
            bench.sandbox.state.clearRequests()
            try await bench.ship()
            let bodies = bench.sandbox.state.requests.filter { $0.operation == .insertAll }.map(\.body)
            #expect(bodies.count == 3)
            #expect(Set(bodies).count == 1)
        }
    }

    @Test(arguments: [
        "accept-then-drop-reply", "status=500,when=after", "garbage", "truncate", "reset,when=after",
        "html=502,when=after", "raw-garbage,when=after", "drop-before-accept", "status=503", "html=504",
    ])
    func `after a restart BigQuery is asked, and nothing is lost or doubled`(_ fault: String) async throws {
        // De-duplication is off: a row sent twice would be there twice.
        try await withBench({ $0.dedupeWindow = .zero }) { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 1000, from: 100)
            try bench.sandbox.state.setFaults("\(fault),on=insertAll")
            bench.sandbox.state.clearRequests()
            // Two requests leave, their outcome is not known, and the shipper ends before it can try again.
            try await bench.ship {
                $0.retry.first = .seconds(3600)
                $0.retry.maximum = .seconds(3600)
                $0.patience = .seconds(3)
            }
            // A request whose connection was found closed before its first byte is pending, the others are in doubt.
            let ledger = try await bench.ledger()
            #expect(ledger.inDoubt >= 500)
            #expect(ledger.inDoubt + ledger.pending == 1000)
            // What has left may still be on its way into the table, of which the next shipper is to find it.
            #expect(
                await eventually {
                    let arrived = bench.sandbox.state.requests.count { $0.operation == .insertAll }
                    return arrived * 500 >= ledger.inDoubt && bench.sandbox.state.requestsInFlight == 0
                })
            bench.sandbox.state.clearFaults()
            bench.sandbox.state.clearRequests()
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(try await bench.ledger().delivered == 1003)
            #expect(try bench.ids().count == 1003)
            #expect(try Set(bench.ids()).count == 1003)
            let operations = bench.sandbox.state.requests.map(\.operation)
            let firstSend = operations.firstIndex(of: .insertAll) ?? operations.count
            #expect(operations[..<firstSend].contains(.query), "it must ask before it sends")
        }
    }

    @Test func `a process killed while it sent leaves rows in doubt, and the next one asks`() async throws {
        try await withBench({ $0.dedupeWindow = .zero }) { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 100, from: 100)
            // As a kill after the commit and before the answer was settled leaves it; the rows of the first request did arrive.
            let route = try #require(try await bench.spool.routes().first)
            let first = try await bench.spool.beginAll(of: route, size: 60)
            #expect(first.count == 2)
            #expect(try await bench.ledger().sending == 100)
            try await bench.insertBehind { (100..<160).contains($0) }
            bench.sandbox.state.clearRequests()
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            let calls = bench.sandbox.state.requests.map(\.operation).filter { [.insertAll, .query].contains($0) }
            #expect(calls == [.query, .insertAll])
            #expect(try await bench.ledger().delivered == 103)
            #expect(try bench.ids().count == 103)
        }
    }

    @Test func `rows of which some arrived are sent again only where they are missing`() async throws {
        try await withBench({ $0.dedupeWindow = .zero }) { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 300, from: 100)
            let route = try #require(try await bench.spool.routes().first)
            _ = try await bench.spool.beginAll(of: route, size: 150)
            // Of the first request most rows arrived, of the second few.
            try await bench.insertBehind { (100..<250).contains($0) && $0 % 10 != 0 || $0 >= 250 && $0 % 50 == 3 }
            let arrived = try bench.ids().count
            #expect((100..<300).contains(arrived))
            try await bench.ship()
            #expect(try await bench.ledger().delivered == 303)
            let ids = try bench.ids()
            #expect(ids.count == 303, "\(Dictionary(grouping: ids) { $0 }.filter { $0.value.count > 1 }.keys.sorted())")
            #expect(Set(ids).count == 303)
        }
    }

    @Test func `with verify never rows in doubt are sent again and the user is told`() async throws {
        try await withBench({ $0.dedupeWindow = .zero }) { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 10, from: 100)
            let route = try #require(try await bench.spool.routes().first)
            _ = try await bench.spool.beginAll(of: route)
            bench.sandbox.state.clearRequests()
            let summary = try await bench.ship { $0.verify = .never }
            #expect(summary.status == .drained)
            #expect(bench.warnings.contains("duplicates_possible"))
            #expect(!bench.sandbox.state.requests.contains { $0.operation == .query })
            #expect(try await bench.ledger().delivered == 13)
        }
    }

    @Test func `a question that fails leaves rows in doubt`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 10, from: 100)
            let route = try #require(try await bench.spool.routes().first)
            _ = try await bench.spool.beginAll(of: route)
            try bench.sandbox.state.setFaults("status=500,on=query")
            let summary = try await bench.ship { $0.patience = .milliseconds(100) }
            #expect(summary.status == .offline)
            #expect(try await bench.ledger().inDoubt == 10)
            bench.sandbox.state.clearFaults()
            try await bench.ship()
            #expect(try await bench.ledger().delivered == 13)
        }
    }

    /// Refusals that do not say that this account may not ask: nothing is sent again unasked.
    @Test(arguments: [("status=401", ShipSummary.Status.refused), ("html=403", .offline), ("html=401", .refused)])
    func `a question that is refused for another reason than permission leaves rows in doubt`(
        fault: String, status: ShipSummary.Status
    ) async throws {
        try await withBench({ $0.dedupeWindow = .zero }) { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 10, from: 100)
            let route = try #require(try await bench.spool.routes().first)
            _ = try await bench.spool.beginAll(of: route)
            try await bench.insertBehind { $0 >= 100 }
            try bench.sandbox.state.setFaults("\(fault),on=query")
            let summary = try await bench.ship { $0.patience = .milliseconds(100) }
            #expect(summary.status == status)
            #expect(try await bench.ledger().inDoubt == 10)
            bench.sandbox.state.clearFaults()
            #expect(try await bench.ship().status == .drained)
            #expect(try await bench.ledger().delivered == 13)
            #expect(try bench.ids().count == 13)
        }
    }

    @Test func `an answer in pages and a job that takes its time are read to the end`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 2000, from: 100)
            let route = try #require(try await bench.spool.routes().first)
            _ = try await bench.spool.beginAll(of: route)
            try bench.sandbox.state.setFaults("pending-job,on=query")
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(try await bench.ledger().delivered == 2003)
        }
    }
}
