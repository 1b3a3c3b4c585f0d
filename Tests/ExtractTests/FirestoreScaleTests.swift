import Extract
import Foundation
import JSONBytes
import Spool
import Synchronization
import TestSupport
import Testing

/// Many documents: one snapshot while others write, what `changes` costs on the wire, and what it costs in the spool.
@Suite(.firestoreEmulator) struct FirestoreScaleTests {
    /// Passes everything on and keeps what it saw.
    private final class Witness: Sendable {
        private struct Seen {
            var readTimes: Set<String> = []
            var bytes = 0
        }
        private let host: String
        private let seen = Mutex(Seen())

        init(to database: FirestoreDatabase) { host = database.host }

        /// Snapshot times asked for.
        var readTimes: Set<String> { seen.withLock { $0.readTimes } }
        /// Of requests' and answers' bodies since the last look.
        func takeBytes() -> Int {
            seen.withLock { seen in
                defer { seen.bytes = 0 }
                return seen.bytes
            }
        }

        func answer(_ request: LoopbackServer.Request) -> LoopbackServer.Answer {
            let readTime = (try? JSONValue(parsing: request.body))?["readTime"]?.stringValue
            guard let answer = HTTPProxy.forward(request, to: host) else { return .close }
            seen.withLock {
                if let readTime { $0.readTimes.insert(readTime) }
                $0.bytes += request.body.count + answer.body.count
            }
            return answer.passed
        }
    }

    private final class Counter: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock { $0 } }
        func add() { count.withLock { $0 += 1 } }
    }

    @Test func `full at parallel 4 holds exactly the documents of its readTime while another writes`() async throws {
        try await withDatabase { database, spool in
            let ids = (0..<1500).map { FirestoreParallelTests.idForms[1]($0) }
            try await database.write(ids.prefix(1200).map { .set("memos/\($0)", ["n": .integer(0)]) })
            let witness = Witness(to: database)
            let commits = Counter()
            try await withLoopbackServer {
                witness.answer($0)
            } _: { proxy in
                let writer = Task {
                    var random = SeededRandom(seed: 5)
                    var revision: Int64 = 0
                    while !Task.isCancelled {
                        revision += 1
                        let writes = (0..<15).map { _ in ids[random.next(below: ids.count)] }
                        try await database.write(
                            Set(writes).map { id in
                                random.next(below: 3) == 0
                                    ? .delete("memos/\(id)") : .set("memos/\(id)", ["n": .integer(revision)])
                            })
                        commits.add()
                    }
                }
                #expect(await eventually { commits.value >= 5 })
                let before = commits.value
                let stream = Extraction(database, spool, mode: .full).with { $0.parallel = 4 }.withOptions {
                    $0.documentsPerQuery = 25
                    $0.rowsPerPage = 40
                }
                let result = await stream.behind(proxy).run()
                let during = commits.value - before
                writer.cancel()
                _ = await writer.result
                #expect(result.status == .complete)
                #expect(during >= 5, "the writer was too slow to prove anything")
            }
            #expect(witness.readTimes.count == 1)
            let readTime = try #require(witness.readTimes.first)
            func versions(_ documents: [String: JSONValue]) -> Set<String> {
                Set(
                    documents.map { path, document in
                        let time = ExpectedRow.timestamp(document["updateTime"]?.stringValue ?? "").text
                        return "\(path) \(time) \(document["fields"]?["n"]?["integerValue"]?.text ?? "")"
                    })
            }
            let then = versions(try await database.documents(of: "memos", at: readTime))
            let rows = try await spool.records().map(SpooledRow.init)
            let spooled = rows.map { row in
                "\(row.path) \(row["_updated_at"]?.text ?? "") \"\(row["n"]?.text ?? "")\""
            }
            #expect(spooled.count == then.count)
            #expect(Set(spooled) == then)
            #expect(then != versions(try await database.documents(of: "memos")))
        }
    }

    @Test func `7 changed, 5 deleted and 5 new of 10,000 are 17 rows and few bytes on the wire`() async throws {
        try await withDatabase { database, spool in
            let text = String(repeating: "Left at the door. ", count: 110)
            try await database.write(
                (0..<10_000).map { .set("memos/m\($0)", ["text": .text(text), "n": .integer(Int64($0))]) })
            let witness = Witness(to: database)
            try await withLoopbackServer {
                witness.answer($0)
            } _: { proxy in
                let stream = Extraction(database, spool).behind(proxy)
                #expect(try await stream.complete().counters.rowsSpooled == 10_000)
                let full = witness.takeBytes()
                try await database.write(
                    (0..<7).map { .set("memos/m\($0 * 1111)", ["n": .integer(-1)]) }
                        + (0..<5).map { .delete("memos/m\(5000 + $0)") }
                        + (0..<5).map { .set("memos/new\($0)", ["n": .integer(-2)]) })
                let result = try await stream.complete()
                #expect(result.counters.rowsSpooled == 17)
                #expect(result.counters.deletes == 5)
                let changes = witness.takeBytes()
                #expect(full > 20_000_000)
                #expect(changes * 6 < full, "\(changes) of \(full) bytes")
                #expect(try await stream.complete().counters.rowsSpooled == 0)
            }
        }
    }

    @Test func `after a restore from backup every version is new, nothing is deleted and no key stays twice`()
        async throws
    {
        try await withDatabase { database, spool in
            let stream = Extraction(database, spool).withOptions {
                $0.keysPerQuery = 70
                $0.documentsPerFetch = 30
            }
            let writes: [FirestoreDatabase.Write] = (0..<200).map { .set("memos/m\($0)", ["n": .integer(Int64($0))]) }
            try await database.write(writes)
            #expect(try await stream.complete().counters.rowsSpooled == 200)
            // A restored database holds the same documents with other times, all of them.
            try await database.write((0..<200).map { .delete("memos/m\($0)") })
            try await database.write(writes)
            let result = try await stream.complete()
            #expect(result.counters.rowsSpooled == 200)
            #expect(result.counters.deletes == 0)
            #expect(Set(try await stream.rows().map(\.insertID)).count == 400)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            let known = try await spool.knownVersions(
                stream: try #require(try await spool.stream(named: "memos")).number, after: nil, through: nil)
            #expect(known.count == 200)
        }
    }
}
