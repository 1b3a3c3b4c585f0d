import Foundation
import JSONBytes
import Sandbox
import Ship
import Spool
import TestSupport
import Testing

/// Tables that are new, changed or recreated (contract section 6).
struct SettlingTests {
    @Test func `rows a new table lost are noticed, waited for and sent again`() async throws {
        try await withBench { bench in
            try bench.sandbox.state.setFaults("lose-new-table=5m")
            try await bench.spool(count: 700)
            let first = try await bench.ship()
            #expect(first.status == .settling)
            #expect(try await bench.ledger().inDoubt == 700)
            #expect(first.streams.first?.inDoubt == 700)
            // Asked again before its time is over, they stay in doubt.
            #expect(try await bench.ship().status == .settling)
            bench.clock.advance(by: .seconds(601))
            let last = try await bench.ship()
            #expect(last.status == .drained)
            #expect(try await bench.ledger().delivered == 700)
            #expect(try bench.ids().count == 700)
        }
    }

    @Test func `a new table that insertAll does not know yet is waited for`() async throws {
        try await withBench { bench in
            try bench.sandbox.state.setFaults("new-table-delay=200ms")
            try await bench.spool(count: 20)
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(summary.rejected == 0)
            #expect(try await bench.ledger().delivered == 20)
        }
    }

    @Test func `out of patience with a new table, the rows are safe and the end is settling`() async throws {
        try await withBench { bench in
            try bench.sandbox.state.setFaults("new-table-delay=1h")
            try await bench.spool(count: 20)
            let summary = try await bench.ship { $0.patience = .milliseconds(100) }
            #expect(summary.status == .settling)
            #expect(try await bench.ledger().pending == 20)
        }
    }

