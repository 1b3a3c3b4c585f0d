import Foundation
import JSONBytes
import Spool
import Synchronization
import TestSupport
import Testing

@testable import Extract

/// Ids that the first cuts put into one range.
@Suite(.firestoreEmulator) struct FirestoreRebalancingTests {
    /// Passes queries on and keeps how many of those for documents were under way when each began, and their times.
    private final class Watcher: Sendable {
        struct Seen {
            var underWay = 0
            var company: [Int] = []
            var cursors: Set<String> = []
            var readTimes: Set<String> = []
        }
        private let host: String
        private let state = Mutex(Seen())

        init(_ database: FirestoreDatabase) { host = database.host }

        var seen: Seen { state.withLock { $0 } }

        func answer(_ request: LoopbackServer.Request) -> LoopbackServer.Answer {
            let asked = (try? JSONValue(parsing: request.body)) ?? .null
            let isForDocuments = (asked["structuredQuery"]?["limit"]?.intValue ?? 0) > 1
            if isForDocuments {
                state.withLock { seen in
                    seen.underWay += 1
                    seen.company.append(seen.underWay)
                    if let time = asked["readTime"]?.stringValue { seen.readTimes.insert(time) }
                    if let end = asked["structuredQuery"]?["endAt"] { seen.cursors.insert(end.text) }
                }
            }
            // A distant server's latency: without it one request is over before the next reader comes, and none would be seen side by side.
            if isForDocuments { usleep(30_000) }
            defer { if isForDocuments { state.withLock { $0.underWay -= 1 } } }
            return HTTPProxy.forward(request, to: host)?.passed ?? .close
        }
    }

    /// Each with what the first cuts can't see: something that stands apart in front, a prefix longer than they look, ids in several parts.
    static let forms: [@Sendable (Int) -> String] = [
        { $0 == 0 ? "a" : String(format: "order-2025-%06d", $0) },
        { String(format: "customer-invoice-number-2025-%06d", $0) },
        { $0 == 0 ? "0" : $0 == 1 ? "zz" : String(format: "order-2025-11-%02dT%02d:00-%d", $0 / 100, $0 % 24, $0) },
        { $0 < 3 ? "\($0)" : "漢字-\(100_000 + $0)" },
    ]
    private static let count = 2000

    private func stream(_ database: FirestoreDatabase, _ spool: SpoolStore, parallel: Int) -> Extraction {
        Extraction(database, spool, mode: .full).with { $0.parallel = parallel }.withOptions {
            $0.documentsPerQuery = 20
            $0.rowsPerPage = 100
        }
    }

    private func seed(_ database: FirestoreDatabase, _ form: Int) async throws {
        try await database.write(
            (0..<Self.count).map { .set("memos/\(Self.forms[form]($0))", ["n": .integer(Int64($0))]) })
    }

    @Test(arguments: 0..<4)
    func `readers without work take a part of what another has still to read`(_ form: Int) async throws {
        try await withDatabase { database, spool in
            try await seed(database, form)
            let watcher = Watcher(database)
            let stream = stream(database, spool, parallel: 4)
            try await withLoopbackServer {
                watcher.answer($0)
            } _: { proxy in
                let result = try await stream.behind(proxy).complete()
                #expect(result.counters.rowsSpooled == Self.count)
                #expect(result.counters.sourceReads < Self.count * 5 / 4)
            }
            let seen = watcher.seen
            #expect(seen.readTimes.count == 1)
            #expect(seen.company.max() == 4)
            // With fixed ranges it would be the first few at most that were not alone.
            let together = seen.company.count { $0 >= 2 }
            #expect(together * 2 > seen.company.count, "\(together) of \(seen.company.count)")
            try await withTemporarySpool { other in
                let alone = self.stream(database, other, parallel: 1)
                try await alone.complete()
                func comparable(_ rows: [SpooledRow]) -> Set<String> {
                    Set(rows.map { $0.lasting.replacingOccurrences(of: $0.insertID, with: "") })
                }
                let (rows, expected) = (try await stream.rows(), try await alone.rows())
                #expect(rows.count == Self.count)
                #expect(comparable(rows) == comparable(expected))
            }
        }
    }

    /// The spool's files are copied after every commit: that is what a kill at that moment leaves behind.
    @Test(arguments: [0, 2])
    func `a kill after any cut goes on range by range`(_ form: Int) async throws {
        try await withDatabase { database, spool in
            try await seed(database, form)
            let stream = stream(database, spool, parallel: 4)
            try await withTemporaryFolder { folder in
                let copies = Mutex<[(path: String, rows: Int)]>([])
                let watcher = Watcher(database)
                try await withLoopbackServer {
                    watcher.answer($0)
                } _: { proxy in
                    let result = await stream.behind(proxy).run { progress in
                        let copy = folder + "/\(copies.withLock { $0.count })"
                        for ending in ["", "-wal"] {
                            try? FileManager.default.copyItem(atPath: spool.path + ending, toPath: copy + ending)
                        }
                        copies.withLock { $0.append((copy, progress.rowsSpooled)) }
                    }
                    #expect(result.status == .complete)
                }
                let expected = Set(try await stream.rows().map(\.lasting))
                #expect(expected.count == Self.count)
                // What is written now is of another moment.
                try await database.write(
                    (0..<40).map { .set("memos/\(Self.forms[form]($0 * 40))", ["n": .integer(-1)]) })
                let kept = copies.withLock { $0 }
                #expect(kept.count > 10)
                for copy in kept where copy.rows > 0 {
                    let left = try SpoolStore(path: copy.path)
                    let resumed = try await stream.into(left).complete()
                    let rows = try await stream.into(left).rows()
                    #expect(rows.count == Self.count)
                    #expect(Set(rows.map(\.lasting)) == expected)
                    #expect(resumed.status == .complete)
                    try left.close()
                }
            }
        }
    }

    @Test func `a bound is an id that may be written, and no document lies between it and its bytes`() throws {
        let memos = try FirestoreCollection(parsing: "users/a/memos")
        func bound(_ text: String) -> String { String(memos.path(atOrBehind: Array(text.utf8)).dropFirst(14)) }
        #expect(bound("order-2") == "order-2")
        #expect(bound("a/") == "a0")
        #expect(bound(".") == ".\u{1}" && bound("..") == "..\u{1}")
        #expect(bound("__x__") == "__x__\u{1}" && bound("__x") == "__x")
    }
}
