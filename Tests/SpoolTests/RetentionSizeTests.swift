import GRDB
import TestSupport
import Testing

@testable import Spool

/// What a spool keeps of rows that have gone through it.
@Suite struct RetentionSizeTests {
    private static let rowsARound = 1000
    private static let records = 50

    /// Entries of every table and index of the file, automatic and partial indexes among them.
    private func entries(_ spool: SpoolStore) async throws -> [String: Int] {
        try await spool.read { database in
            let rows = try Row.fetchAll(
                database, sql: "SELECT name, sum(ncell) AS n FROM dbstat WHERE pagetype = 'leaf' GROUP BY name")
            return Dictionary(uniqueKeysWithValues: rows.map { ($0["name"] as String, $0["n"] as Int) })
        }
    }

    private func bytes(_ number: Int) -> [UInt8] { withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) } }

    /// Two runs as extractors write them: one behind a watermark with a lookback of a tenth of the round, one of `changes`.
    private func extract(_ spool: SpoolStore, round: Int) async throws -> [Route] {
        let numbers = round * Self.rowsARound..<(round + 1) * Self.rowsARound
        let run = try await spool.beginTestRun(.memos("memos"))
        for start in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 250) {
            let rows = (start..<start + 250).map { number in
                var row = TestRow(number)
                row.sortKey = bytes(number)
                row.attributes.mayRepeat = true
                return row
            }
            var page = PageCommit(run: run, rows: RowBatch(rows))
            page.recentFloor = bytes(start + 250 - Self.rowsARound / 10)
            page.watermark = Watermark(value: "\(start)", key: nil, sortKey: bytes(start + 249))
            page.equalRows = [EqualRows(scope: [1], hash: KnownHash(high: UInt64(start), low: 0), rows: 2)]
            try await spool.append(page)
        }
        try await spool.endRun(run, status: .complete, warnings: nil, error: nil)

        let scan = try await spool.beginTestRun(.memos("scan", mode: "changes"))
        var found = PageCommit(run: scan, rows: RowBatch())
        found.findings = (0..<Self.records).map { ScanFinding(key: bytes($0), kind: .changed) }
        try await spool.append(found)
        let changed = (0..<Self.records).map { record in
            var row = TestRow(round * Self.records + record, stream: "scan")
            row.knownKey = bytes(record)
            row.knownVersion = bytes(round)
            row.attributes.knownChanges = round
            return row
        }
        var fetched = PageCommit(run: scan, rows: RowBatch(changed))
        fetched.settledFindings = found.findings.map(\.key)
        try await spool.append(fetched)
        try await spool.endRun(scan, status: .complete, warnings: nil, error: nil)
        return [try await spool.route(run.route), try await spool.route(scan.route)]
    }

    /// Delivers everything, some rows apart from their request.
    private func deliver(_ spool: SpoolStore, _ route: Route) async throws {
        let ids = try await spool.rowIDs(.fresh(route: route.number, after: nil))
        let requests = try await spool.beginAll(of: route, size: 250)
        for (request, first) in zip(requests, stride(from: 0, to: ids.count, by: 250)) {
            var answer = Settlement(request, rest: .delivered)
            answer.exceptions = [
                RowSettlement(ids[first], .delivered),
                RowSettlement(ids[first + 1], .pending(reason: "x", message: "", counts: true, transient: true)),
                RowSettlement(ids[first + 2], .inDoubt(.settling)),
            ]
            try await spool.settle([answer])
        }
        let left = try await spool.rowIDs(.leftOver(route: route.number, after: nil))
        let list = try await spool.begin([NewRequest(route: route.number, rows: .list(left), bytes: 1)])
        let doubted = try await spool.requests(of: route, in: [.inDoubt]).map(\.id)
        try await spool.settle((list + doubted).map { Settlement($0, rest: .delivered) })
    }

    @Test func `no table and no index keeps an entry for each row that went through`() async throws {
        try await withTemporarySpool { spool in
            var after: [[String: Int]] = []
            for round in 0..<9 {
                for route in try await extract(spool, round: round) {
                    try await deliver(spool, route)
                    try await expectSoundBooks(spool, route)
                }
                let rows = Self.rowsARound + Self.records
                #expect(try await spool.retire(deliveredBefore: .maximum) == rows)
                after.append(try await entries(spool))
            }
            // A run stays on record, and the day on which its rows were removed.
            let perRun: Set = ["run_log", "sqlite_autoindex_run_log_1"]
            for (name, last) in after[8] {
                let runs = perRun.contains(name) ? 2 * 6 : 0
                let early = after[2][name] ?? 0
                #expect(last <= early + runs, "\(name) has grown from \(early) to \(last) entries in six rounds")
            }
            // What the next run looks up is still there.
            #expect(after[8]["recent_ids"] == Self.rowsARound / 10)
            #expect(after[8]["known_versions"] == Self.records)
            #expect(after[8]["row_data"] ?? 0 == 0 && after[8]["row_fates"] ?? 0 == 0)
        }
    }

    @Test func `rows that are kept have an entry in their table and in no index`() async throws {
        try await withTemporarySpool { spool in
            for round in 0..<4 { _ = try await extract(spool, round: round) }
            let all = 4 * (Self.rowsARound + Self.records)
            let kept = try await entries(spool)
            #expect(kept["row_data"] == all)
            for (name, count) in kept where name != "row_data" {
                #expect(count < all / 10, "\(name) has \(count) entries for \(all) rows")
            }
        }
    }
}