    @Test func `a new column that takes effect late costs no row`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 20)
            try await bench.shipSettled()
            try bench.sandbox.state.setFaults("schema-delay=200ms")
            try await bench.spool(
                (0..<30).map { [TestField("n", "INT64", "\($0)"), TestField("fresh", "STRING", "\"new\"")] }, from: 100)
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(summary.rejected == 0)
            #expect(try bench.rows().filter { $0["fresh"]?.stringValue == "new" }.count == 30)
        }
    }

    @Test func `rows with a new column lost while the schema settled are sent again`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 20)
            try await bench.shipSettled()
            // The first request after the change is answered with 200 and lost.
            try bench.sandbox.state.setFaults("lose-rows,on=insertAll,times=1")
            try await bench.spool((0..<30).map { [TestField("fresh", "INT64", "\($0)")] }, from: 100)
            #expect(try await bench.ship().status == .settling)
            #expect(try await bench.ledger().inDoubt == 30)
            bench.clock.advance(by: .seconds(601))
            #expect(try await bench.ship().status == .drained)
            #expect(try bench.ids().count == 50)
            #expect(try Set(bench.ids()).count == 50)
        }
    }

    @Test func `a table that was deleted and created again is noticed, and what went to it lately is asked about`()
        async throws
    {
        try await withBench { bench in
            try await bench.spool(count: 20)
            try await bench.shipSettled()
            try await bench.recreateTable()
            try await bench.spool(count: 10, from: 100)
            let summary = try await bench.ship()
            #expect(bench.warnings.contains("table_changed"))
            #expect(summary.status != .refused)
            bench.clock.advance(by: .seconds(601))
            #expect(try await bench.ship().status == .drained)
            // What was delivered before the last look that agreed stays delivered: the warning says how to send it again.
            #expect(try bench.ids().filter { $0.hasPrefix("memos-1") }.count >= 10)
            #expect(try await bench.ledger().delivered == 30)
        }
    }

    @Test func `a table that vanished is made again`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 20)
            try await bench.shipSettled()
            try await bench.deleteTable()
            try await bench.spool(count: 10, from: 100)
            try await bench.ship()
            #expect(bench.warnings.contains("table_deleted"))
            bench.clock.advance(by: .seconds(601))
            #expect(try await bench.ship().status == .drained)
            #expect(try await bench.ledger().delivered == 30)
        }
    }

    @Test func `with verify never nothing goes to a settling table`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 20)
            let summary = try await bench.ship { $0.verify = .never }
            #expect(summary.status == .settling)
            #expect(try await bench.ledger().pending == 20)
            #expect(!bench.sandbox.state.requests.contains { $0.operation == .insertAll })
            bench.clock.advance(by: .seconds(601))
            #expect(try await bench.ship { $0.verify = .never }.status == .drained)
            #expect(try bench.ids().count == 20)
        }
    }

    @Test func `without permission to ask nothing goes to a settling table, and the user learns why`() async throws {
        try await withBench { bench in
            try bench.sandbox.state.setFaults("deny=query")
            try await bench.spool(count: 20)
            #expect(try await bench.ship().status == .settling)
            #expect(bench.warnings.contains("verify_denied"))
            #expect(try await bench.ledger().pending == 20)
            bench.clock.advance(by: .seconds(601))
            #expect(try await bench.ship().status == .drained)
        }
    }

    @Test func `settle 0 turns it off`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 20)
            bench.sandbox.state.clearRequests()
            #expect(try await bench.ship { $0.settle = .zero }.status == .drained)
            #expect(!bench.sandbox.state.requests.contains { $0.operation == .query })
        }
    }

    @Test func `a change that was written down and never answered settles from the next start`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 20)
            try await bench.shipSettled()
            // As a kill between the intent and the answer leaves it.
            let record = try #require(try await bench.spool.tableRecord(ShipBench.table, endpoint: "loopback"))
            let intent = record.replacingOccurrences(
                of: "{\"creation_time\"", with: "{\"intent\":true,\"creation_time\"")
            try await bench.spool.setTableRecord(intent, for: ShipBench.table, endpoint: "loopback")
            try bench.sandbox.state.setFaults("lose-rows,on=insertAll,times=1")
            try await bench.spool(count: 10, from: 100)
            #expect(try await bench.ship().status == .settling)
            #expect(try await bench.ledger().inDoubt == 10)
        }
    }

    @Test func `a clock stepped back does not make a table settle for ever`() async throws {
        // BigQuery's own is right.
        try await withBench({ $0.clock = nil }) { bench in
            bench.clock.advance(by: .seconds(400 * 86400))
            try await bench.spool(count: 5)
            try await bench.ship()
            bench.clock.advance(by: .seconds(-399 * 86400))
            try await bench.spool(count: 5, from: 100)
            try await bench.ship()
            bench.sandbox.state.advanceClock(by: .seconds(601))
            #expect(try await bench.ship().status == .drained)
        }
    }

    @Test func `a long run looks at its table every 30 s, not only before its end`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 3000, from: 100)
            try bench.sandbox.state.setFaults("latency=200ms,on=insertAll")
            var configuration = bench.configuration()
            configuration.maximumInFlight = 1
            configuration.maximumRowsPerRequest = 10
            let shipper = bench.shipper(configuration)
            let run = Task { try await shipper.run() }
            #expect(try await eventually { try await bench.ledger().delivered >= 23 })
            try await bench.recreateTable()
            bench.clock.advance(by: .seconds(31))
            #expect(await eventually { bench.warnings.contains("table_changed") })
            let ledger = try await bench.ledger()
            #expect(ledger.pending > 100, "it is noticed long before the end")
            #expect(ledger.inDoubt >= 20)
            run.cancel()
            _ = try await run.value
        }
    }

    @Test
    func `a table recreated in the middle of a run is noticed before the end, and what the old one took is sent again`()
        async throws
    {
        try await withBench { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 100, from: 100)
            try bench.sandbox.state.setFaults("latency=30ms,on=insertAll")
            var configuration = bench.configuration()
            configuration.maximumInFlight = 1
            configuration.maximumRowsPerRequest = 10
            let shipper = bench.shipper(configuration)
            let run = Task { try await shipper.run() }
            #expect(try await eventually { try await bench.ledger().delivered >= 23 })
            try await bench.recreateTable()
            #expect(try await run.value.status == .settling)
            #expect(bench.warnings.contains("table_changed"))
            let ledger = try await bench.ledger()
            #expect(ledger.inDoubt >= 20)
            #expect(ledger.rejected == 0)
            bench.sandbox.state.clearFaults()
            bench.clock.advance(by: .seconds(601))
            #expect(try await bench.ship().status == .drained)
            let ids = try bench.ids().filter { $0.hasPrefix("memos-1") && $0.contains("1") }
            #expect(Set(ids).count == ids.count)
            let expected = Set((100..<200).map { ShipBench.insertID($0) })
            #expect(expected.isSubset(of: Set(ids)))
        }
    }

    @Test func `a new table that only answers 503 is offline, not settling`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 20)
            try bench.sandbox.state.setFaults("status=503,on=insertAll")
            let summary = try await bench.ship { $0.patience = .milliseconds(100) }
            #expect(summary.status == .offline)
        }
    }

    @Test func `a column that somebody dropped comes back, or its values are rescued, and no row is rejected`()
        async throws
    {
        for evolves in [true, false] {
            try await withBench { bench in
                try await bench.spool(count: 3)
                try await bench.shipSettled()
                try await bench.spool(count: 50, from: 100)
                try bench.sandbox.state.setFaults("latency=30ms,on=insertAll")
                var configuration = bench.configuration()
                configuration.maximumInFlight = 1
                configuration.maximumRowsPerRequest = 10
                configuration.evolveSchema = evolves
                let shipper = bench.shipper(configuration)
                let run = Task { try await shipper.run() }
                #expect(try await eventually { try await bench.ledger().delivered >= 13 })
                try await bench.recreateTable(without: "n")
                _ = try await run.value
                bench.sandbox.state.clearFaults()
                // Where the run had ended before it saw the change, the change settles from the next one on.
                var status = ShipSummary.Status.settling
                for _ in 0..<3 where status == .settling {
                    bench.clock.advance(by: .seconds(601))
                    status = try await bench.ship { $0.evolveSchema = evolves }.status
                }
                #expect(status == .drained)
                #expect(try await bench.ledger().rejected == 0)
                let rows = try bench.rows().filter { ($0["_id"]?.stringValue ?? "").count == 4 }
                #expect(rows.count == 50)
                let kept = rows.filter { row in
                    evolves ? row["n"] != .null : row["_rescued"]?.stringValue?.hasPrefix(#"{"n":"#) == true
                }
                #expect(kept.count == 50)
            }
        }
    }

    @Test func `following, rows a new table lost are sent again when its time is over`() async throws {
        try await withBench { bench in
            try bench.sandbox.state.setFaults("lose-new-table=5m")
            try await bench.spool(count: 50)
            var configuration = bench.configuration()
            configuration.follow = true
            let shipper = bench.shipper(configuration)
            let run = Task { try await shipper.run() }
            #expect(try await eventually { try await bench.ledger().inDoubt == 50 })
            bench.clock.advance(by: .seconds(601))
            // The timers were set before the clock was moved on: new rows wake the loop.
            try await bench.spool(count: 1, from: 100)
            #expect(try await eventually { try await bench.ledger().delivered == 51 })
            shipper.endFollowing()
            #expect(try await run.value.status == .drained)
            #expect(try Set(bench.ids()).count == 51)
        }
    }
}
