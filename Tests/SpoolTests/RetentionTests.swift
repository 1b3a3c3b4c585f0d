import GRDB
import TestSupport
import Testing

@testable import Spool

@Suite struct RetentionTests {
    private let day = 86_400_000_000

    /// Rows of three days, four rows a day, all in one request.
    private func spoolThreeDays(_ spool: SpoolStore) async throws -> Route {
        let run = try await spool.beginTestRun()
        let rows = (0..<12).map { number in
            var row = TestRow(number)
            row.attributes.extractedAt = Timestamp(microseconds: Int64((20_000 + number / 4) * day + 5))
            return row
        }
        try await spool.append(PageCommit(run: run, rows: RowBatch(rows)))
        try await spool.endRun(run, status: .complete, warnings: nil, error: nil)
        return try await spool.route(run.route)
    }

    @Test func `delivered rows are removed and counted by day, what is not delivered stays`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spoolThreeDays(spool)
            let rows = try await spool.rowIDs(.all(route: route.number))
            let requests = try await spool.beginAll(of: route)
            var answer = Settlement(requests[0], rest: .delivered, answeredAt: Timestamp(microseconds: 1000))
            answer.exceptions = [
                RowSettlement(rows[0], .rejected(reason: "invalid", message: "")), RowSettlement(rows[5], .delivered),
                RowSettlement(rows[11], .pending(reason: "x", message: "", counts: true, transient: false)),
            ]
            try await spool.settle([answer])
            #expect(try await spool.retire(deliveredBefore: Timestamp(microseconds: 1000)) == 0)
            #expect(try await spool.retire(deliveredBefore: Timestamp(microseconds: 1001)) == 10)
            #expect(try await spool.rowIDs(.all(route: route.number)) == [rows[0], rows[11]])
            #expect(try await spool.retiredDays(of: route) == [20_000: 3, 20_001: 4, 20_002: 3])
            let entry = try #require(try await spool.ledger().first)
            #expect(entry.retired == 10 && entry.rejected == 1 && entry.pending == 1 && entry.delivered == 0)
            #expect(entry.isBalanced)
            try await expectSoundBooks(spool, route)
            #expect(try await spool.retryRejected(RowFilter()) == 1, "what stayed can still be sent")
            #expect(try await spool.rowIDs(.leftOver(route: route.number, after: nil)) == [rows[0], rows[11]])
        }
    }

    @Test func `a row delivered out of order and removed does not stop those after it`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            var bad = TestRow(1)
            bad.attributes.rejection = (reason: "bad_line", message: "")
            try await spool.append(PageCommit(run: run, rows: RowBatch([TestRow(0), bad, TestRow(2)])))
            let route = try await spool.route(run.route)
            let rows = try await spool.rowIDs(.all(route: route.number))
            #expect(try await spool.retryRejected(RowFilter()) == 1)
            let list = try await spool.begin([NewRequest(route: route.number, rows: .list([rows[1]]), bytes: 1)])
            try await spool.settle([Settlement(list[0], rest: .delivered)])
            #expect(try await spool.retire(deliveredBefore: .maximum) == 1)
            #expect(try await spool.beginAll(of: route).count == 1)
            #expect(try await spool.ledger().first?.sending == 2)
            try await expectSoundBooks(spool, route)
        }
    }

    @Test func `rows delivered since the last look at their table stay`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<10)
            let requests = try await spool.beginAll(of: route, size: 5)
            try await spool.settle([
                Settlement(requests[0], rest: .delivered, answeredAt: Timestamp(microseconds: 100)),
                Settlement(requests[1], rest: .delivered, answeredAt: Timestamp(microseconds: 200)),
            ])
            try await spool.setTableRecord("as made", for: route.table, endpoint: route.endpoint)
            try await spool.noteAgreement(
                with: route.table, endpoint: route.endpoint, at: Timestamp(microseconds: 150))
            #expect(try await spool.tableRecord(route.table, endpoint: route.endpoint) == "as made")
            #expect(try await spool.retire(deliveredBefore: .maximum) == 5)
            #expect(try await spool.makeRoom(maximumBytes: 1) == false)
            #expect(try await spool.ledger().first?.delivered == 5)
            try await spool.noteAgreement(
                with: route.table, endpoint: route.endpoint, at: Timestamp(microseconds: 201))
            #expect(try await spool.retire(deliveredBefore: .maximum) == 5)
        }
    }

    @Test func `a full spool lets go of delivered rows, oldest first, until there is room`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<30_000, bytes: 200)
            let requests = try await spool.beginAll(of: route, size: 250)
            let used = try await spool.usedBytes()
            #expect(try await spool.makeRoom(maximumBytes: used + 1), "not full")
            #expect(try await spool.makeRoom(maximumBytes: used) == false, "nothing is delivered")
            try await spool.settle(requests.prefix(100).map { Settlement($0, rest: .delivered) })
            let limit = try await spool.usedBytes()
            #expect(try await spool.makeRoom(maximumBytes: limit))
            let after = try await spool.usedBytes()
            #expect(after < limit / 100 * 95 && after > limit / 100 * 70, "\(after) of \(limit)")
            let entry = try #require(try await spool.ledger().first)
            #expect(entry.retired > 0 && entry.delivered > 0 && entry.isBalanced)
            let first = try #require(try await spool.rowIDs(.all(route: route.number)).first)
            #expect(first.rawValue == route.rowRange.lowerBound.rawValue + Int64(entry.retired), "the oldest went")
            try await expectSoundBooks(spool, route)
        }
    }

    @Test func `removing rows keeps others waiting for some thousand rows at a time, however large requests are`()
        async throws
    {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<30_000)
            let requests = try await spool.beginAll(of: route, size: 10_000)
            try await spool.settle(requests.map { Settlement($0, rest: .delivered) })
            #expect(try await spool.retire(deliveredBefore: .maximum, limit: 1) == 20_000, "one transaction")
            #expect(try await spool.retire(deliveredBefore: .maximum) == 10_000)
            try await expectSoundBooks(spool, route)
        }
    }

    @Test func `pages of removed rows are used again`() async throws {
        try await withTemporarySpool { spool in
            var sizes: [Int] = []
            for round in 0..<6 {
                let route = try await spool.spool(round * 3000..<(round + 1) * 3000, bytes: 500)
                try await spool.settle(try await spool.beginAll(of: route).map { Settlement($0, rest: .delivered) })
                try await spool.retire(deliveredBefore: .maximum)
                sizes.append(
                    try await spool.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA page_count") ?? 0 })
            }
            #expect(Double(sizes[5]) < Double(sizes[1]) * 1.1, "\(sizes)")
            let page = Int64(SpoolStore.pageSize)
            #expect(try await spool.usedBytes() < 60 * page, "a page for each table and index, not the rows of a round")
        }
    }
}
