import JSONBytes
import Sandbox
import Ship
import Spool
import TestSupport
import Testing
import Transport

/// `audit destination`, the forecast and `check`.
struct DestinationTests {
    private func audit(_ bench: ShipBench, mends: Bool = false) async throws -> DestinationAudit.Finding {
        let route = try #require(try await bench.spool.routes().first)
        return try await DestinationAudit(
            spool: bench.spool, client: bench.client, configuration: bench.configuration(), streams: []
        ).run(route, mends: mends)
    }

    @Test func `what BigQuery has is compared row by row, and what is missing is mended`() async throws {
        try await withBench({ $0.dedupeWindow = .zero }) { bench in
            try await bench.spool(count: 100)
            try await bench.shipSettled()
            #expect(try await audit(bench).isBalanced)
            bench.sandbox.state.clearRequests()
            try bench.sandbox.state.removeRows(of: ShipBench.table)
            try await bench.insertBehind { $0 <= 90 }
            try await bench.insertBehind { $0 <= 5 }
            try await bench.insertForeign(["foreign-1", "foreign-2"])
            let finding = try await audit(bench)
            #expect(finding.delivered == 100)
            #expect(finding.missing.sorted() == (91...100).map { ShipBench.insertID($0) }.sorted())
            #expect(finding.missingCount == 10)
            #expect(finding.duplicated.sorted() == (1...5).map { ShipBench.insertID($0) })
            #expect(finding.unknown.sorted() == ["foreign-1", "foreign-2"])
            #expect(!finding.isBalanced)

            #expect(try await audit(bench, mends: true).mended == 10)
            #expect(try await bench.ledger().pending == 10)
            try await bench.ship()
            let mended = try await audit(bench)
            #expect(mended.isBalanced)
            #expect(mended.missingCount == 0)
        }
    }

    @Test func `rows that retention removed are compared by their number`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 50)
            try await bench.shipSettled()
            try await bench.spool.retire(deliveredBefore: bench.clock.now().advanced(by: .seconds(10)))
            try await bench.spool(count: 10, from: 100)
            try await bench.ship()
            let balanced = try await audit(bench)
            #expect(balanced.isBalanced)
            #expect(balanced.delivered == 10)
            try bench.sandbox.state.removeRows(of: ShipBench.table)
            let short = try await audit(bench)
            #expect(short.missingCount == 10)
            #expect(short.daysShort.values.reduce(0, +) >= 50)
        }
    }

    @Test func `rows that were spooled again after retention had removed them are there once`() async throws {
        try await withBench { bench in
            for _ in 0..<2 {
                try await bench.spool(count: 50)
                try await bench.shipSettled()
                try await bench.spool.retire(deliveredBefore: bench.clock.now().advanced(by: .seconds(10)))
                try ChildProcess.run([
                    "sqlite3", bench.spool.path,
                    """
                    UPDATE run_log SET warnings = '[{"code":"retired_rows"}]'
                    WHERE run_no > 1 AND run_no = (SELECT max(run_no) FROM run_log)
                    """,
                ])
            }
            #expect(
                try await bench.spool.retiredDays(of: try #require(bench.spool.routes().first)).values.reduce(0, +)
                    == 100)
            #expect(try Set(bench.ids()).count == 50)
            #expect(try await audit(bench).isBalanced)
            try bench.sandbox.state.removeRows(of: ShipBench.table)
            #expect(try await audit(bench).retiredMissing >= 50)
        }
    }

    @Test func `a table that is gone misses everything`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 20)
            try await bench.shipSettled()
            try await bench.deleteTable()
            #expect(try await audit(bench).missingCount == 20)
        }
    }

    // MARK: Forecast

    private func forecast(_ bench: ShipBench, online: Bool = true) async throws -> TableForecast {
        let route = try #require(try await bench.spool.routes().first)
        return try await TableForecast.make(
            for: route, spool: bench.spool, client: online ? bench.client : nil, configuration: bench.configuration(),
            streams: [])
    }

    @Test func `the forecast says what shipping would do, and shipping does it`() async throws {
        try await withBench { bench in
            try await bench.spool(
                (0..<90).map { [TestField("at", "INT64", "\($0)")] }
                    + (0..<10).map { _ in [TestField("at", "STRING", #""x""#)] })
            for online in [true, false] {
                let forecast = try await forecast(bench, online: online)
                #expect(forecast.rows == 100)
                #expect(!forecast.tableExists)
                let column = try #require(forecast.columns.first { $0.name == "at" })
                #expect(column.spooledTypes == ["INT64": 90, "STRING": 10])
                #expect(column.tableType == nil)
                #expect(column.planned == "INT64")
                #expect(column.wouldRescue == 10)
                #expect(forecast.wouldRescue == 10)
                #expect(forecast.requests == 1)
                #expect(forecast.billedBytes == 100 * 1024)
            }
            #expect(bench.sandbox.state.tables.isEmpty)
            try await bench.ship()
            #expect(try bench.rows().filter { $0["_rescued"] != .null }.count == 10)
            let after = try await forecast(bench)
            #expect(after.rows == 0)
            #expect(after.columns.first { $0.name == "at" }?.tableType == "INT64")
        }
    }

    // MARK: Check

    private func check(_ bench: ShipBench, _ change: (inout ShipConfiguration) -> Void = { _ in }) async throws
        -> [DestinationFinding]
    {
        var configuration = bench.configuration()
        change(&configuration)
        return try await checkDestination(
            client: bench.client, configuration: configuration,
            tables: [(stream: StreamDelivery(name: "memos"), table: ShipBench.table)], spool: bench.spool)
    }

    @Test func `check is content with what ship can make`() async throws {
        try await withBench { bench in
            #expect(try await !check(bench).contains { $0.level == .error })
            let strict = try await check(bench) { $0.create = false }
            #expect(strict.contains { $0.level == .error && $0.kind == .configuration })
            try await bench.spool(count: 3)
            try await bench.ship()
            #expect(try await !check(bench).contains { $0.level != .ok })
        }
    }

    @Test func `check names what is refused`() async throws {
        try await withBench { bench in
            try bench.sandbox.state.setFaults("deny=query")
            let findings = try await check(bench)
            #expect(!findings.contains { $0.level == .error })
            try bench.sandbox.state.setFaults("status=403,reason=accessDenied,on=datasets.get")
            #expect(try await check(bench).contains { $0.level == .error && $0.kind == .denied })
            bench.sandbox.stop()
            #expect(try await check(bench).contains { $0.level == .error && $0.kind == .unavailable })
        }
    }

    @Test func `check tells of another location`() async throws {
        try await withBench { bench in
            try await bench.createDataset()
            let findings = try await check(bench) { $0.location = "EU" }
            #expect(findings.contains { $0.level == .warning && $0.message.contains("EU") })
        }
    }
}
