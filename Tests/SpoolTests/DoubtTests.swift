import TestSupport
import Testing

@testable import Spool

@Suite struct DoubtTests {
    private let start = Timestamp(microseconds: 1_764_000_000_000_000)

    private func moment(_ seconds: Int) -> Timestamp { start.advanced(by: .seconds(seconds)) }

    @Test func `what a killed process was sending is in doubt, ranges and single rows`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<10)
            let rows = try await spool.rowIDs(.all(route: route.number))
            let requests = try await spool.beginAll(of: route, size: 5)
            var first = Settlement(requests[0], rest: .delivered)
            first.exceptions = [
                RowSettlement(rows[0], .pending(reason: "x", message: "", counts: true, transient: false)),
                RowSettlement(rows[1], .rejected(reason: "invalid", message: "")),
            ]
            try await spool.settle([first])
            _ = try await spool.begin([NewRequest(route: route.number, rows: .list([rows[0]]), bytes: 1)], at: start)
            #expect(try await spool.doubtUnfinishedRequests() == 6)
            let entry = try #require(try await spool.ledger().first)
            #expect(entry.inDoubt == 6 && entry.sending == 0 && entry.delivered == 3 && entry.rejected == 1)
            let doubtful = try await spool.requests(of: route, in: [.inDoubt])
            #expect(doubtful.map(\.doubt) == [.unknown, .unknown])
            #expect(doubtful.allSatisfy { $0.unknownSince == $0.sentAt && $0.sentAt != nil })
            #expect(try await spool.doubtUnfinishedRequests() == 0)
            try await expectSoundBooks(spool, route)
        }
    }

    @Test func `an unknown outcome stays in doubt until an answer clears it`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<4)
            let request = try await spool.beginAll(of: route)[0]
            try await spool.settle([Settlement(request, rest: .inDoubt(.unknown))])
            let first = try #require(try await spool.requests(of: route, in: [.inDoubt]).first)
            try await spool.resend([request], at: moment(1))
            // Not sent at all this time: but the first attempt may have arrived.
            try await spool.settle([Settlement(request, rest: .pending)])
            let second = try #require(try await spool.requests(of: route, in: [.inDoubt]).first)
            #expect(second.doubt == .unknown)
            #expect(second.unknownSince == first.unknownSince, "the first unknown attempt counts")
            #expect(try await spool.records().allSatisfy { $0.state == .inDoubt && $0.attempts == 2 })
            // BigQuery was asked: none is there.
            var asked = Settlement(request, rest: .pending)
            asked.clearsDoubt = true
            asked.counts = true
            try await spool.settle([asked])
            let third = try #require(try await spool.requests(of: route, in: [.pending]).first)
            #expect(third.unknownSince == nil && third.doubt == nil && third.attempts == 2)
            try await spool.resend([request])
            try await spool.settle([Settlement(request, rest: .pending)])
            #expect(try await spool.ledger().first?.pending == 4, "nothing unknown is left of the earlier attempts")
            try await expectSoundBooks(spool, route)
        }
    }

    @Test func `single rows of a request in doubt stay in doubt with its first unknown attempt`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<4)
            let rows = try await spool.rowIDs(.all(route: route.number))
            let request = try await spool.beginAll(of: route)[0]
            try await spool.settle([Settlement(request, rest: .inDoubt(.unknown))])
            let since = try #require(try await spool.requests(of: route, in: [.inDoubt]).first?.unknownSince)
            try await spool.resend([request], at: since.advanced(by: .seconds(20)))
            var answer = Settlement(request, rest: .delivered)
            answer.exceptions = [
                RowSettlement(
                    rows[2], .pending(reason: "backendError", message: "busy", counts: true, transient: true)),
                RowSettlement(rows[3], .inDoubt(.settling)),
            ]
            try await spool.settle([answer])
            let lists = try await spool.requests(of: route, in: [.inDoubt])
            #expect(lists.map(\.doubt) == [.unknown, .settling])
            #expect(lists.map(\.unknownSince) == [since, since])
            // Once asked, the row is sent again, and its transient refusal still counts.
            var asked = Settlement(lists[0].id, rest: .pending)
            asked.clearsDoubt = true
            try await spool.settle([asked])
            let attempts = Gathered<Int>()
            try await spool.readRows(.leftOver(route: route.number, after: nil), limit: 10) { row in
                attempts.add(row.transientAttempts)
                return true
            }
            #expect(attempts.items == [1])
            #expect(try await spool.records()[2].reason == nil, "no longer unknown")
            try await expectSoundBooks(spool, route)
        }
    }

    @Test func `rows found in the table are delivered, the others sent again`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<6)
            let rows = try await spool.rowIDs(.all(route: route.number))
            let request = try await spool.beginAll(of: route)[0]
            try await spool.settle([Settlement(request, rest: .inDoubt(.unknown))])
            var asked = Settlement(request, rest: .pending)
            asked.clearsDoubt = true
            asked.exceptions = [RowSettlement(rows[1], .delivered), RowSettlement(rows[4], .delivered)]
            try await spool.settle([asked])
            let pending = try await spool.requests(of: route, in: [.pending])
            #expect(pending.map(\.rows) == [4])
            try await spool.resend([request])
            #expect(try await spool.rowIDs(.request(request)) == [rows[0], rows[2], rows[3], rows[5]])
            try await spool.settle([Settlement(request, rest: .delivered)])
            #expect(try await spool.ledger().first?.delivered == 6)
            try await expectSoundBooks(spool, route)
        }
    }

    @Test func `what was delivered since a look is in doubt again, ranges, lists and single rows`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<8)
            let other = try await spool.spool(0..<3, to: .memos("orders"))
            let rows = try await spool.rowIDs(.all(route: route.number))
            let requests = try await spool.beginAll(of: route, size: 2) + spool.beginAll(of: other)
            func answer(_ index: Int, at seconds: Int) -> Settlement {
                Settlement(requests[index], rest: .delivered, answeredAt: moment(seconds))
            }
            // Before the look; at its very moment; after it with a single row found delivered; after it by a list.
            var found = Settlement(requests[2], rest: .pending, answeredAt: moment(20))
            found.exceptions = [RowSettlement(rows[4], .delivered)]
            var left = answer(3, at: 20)
            left.exceptions = [
                RowSettlement(rows[6], .pending(reason: "stopped", message: "", counts: false, transient: false))
            ]
            try await spool.settle([answer(0, at: 9), answer(1, at: 10), found, left, answer(4, at: 30)])
            let list = try await spool.begin([NewRequest(route: route.number, rows: .list([rows[6]]), bytes: 1)])
            try await spool.settle([Settlement(list[0], rest: .delivered, answeredAt: moment(25))])

            #expect(try await spool.doubtDelivered(to: route.table, endpoint: "elsewhere", since: moment(10)) == 0)
            #expect(try await spool.doubtDelivered(to: route.table, endpoint: "loopback", since: moment(10)) == 5)
            let states = try await spool.records().filter { $0.stream == "memos" }.map(\.state.rawValue)
            #expect(
                states == [
                    "delivered", "delivered", "in_doubt", "in_doubt", "in_doubt", "pending", "in_doubt", "in_doubt",
                ])
            let doubtful = try await spool.requests(of: route, in: [.inDoubt])
            #expect(doubtful.allSatisfy { $0.doubt == .settling })
            #expect(doubtful.map(\.rows).reduce(0, +) == 5)
            #expect(try await spool.ledger().last?.delivered == 3, "another table is not concerned")
            for request in doubtful {
                var asked = Settlement(request.id, rest: .pending)
                asked.clearsDoubt = true
                try await spool.settle([asked])
            }
            #expect(try await spool.ledger().first?.pending == 6)
            try await expectSoundBooks(spool, route)
        }
    }

    @Test func `rows in doubt that are discarded leave their request, and an empty request is gone`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<4)
            let requests = try await spool.beginAll(of: route, size: 2)
            try await spool.settle(requests.map { Settlement($0, rest: .inDoubt(.unknown)) })
            for id in ["m0", "m1", "m2"] {
                var filter = RowFilter()
                filter.id = id
                #expect(try await spool.discard(filter, why: "gone") == 1)
            }
            #expect(try await spool.requests(of: route, in: [.inDoubt]).map(\.rows) == [1])
            await #expect {
                try await spool.resend([requests[0]])
            } throws: {
                guard case SpoolError.stale = $0 else { return false }
                return true
            }
            try await spool.resend([requests[1]])
            #expect(try await spool.records().map(\.state) == [.discarded, .discarded, .discarded, .sending])
            await #expect(throws: SpoolError.self) { try await spool.resend([requests[1]]) }
            try await expectSoundBooks(spool, route)
        }
    }
}
