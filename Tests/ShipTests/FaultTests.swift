import JSONBytes
import Sandbox
import Ship
import Spool
import TestSupport
import Testing
import Transport

/// Refusals, limits and broken answers (contract section 6).
struct FaultTests {
    @Test(arguments: [
        "status=503,reason=backendError,on=insertAll,rate=0.2", "status=429,on=insertAll,rate=0.2",
        "status=403,reason=rateLimitExceeded,on=insertAll,rate=0.2", "row-error=backendError,rate=0.05",
        "row-error=rateLimitExceeded,rate=0.05", "row-error=stopped,rate=0.2", "row-error=neverHeardOf,rate=0.02",
        "garbage,on=insertAll,rate=0.2", "truncate,on=insertAll,rate=0.2", "reset,on=insertAll,rate=0.2",
        "accept-then-drop-reply,on=insertAll,rate=0.2", "drop-before-accept,on=insertAll,rate=0.2",
        "html=502,on=insertAll,rate=0.2", "status=500,on=query,rate=0.5", "status=503,on=tables.get,rate=0.3",
        "latency=5ms,on=insertAll",
    ])
    func `every row arrives once, whatever goes wrong on the way`(_ fault: String) async throws {
        try await withBench { bench in
            try bench.sandbox.state.setFaults(fault, "seed=7")
            try await bench.spool(count: 3000)
            let summary = try await bench.ship { $0.maximumRowsPerRequest = 100 }
            #expect(summary.status == .drained)
            #expect(summary.rejected == 0)
            #expect(try await bench.ledger().delivered == 3000)
            #expect(summary.streams.first?.delivered == 3000)
            let ids = try bench.ids()
            #expect(ids.count == 3000)
            #expect(Set(ids).count == 3000)
        }
    }

