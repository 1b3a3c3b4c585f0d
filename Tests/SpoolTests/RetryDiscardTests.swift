import TestSupport
import Testing

@testable import Spool

@Suite struct RetryDiscardTests {
    private static let answered = Timestamp(microseconds: 1_764_000_000_400_000)

    /// Ten rows: delivered 0-3, rejected 4 and 5, in doubt 6, left over 7, sending 8, never claimed 9.
    private func everyState(_ body: (SpoolStore, Route, [RowID]) async throws -> Void) async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<10)
            let rows = try await spool.rowIDs(.all(route: route.number))
            let requests = try await spool.begin([
                NewRequest(route: route.number, rows: .range(first: rows[0], last: rows[5], count: 6), bytes: 1),
                NewRequest(route: route.number, rows: .range(first: rows[6], last: rows[6], count: 1), bytes: 1),
                NewRequest(route: route.number, rows: .range(first: rows[7], last: rows[7], count: 1), bytes: 1),
                NewRequest(route: route.number, rows: .range(first: rows[8], last: rows[8], count: 1), bytes: 1),
            ])
            var first = Settlement(requests[0], rest: .delivered, answeredAt: Self.answered)
            first.exceptions = [
                RowSettlement(rows[4], .rejected(reason: "invalid", message: "bad")),
                RowSettlement(rows[5], .rejected(reason: "too_large", message: "big")),
            ]
            var third = Settlement(requests[2], rest: .pending)
            third.exceptions = [
                RowSettlement(rows[7], .pending(reason: "backendError", message: "", counts: true, transient: true))
            ]
            try await spool.settle([first, Settlement(requests[1], rest: .inDoubt(.unknown)), third])
            try await body(spool, route, rows)
            try await expectSoundBooks(spool, route)
        }
    }

    private func states(_ spool: SpoolStore) async throws -> [RowState] { try await spool.records().map(\.state) }

    @Test func `the rows of every state are found by it`() async throws {
        try await everyState { spool, route, rows in
            let all = try await states(spool)
            #expect(
                all == [
                    .delivered, .delivered, .delivered, .delivered, .rejected, .rejected, .inDoubt, .pending, .sending,
                    .pending,
                ])
            let expectations: [(RowState, [RowID])] = [
                (.delivered, Array(rows[0...3])), (.rejected, Array(rows[4...5])), (.inDoubt, [rows[6]]),
                (.pending, [rows[7], rows[9]]), (.sending, [rows[8]]), (.discarded, []),
            ]
            for (state, expected) in expectations {
                var filter = RowFilter()
                filter.state = state
                #expect(try await spool.records(filter).map(\.row) == expected)
                #expect(
                    try await spool.rowIDs(.state(state, route: route.number, after: nil)) == expected, "\(state)")
                #expect(
                    try await spool.rowIDs(.state(state, route: route.number, after: expected.first ?? rows[0]))
                        == Array(expected.dropFirst()))
            }
        }
    }

    @Test func `rejected rows are tried again under the same insertId with their history`() async throws {
        try await everyState { spool, route, rows in
            var filter = RowFilter()
            filter.reason = "invalid"
            #expect(try await spool.retryRejected(filter) == 1)
            let record = try await spool.records()[4]
            #expect(record.state == .pending && record.attempts == 1 && record.reason == "invalid")
            #expect(record.insertID == TestRow(4).insertID)
            #expect(try await spool.retryRejected(RowFilter()) == 1, "the other one")
            #expect(
                try await spool.rowIDs(.leftOver(route: route.number, after: nil)) == [rows[4], rows[5], rows[7]])
            let list = try await spool.begin([
                NewRequest(route: route.number, rows: .list([rows[4], rows[5]]), bytes: 1)
            ])
            try await spool.settle([Settlement(list[0], rest: .delivered)])
            #expect(try await spool.records()[4].attempts == 2)
            #expect(try await spool.ledger().first?.delivered == 6)
        }
    }

    @Test func `a state in the filter of a retry does not widen it`() async throws {
        try await everyState { spool, _, _ in
            var filter = RowFilter()
            filter.state = .sending
            let retried = try await spool.retryRejected(filter)
            #expect(retried == 0)
            #expect(try await spool.discard(filter, why: "x") == 0)
            filter.state = .delivered
            #expect(try await spool.discard(filter, why: "x") == 0)
        }
    }

    /// Seconds and fractions around the moment of the answer, which is 400 ms after a whole second.
    @Test(arguments: [
        ("2025-11-24T16:00:00Z", 0), ("2025-11-24T16:00:00.4Z", 0), ("2025-11-24T16:00:00.400001Z", 4),
        ("2025-11-24T16:00:00.39Z", 0), ("2025-11-24T16:00:00.45Z", 4), ("2025-11-24T16:00:01Z", 4),
    ])
    func `delivered rows are sent again if they were delivered before a moment`(cutoff: String, rows: Int) async throws
    {
        try await everyState { spool, _, _ in
            let moment = try #require(Timestamp(rfc3339: cutoff))
            #expect(try await spool.retryDelivered(before: moment, RowFilter()) == rows)
            #expect(try await spool.ledger().first?.delivered == 4 - rows)
        }
    }

    @Test func `rows missing in the destination are sent again if they count as delivered`() async throws {
        try await everyState { spool, route, rows in
            let retried = try await spool.retryMissing(rows)
            #expect(retried == 4)
            #expect(
                try await states(spool) == [
                    .pending, .pending, .pending, .pending, .rejected, .rejected, .inDoubt, .pending, .sending,
                    .pending,
                ])
            #expect(try await spool.records()[0].reason == "missing")
            #expect(try await spool.rowIDs(.leftOver(route: route.number, after: nil)).count == 5)
        }
    }

    @Test func `an operator discards what is not delivered and not on its way`() async throws {
        try await everyState { spool, route, rows in
            let discarded = try await spool.discard(RowFilter(), why: "a test account")
            #expect(discarded == 5)
            #expect(
                try await states(spool) == [
                    .delivered, .delivered, .delivered, .delivered, .discarded, .discarded, .discarded, .discarded,
                    .sending,
                    .discarded,
                ])
            let record = try await spool.records()[4]
            #expect(record.reason == "discarded" && record.message == "a test account")
            #expect(try await spool.rowIDs(.fresh(route: route.number, after: nil)).isEmpty)
            #expect(try await spool.rowIDs(.leftOver(route: route.number, after: nil)).isEmpty)
            #expect(try await spool.ledger().first?.discarded == 5)
        }
    }

    @Test func `a delivered single row that is sent again and delivered again is still one row`() async throws {
        try await everyState { spool, route, rows in
            for _ in 0..<2 {
                #expect(try await spool.retryMissing([rows[1]]) == 1)
                let list = try await spool.begin([NewRequest(route: route.number, rows: .list([rows[1]]), bytes: 1)])
                try await spool.settle([Settlement(list[0], rest: .delivered)])
            }
            #expect(try await spool.records()[1].attempts == 3)
            #expect(try await spool.ledger().first?.delivered == 4)
        }
    }

    @Test func `filters narrow by stream, run, id, insertId and limit`() async throws {
        try await withTemporarySpool { spool in
            try await spool.spool(0..<3, run: "run-a")
            try await spool.spool(0..<3, to: .memos("orders"), run: "run-b")
            try await spool.spool(3..<5, run: "run-c")
            func count(_ change: (inout RowFilter) -> Void) async throws -> Int {
                var filter = RowFilter()
                change(&filter)
                return try await spool.records(filter).count
            }
            #expect(try await count { _ in } == 8)
            #expect(try await count { $0.streams = ["memos"] } == 5)
            #expect(try await count { $0.streams = ["orders"] } == 3)
            #expect(try await count { $0.streams = ["memos", "orders"] } == 8)
            #expect(try await count { $0.streams = ["nobody"] } == 0)
            #expect(try await count { $0.run = "run-c" } == 2)
            #expect(try await count { $0.id = "m1" } == 2)
            #expect(try await count { $0.insertID = TestRow(1, stream: "orders").insertID } == 1)
            #expect(try await count { $0.limit = 4 } == 4)
            #expect(try await count { $0.id = "m1' OR 1 --" } == 0)
        }
    }
}
