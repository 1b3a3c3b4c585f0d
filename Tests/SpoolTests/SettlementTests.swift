import TestSupport
import Testing

@testable import Spool

/// The books and the rows after each kind of answer.
@Suite struct SettlementTests {
    /// A spool whose one route has requests of `size` rows begun for `count` rows.
    private func sending(
        _ count: Int = 10, size: Int = 500, _ body: (SpoolStore, Route, [RequestID]) async throws -> Void
    ) async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<count)
            let requests = try await spool.beginAll(of: route, size: size)
            try await body(spool, route, requests)
            try await expectSoundBooks(spool, route)
        }
    }

    @Test func `rows are sending from before the first byte until the answer`() async throws {
        try await sending { spool, _, requests in
            #expect(try await spool.ledger().first?.sending == 10)
            #expect(try await spool.records().allSatisfy { $0.state == .sending && $0.attempts == 1 })
            try await spool.settle([Settlement(requests[0], rest: .delivered)])
            #expect(try await spool.ledger().first?.delivered == 10)
            #expect(try await spool.records().allSatisfy { $0.state == .delivered && $0.deliveredAt != nil })
        }
    }

    @Test func `each exception of a range gets a fate of its own, the rest shares the request's`() async throws {
        try await sending { spool, route, requests in
            let rows = try await spool.rowIDs(.request(requests[0]))
            var settlement = Settlement(requests[0], rest: .delivered)
            settlement.httpStatus = 200
            settlement.exceptions = [
                RowSettlement(rows[1], .rejected(reason: "invalid", message: "no such value: \0x")),
                RowSettlement(
                    rows[3], .pending(reason: "backendError", message: "try again", counts: true, transient: true)),
                RowSettlement(rows[4], .pending(reason: "stopped", message: "", counts: false, transient: false)),
                RowSettlement(rows[9], .inDoubt(.settling)),
            ]
            try await spool.settle([settlement])
            let records = try await spool.records()
            #expect(
                records.map(\.state.rawValue) == [
                    "delivered", "rejected", "delivered", "pending", "pending", "delivered", "delivered", "delivered",
                    "delivered", "in_doubt",
                ])
            #expect(records.map(\.attempts) == [1, 1, 1, 1, 0, 1, 1, 1, 1, 1], "stopped is no attempt")
            #expect(records[1].reason == "invalid" && records[1].message == "no such value: \0x")
            let entry = try #require(try await spool.ledger().first)
            #expect(entry.delivered == 6 && entry.rejected == 1 && entry.pending == 2 && entry.inDoubt == 1)

            let left = Gathered<(RowID, Int, Bool)>()
            let answeredAt = settlement.answeredAt
            try await spool.readRows(.leftOver(route: route.number, after: nil), limit: 10) { row in
                left.add((row.id, row.transientAttempts, row.firstTransientAt == answeredAt))
                return true
            }
            #expect(left.items.map(\.0) == [rows[3], rows[4]])
            #expect(left.items.map(\.1) == [1, 0])
            #expect(left.items.map(\.2) == [true, false])
            let doubtful = try await spool.requests(of: route, in: [.inDoubt])
            #expect(doubtful.map(\.range) == [nil])
            #expect(doubtful.map(\.doubt) == [.settling])
            #expect(try await spool.rowIDs(.request(doubtful[0].id)) == [rows[9]])
        }
    }

    @Test func `a list is settled row by row, and what is pending again joins the next list`() async throws {
        try await sending(6) { spool, route, requests in
            let rows = try await spool.rowIDs(.request(requests[0]))
            var first = Settlement(requests[0], rest: .delivered)
            first.exceptions = rows[1...4].map {
                RowSettlement($0, .pending(reason: "backendError", message: "", counts: true, transient: true))
            }
            try await spool.settle([first])
            let list = try await spool.begin([
                NewRequest(route: route.number, rows: .list(Array(rows[1...4])), bytes: 9)
            ])
            #expect(try await spool.ledger().first?.sending == 4)
            #expect(try await spool.rowIDs(.request(list[0])) == Array(rows[1...4]))
            var second = Settlement(list[0], rest: .pending)
            second.error = "503"
            second.exceptions = [
                RowSettlement(rows[1], .delivered), RowSettlement(rows[2], .rejected(reason: "invalid", message: "no")),
                RowSettlement(rows[3], .pending(reason: "timeout", message: "", counts: true, transient: true)),
            ]
            try await spool.settle([second])
            let records = try await spool.records()
            #expect(
                records.map(\.state.rawValue) == [
                    "delivered", "delivered", "rejected", "pending", "pending", "delivered",
                ])
            #expect(records.map(\.attempts) == [1, 2, 2, 2, 2, 1])
            #expect(
                records[3].reason == "timeout" && records[4].reason == "backendError" && records[4].message == "503")
            #expect(try await spool.requests(of: route, in: [.pending, .sending, .inDoubt]).isEmpty)
            #expect(try await spool.rowIDs(.leftOver(route: route.number, after: nil)) == [rows[3], rows[4]])
            #expect(try await spool.rowIDs(.leftOver(route: route.number, after: rows[3])) == [rows[4]])
        }
    }

    @Test func `a range that is too large is cut in two, each sent again on its own`() async throws {
        try await sending { spool, route, requests in
            let rows = try await spool.rowIDs(.request(requests[0]))
            var answer = Settlement(requests[0], rest: .pending)
            answer.counts = false
            answer.splitAfter = rows[3]
            answer.exceptions = [RowSettlement(rows[2], .rejected(reason: "damaged", message: "checksum"))]
            try await spool.settle([answer])
            let halves = try await spool.requests(of: route, in: [.pending])
            #expect(halves.map(\.rows) == [3, 6])
            #expect(halves.map(\.attempts) == [0, 0])
            #expect(halves.map(\.bytes).reduce(0, +) <= 1000)
            #expect(try await spool.rowIDs(.request(halves[0].id)) == [rows[0], rows[1], rows[3]])
            #expect(try await spool.rowIDs(.request(halves[1].id)) == Array(rows[4...]))
            #expect(try await spool.ledger().first?.pending == 9)
            try await spool.resend(halves.map(\.id))
            #expect(try await spool.ledger().first?.sending == 9)
            try await spool.settle(halves.map { Settlement($0.id, rest: .delivered) })
            #expect(try await spool.ledger().first?.delivered == 9)
        }
    }

    @Test func `a half without rows of its own is not sent`() async throws {
        try await sending(4) { spool, route, requests in
            let rows = try await spool.rowIDs(.request(requests[0]))
            var answer = Settlement(requests[0], rest: .pending)
            answer.splitAfter = rows[0]
            answer.exceptions = [RowSettlement(rows[0], .rejected(reason: "too large", message: "11 MB"))]
            try await spool.settle([answer])
            #expect(try await spool.requests(of: route, in: [.pending]).map(\.rows) == [3])
        }
    }

    @Test func `several requests are settled in one transaction or not at all`() async throws {
        try await sending(10, size: 5) { spool, _, requests in
            let unknown = RequestID(4711)
            await #expect(throws: SpoolError.self) {
                try await spool.settle([
                    Settlement(requests[0], rest: .delivered), Settlement(unknown, rest: .delivered),
                ])
            }
            #expect(try await spool.ledger().first?.sending == 10)
            try await spool.settle(requests.map { Settlement($0, rest: .delivered) })
            #expect(try await spool.ledger().first?.delivered == 10)
        }
    }

    @Test func `no answer settles a request twice, a row twice or the row of another`() async throws {
        try await sending(10, size: 5) { spool, route, requests in
            let rows = try await spool.rowIDs(.all(route: route.number))
            let rejected = RowSettlement.Outcome.rejected(reason: "invalid", message: "")
            for exceptions in [
                [RowSettlement(rows[7], rejected)],
                [RowSettlement(rows[0], rejected), RowSettlement(rows[0], .delivered)],
                [RowSettlement(RowID(5), rejected)],
            ] {
                await #expect(throws: SpoolError.self) {
                    try await spool.settle([Settlement(requests[0], rest: .delivered, exceptions: exceptions)])
                }
                #expect(try await spool.ledger().first?.sending == 10)
            }
            try await spool.settle([Settlement(requests[0], rest: .delivered)])
            await #expect(throws: SpoolError.self) {
                try await spool.settle([Settlement(requests[0], rest: .pending)])
            }
            #expect(try await spool.ledger().first?.delivered == 5)
        }
    }

    @Test func `rows are claimed once, in order and without leaving any out`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<10)
            let rows = try await spool.rowIDs(.all(route: route.number))
            func claim(_ first: Int, _ last: Int, count: Int? = nil) async throws {
                _ = try await spool.begin([
                    NewRequest(
                        route: route.number,
                        rows: .range(first: rows[first], last: rows[last], count: count ?? last - first + 1), bytes: 1)
                ])
            }
            await #expect(throws: SpoolError.self, "rows left out") { try await claim(1, 3) }
            await #expect(throws: SpoolError.self, "wrong count") { try await claim(0, 3, count: 3) }
            try await claim(0, 3)
            await #expect(throws: SpoolError.self, "claimed twice") { try await claim(3, 5) }
            try await claim(4, 9)
            #expect(try await spool.rowIDs(.fresh(route: route.number, after: nil)).isEmpty)
            #expect(try await spool.ledger().first?.sending == 10)
        }
    }

    @Test func `rows that were discarded while a request was prepared are not sent`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<5)
            let rows = try await spool.rowIDs(.fresh(route: route.number, after: nil))
            var filter = RowFilter()
            filter.id = "m2"
            #expect(try await spool.discard(filter, why: "not wanted") == 1)
            let stale = NewRequest(route: route.number, rows: .range(first: rows[0], last: rows[4], count: 5), bytes: 1)
            await #expect {
                _ = try await spool.begin([stale])
            } throws: {
                guard case SpoolError.stale = $0 else { return false }
                return true
            }
            #expect(try await spool.beginAll(of: route).count == 1)
            #expect(try await spool.ledger().first?.sending == 4)
            try await expectSoundBooks(spool, route)
        }
    }
}
