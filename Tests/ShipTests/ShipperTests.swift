import JSONBytes
import Sandbox
import Ship
import Spool
import TestSupport
import Testing

struct ShipperTests {
    @Test func `rows arrive once each, in a table made for them`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 1200)
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(summary.streams.first?.delivered == 1200)
            #expect(try await bench.ledger().delivered == 1200)
            #expect(try bench.ids().count == 1200)
            #expect(try Set(bench.ids()).count == 1200)
            let table = try bench.sandbox.state.resource(of: ShipBench.table)
            #expect(table["timePartitioning"]?["field"]?.stringValue == "_extracted_at")
            #expect(table["clustering"]?["fields"]?.arrayValue == ["_path"])
        }
    }

    @Test func `a second run with nothing new asks nobody anything`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 10)
            try await bench.ship()
            bench.sandbox.state.clearRequests()
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(bench.sandbox.state.requests.isEmpty)
        }
    }
}
