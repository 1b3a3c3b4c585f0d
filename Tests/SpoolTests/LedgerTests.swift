import GRDB
import TestSupport
import Testing

@testable import Spool

@Suite struct LedgerTests {
    @Test func `an empty spool has an empty ledger, a stream without rows a balanced one`() async throws {
        try await withTemporarySpool { spool in
            let none = try await spool.ledger()
            #expect(none.isEmpty)
            let route = try await spool.spool(0..<0)
            #expect(try await spool.ledger() == [LedgerEntry(route: route)])
            #expect(try await spool.oldestUndelivered().isEmpty)
        }
    }

    @Test func `each route has its own ledger, in the order the routes came`() async throws {
        try await withTemporarySpool { spool in
            let memos = try await spool.spool(0..<3)
            let orders = try await spool.spool(0..<5, to: .memos("orders"))
            try await spool.settle(try await spool.beginAll(of: orders).map { Settlement($0, rest: .delivered) })
            let ledger = try await spool.ledger()
            #expect(ledger.map(\.route) == [memos, orders])
            #expect(ledger.map(\.pending) == [3, 0] && ledger.map(\.delivered) == [0, 5])
            #expect(ledger.map(\.undelivered) == [3, 0] && ledger.map(\.isBalanced) == [true, true])
        }
    }

    @Test func `an entry that does not add up is not balanced`() async throws {
        try await withTemporarySpool { spool in
            try await spool.spool(0..<3)
            try await spool.write { try $0.execute(sql: "UPDATE routes SET unclaimed = unclaimed - 1") }
            #expect(try await spool.ledger().map(\.isBalanced) == [false])
        }
    }

    /// Ten rows, a second apart; row by row the oldest ones are settled in another way.
    @Test func `the oldest row that is not delivered is known, whatever it is waiting for`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            let rows = (0..<10).map { number in
                var row = TestRow(number)
                row.attributes.extractedAt = Timestamp(microseconds: Int64(number) * 1_000_000)
                return row
            }
            try await spool.append(PageCommit(run: run, rows: RowBatch(rows)))
            let ids = try await spool.rowIDs(.all(route: run.route))
            func oldest() async throws -> Int64? {
                try await spool.oldestUndelivered()[run.route].map { $0.microseconds / 1_000_000 }
            }
            #expect(try await oldest() == 0, "never claimed")
            let requests = try await spool.begin([
                NewRequest(route: run.route, rows: .range(first: ids[0], last: ids[1], count: 2), bytes: 1),
                NewRequest(route: run.route, rows: .range(first: ids[2], last: ids[4], count: 3), bytes: 1),
            ])
            #expect(try await oldest() == 0, "sending")
            try await spool.settle([Settlement(requests[0], rest: .delivered)])
            #expect(try await oldest() == 2)
            var answer = Settlement(requests[1], rest: .delivered)
            answer.exceptions = [
                RowSettlement(ids[2], .rejected(reason: "invalid", message: "")),
                RowSettlement(ids[3], .pending(reason: "x", message: "", counts: true, transient: false)),
                RowSettlement(ids[4], .inDoubt(.settling)),
            ]
            try await spool.settle([answer])
            #expect(try await oldest() == 3, "left over; a rejected row waits for nobody")
            var filter = RowFilter()
            filter.id = "m3"
            _ = try await spool.discard(filter, why: "so")
            #expect(try await oldest() == 4, "in doubt")
            filter.id = "m4"
            _ = try await spool.discard(filter, why: "so")
            #expect(try await oldest() == 5)
        }
    }

    @Test func `what is asked all the time is looked up, not searched for`() async throws {
        try await withTemporarySpool { spool in
            let plans = try await spool.read { database in
                try [
                    "SELECT * FROM request_log WHERE route = 1 AND \(SpoolStore.openRequests) AND state IN ('sending')",
                    "SELECT * FROM row_fates WHERE state = 'pending' AND row_id > 1 AND row_id < 9 ORDER BY row_id",
                    "SELECT * FROM row_fates WHERE request_id = 1 AND \(SpoolStore.claimedFates)",
                    "SELECT * FROM request_log WHERE first_row IS NOT NULL AND first_row <= 1 ORDER BY first_row DESC",
                    "SELECT * FROM spooled_rows WHERE row_id BETWEEN 1 AND 9 ORDER BY row_id",
                ].map { sql in
                    try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + sql).map { $0["detail"] as String }
                }
            }
            for plan in plans {
                #expect(!plan.contains { $0.hasPrefix("SCAN") || $0.contains("TEMP B-TREE") }, "\(plan)")
            }
        }
    }
}