    @Test func `a destination that is down for a while is waited for`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 2000)
            try bench.sandbox.state.setFaults("status=503,on=insertAll,times=100")
            let summary = try await bench.ship { $0.maximumRowsPerRequest = 50 }
            #expect(summary.status == .drained)
            #expect(try await bench.ledger().delivered == 2000)
        }
    }

    @Test func `nobody listening: the rows are safe and the end is offline`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 20)
            bench.sandbox.stop()
            let summary = try await bench.ship { $0.patience = .milliseconds(50) }
            #expect(summary.status == .offline)
            #expect(summary.stop?.kind == .unavailable)
            #expect(summary.rowsLeft == 20)
            #expect(try await bench.ledger().pending == 20)
        }
    }

    @Test func `permission refused stops that table and not the other`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 20)
            try await bench.spool(count: 30, stream: "orders")
            try bench.sandbox.state.setFaults("status=403,reason=accessDenied,on=insertAll,table=memos")
            let summary = try await bench.ship()
            #expect(summary.status == .refused)
            #expect(summary.stop?.kind == .denied)
            #expect(summary.stop?.hint?.contains("dataEditor") == true)
            #expect(try await bench.ledger().pending == 20)
            #expect(try await bench.ledger("orders").delivered == 30)
            #expect(summary.streams.first { $0.stream == "orders" }?.stop == nil)
        }
    }

    @Test func `a bad request stops its table with the reason`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 20)
            try bench.sandbox.state.setFaults("status=400,reason=badRequest,message=odd,on=insertAll")
            let summary = try await bench.ship()
            #expect(summary.status == .refused)
            #expect(summary.stop?.kind == .badRequest)
            #expect(summary.stop?.message.contains("odd") == true)
            #expect(try await bench.ledger().pending == 20)
        }
    }

    @Test(arguments: [
        "html=413", "status=413",
        "status=400,reason=badRequest,message=Request payload size exceeds the limit: 1 bytes.",
    ])
    func `what is too large is halved until it fits`(_ fault: String) async throws {
        try await withBench { bench in
            try await bench.spool(count: 400)
            try bench.sandbox.state.setFaults("\(fault),on=insertAll,times=3")
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(try bench.ids().count == 400)
            let sizes = bench.sandbox.state.requests.filter { $0.operation == .insertAll }.map(\.rows)
            #expect(sizes.contains(200) || sizes.contains(100))
        }
    }

    @Test func `a front end that takes little finds its size`() async throws {
        try await withBench({
            $0.maximumRequestBytes = 20_000
            $0.maximumFrontEndBytes = 40_000
        }) { bench in
            try await bench.spool(count: 1000, bytes: 200)
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(summary.rejected == 0)
            #expect(try bench.ids().count == 1000)
        }
    }

    @Test func `a row larger than BigQuery takes is rejected with its size, the others arrive`() async throws {
        try await withBench { bench in
            let huge = String(repeating: "x", count: 11 << 20)
            try await bench.spool([
                [TestField("text", "STRING", "\"a\"")], [TestField("text", "STRING", "\"\(huge)\"")],
                [TestField("text", "STRING", "\"b\"")],
            ])
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(summary.rejected == 1)
            #expect(try await bench.ledger().delivered == 2)
            var filter = RowFilter()
            filter.state = .rejected
            let rejected = try await bench.spool.records(filter)
            #expect(rejected.first?.reason == "too_large")
            #expect(rejected.first?.message?.contains("\(11 << 20)".prefix(4)) == true)
        }
    }

    @Test func `a row that BigQuery refuses is rejected with its reason and can be retried`() async throws {
        try await withBench { bench in
            try await bench.createDataset()
            try await bench.createTable(ShipBench.metadataFields + [ShipBench.field("at TIMESTAMP")])
            // Spooled as a timestamp, and none that BigQuery takes.
            try await bench.spool([
                [TestField("at", "TIMESTAMP", "\"2025-11-25T14:57:57Z\"")],
                [TestField("at", "TIMESTAMP", "\"99999-01-01T00:00:00Z\"")],
            ])
            let summary = try await bench.ship()
            #expect(summary.rejected == 1)
            #expect(summary.status == .drained)
            var filter = RowFilter()
            filter.state = .rejected
            let rejected = try #require(try await bench.spool.records(filter).first)
            #expect(rejected.reason == "invalid")
            #expect(rejected.message?.contains("at") == true)
            #expect(try await bench.spool.retryRejected(RowFilter()) == 1)
            #expect(try await bench.ship().rejected == 1)
            #expect(try await bench.ledger().rejected == 1)
        }
    }

    @Test func `the order of rows within a stream is kept with one request at a time`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 1000)
            try await bench.ship {
                $0.maximumInFlight = 1
                $0.maximumRowsPerRequest = 70
            }
            let numbers = try bench.rows().compactMap { $0["n"]?.intValue }
            #expect(numbers == (0..<1000).map { Int64($0) })
        }
    }

    @Test func `a limit on rows stops there, and the rest goes later`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 1000)
            let summary = try await bench.ship { $0.rowLimit = 130 }
            #expect(summary.status == .stopped)
            #expect(try bench.ids().count == 130)
            #expect(try await bench.ship().status == .drained)
            #expect(try bench.ids().count == 1000)
        }
    }

    @Test func `a cancelled run settles what it knows and leaves the rest pending`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 5000)
            try bench.sandbox.state.setFaults("latency=20ms,on=insertAll")
            var configuration = bench.configuration()
            configuration.maximumRowsPerRequest = 100
            configuration.maximumInFlight = 2
            let shipper = bench.shipper(configuration)
            let run = Task { try await shipper.run() }
            #expect(try await eventually { try await bench.ledger().inDoubt >= 100 })
            run.cancel()
            let summary = try await run.value
            #expect(summary.status == .stopped)
            let ledger = try await bench.ledger()
            #expect(ledger.sending == 0)
            #expect(ledger.pending > 0)
            #expect(try bench.ids().count == ledger.inDoubt + ledger.delivered)
            bench.sandbox.state.clearFaults()
            #expect(try await bench.ship().status == .drained)
            #expect(try Set(bench.ids()).count == 5000)
            #expect(try bench.ids().count == 5000)
        }
    }

    @Test func `a request that hangs is abandoned after a stop and its rows are in doubt`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 100)
            try await bench.shipSettled()
            try await bench.spool(count: 100, from: 1000)
            try bench.sandbox.state.setFaults("stall=1h,when=after,on=insertAll")
            var configuration = bench.configuration()
            configuration.grace = .milliseconds(50)
            let shipper = bench.shipper(configuration)
            let run = Task { try await shipper.run() }
            // That one, and not a look at the table before it.
            #expect(try await eventually { try bench.ids().count == 200 })
            run.cancel()
            let summary = try await run.value
            #expect(summary.status == .stopped)
            #expect(try await bench.ledger().inDoubt == 100)
        }
    }

    @Test(arguments: ["tables.get", "tables.insert", "query"])
    func `a stop does not wait for a call that hangs`(_ operation: String) async throws {
        try await withBench { bench in
            try await bench.spool(count: 10)
            try bench.sandbox.state.setFaults("stall=1h,on=\(operation)")
            let shipper = bench.shipper()
            let run = Task { try await shipper.run() }
            #expect(await eventually { bench.sandbox.state.requestsInFlight > 0 })
            let stopped = ContinuousClock.now
            run.cancel()
            #expect(try await run.value.status == .stopped)
            #expect(ContinuousClock.now - stopped < .seconds(5))
            #expect(try await bench.ledger().delivered == 0)
            #expect(try await bench.ledger().sending == 0)
        }
    }

    @Test func `following goes on with rows that come later, and ends when told to`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 10)
            var configuration = bench.configuration()
            configuration.follow = true
            let shipper = bench.shipper(configuration)
            let run = Task { try await shipper.run() }
            #expect(try await eventually { try await bench.ledger().delivered == 10 })
            try await bench.spool(count: 10, from: 100)
            try await bench.spool(count: 10, stream: "orders")
            #expect(try await eventually { try await bench.ledger().delivered == 20 })
            #expect(try await eventually { try await bench.ledger("orders").delivered == 10 })
            shipper.endFollowing()
            #expect(try await run.value.status == .drained)
        }
    }

    /// Rows that were refused one by one are sent as lists, each made anew: the pauses grow all the same.
    @Test(arguments: [
        "status=429,on=insertAll,after=1", "status=404,on=insertAll,after=1", "row-error=rateLimitExceeded,after=1",
        "row-error=stopped,after=1", "row-error=backendError,after=1",
    ])
    func `the pauses of single rows grow`(fault: String) async throws {
        try await withBench { bench in
            try await bench.spool(count: 3)
            try await bench.shipSettled()
            try await bench.spool(count: 3, from: 100)
            try bench.sandbox.state.setFaults("row-error=backendError,times=1", fault)
            bench.sandbox.state.clearRequests()
            try await bench.ship {
                $0.retry.first = .milliseconds(20)
                $0.retry.maximum = .seconds(10)
                $0.patience = .seconds(3)
            }
            let requests = bench.sandbox.state.requests.count { $0.operation == .insertAll }
            #expect((3..<40).contains(requests), "\(requests) requests")
            #expect(try await bench.ledger().pending == 3)
        }
    }

    @Test func `a damaged row is never sent`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 10)
            try await bench.damageRow(4)
            let summary = try await bench.ship()
            #expect(summary.rejected == 1)
            #expect(try bench.ids().count == 9)
            var filter = RowFilter()
            filter.state = .rejected
            #expect(try await bench.spool.records(filter).first?.reason == "damaged")
        }
    }

    @Test(.timeLimit(.minutes(10))) func `a row whose number of columns is damaged is rejected like any damaged row`()
        async throws
    {
        try await withBench { bench in
            try await bench.spool(count: 10)
            try bench.damage("UPDATE row_data SET shape = 77 WHERE id = 'm4'")
            let summary = try await bench.ship()
            #expect(summary.rejected == 1 && summary.status == .drained)
            #expect(try bench.ids().count == 9)
        }
    }

    @Test(.timeLimit(.minutes(10))) func `rows whose list of columns is gone end the run with what is damaged`()
        async throws
    {
        try await withBench { bench in
            try await bench.spool(count: 10)
            _ = try await bench.ship()
            try await bench.spool(count: 10, from: 100)
            try await bench.spool(count: 10, stream: "orders")
            try bench.damage("DELETE FROM shapes WHERE route = 1")
            await #expect {
                _ = try await bench.ship()
            } throws: {
                guard case SpoolError.damaged = $0 else { return false }
                return true
            }
            #expect(try await bench.ledger().pending == 10)
        }
    }

    @Test(.timeLimit(.minutes(10))) func `rows that are missing from the spool are not passed over in silence`()
        async throws
    {
        try await withBench { bench in
            try await bench.spool(count: 10)
            try bench.damage("DELETE FROM row_data WHERE id = 'm4'")
            await #expect {
                _ = try await bench.ship()
            } throws: {
                guard case SpoolError.damaged(_, let reason) = $0 else { return false }
                return reason.contains("1 rows")
            }
            #expect(try bench.ids().count == 9, "all others are delivered")
        }
    }

    @Test func `rows for another endpoint stop everything before a byte is sent`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 10)
            let summary = try await bench.ship { $0.endpoint = "https://bigquery.example.org" }
            #expect(summary.status == .refused)
            #expect(summary.stop?.kind == .configuration)
            #expect(summary.stop?.message.contains("loopback") == true)
            #expect(try await bench.ledger().pending == 10)
        }
    }

    @Test func `bodies are compressed where that is wanted`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 500, bytes: 300)
            #expect(try await bench.ship { $0.compress = true }.status == .drained)
            #expect(try bench.ids().count == 500)
            let request = try #require(bench.sandbox.state.requests.first { $0.operation == .insertAll })
            #expect(request.contentEncoding == "gzip")
            #expect(request.wireBytes < request.bodyBytes / 3)
        }
    }
}
