import Extract
import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@Suite(.firestoreEmulator) struct FirestoreIncrementalTests {
    private func stream(_ database: FirestoreDatabase, _ spool: SpoolStore) -> Extraction {
        Extraction(database, spool, mode: .incremental, watermark: "at")
    }

    /// Minutes before now, as Firestore writes it.
    private func ago(_ minutes: Double) -> JSONValue {
        .time(Timestamp.now().advanced(by: .seconds(-minutes * 60)).description)
    }

    @Test func `a quiet run spools nothing, five changes become five rows`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<100).map { .set("memos/m\($0)", ["at": ago(Double(200 - $0))]) })
            #expect(try await stream(database, spool).complete().counters.rowsSpooled == 100)
            #expect(try await stream(database, spool).complete().counters.rowsSpooled == 0)
            try await database.write((0..<5).map { .set("memos/m\($0)", ["at": ago(0), "n": .integer(1)]) })
            #expect(try await stream(database, spool).complete().counters.rowsSpooled == 5)
        }
    }

    @Test(arguments: [1, 2, 3, 5])
    func `ties at the watermark and at the borders of pages and answers are all read`(_ size: Int) async throws {
        try await withDatabase { database, spool in
            let tie = ago(30)
            try await database.write((0..<17).map { .set("memos/m\(10 + $0)", ["at": tie]) })
            let stream = stream(database, spool).withOptions {
                $0.rowsPerPage = size
                $0.documentsPerQuery = 3
            }
            #expect(try await stream.complete().counters.rowsSpooled == 17)
            // In the order of names before and behind those already read.
            try await database.write([.set("memos/a", ["at": tie]), .set("memos/z", ["at": tie])])
            #expect(try await stream.complete().counters.rowsSpooled == 2)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            let paths = try await stream.rows().map(\.path)
            #expect(Set(paths).count == 19 && paths.count == 19)
        }
    }

    @Test func `without a lookback a tie with the watermark is still read, and nothing twice`() async throws {
        try await withDatabase { database, spool in
            let stream = stream(database, spool).with { $0.lookback = .duration(.zero) }
            let tie = ago(30)
            try await database.write([.set("memos/b", ["at": tie]), .set("memos/c", ["at": tie])])
            #expect(try await stream.complete().counters.rowsSpooled == 2)
            try await database.set("memos/a", ["at": tie])
            #expect(try await stream.complete().counters.rowsSpooled == 1)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
        }
    }

    @Test
    func `a late commit inside the lookback is found once, one behind it is not, and the watermark never moves back`()
        async throws
    {
        try await withDatabase { database, spool in
            let stream = stream(database, spool).with { $0.lookback = .duration(.seconds(600)) }
            try await database.write([.set("memos/a", ["at": ago(60)]), .set("memos/b", ["at": ago(30)])])
            let first = try await stream.complete()
            try await database.write([.set("memos/late", ["at": ago(35)]), .set("memos/too-late", ["at": ago(45)])])
            let second = try await stream.complete()
            #expect(second.counters.rowsSpooled == 1)
            #expect(second.watermark == first.watermark)
            #expect(try await stream.rows().last?.path == "memos/late")
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            #expect(try await spool.stream(named: "memos")?.watermark?.value == first.watermark)
        }
    }

    @Test func `dates to come wait for their time and are counted`() async throws {
        try await withDatabase { database, spool in
            try await database.write([
                .set("memos/past", ["at": ago(10)]), .set("memos/far", ["at": .time("9999-12-31T23:59:59Z")]),
                .set("memos/soon", ["at": ago(-60)]),
            ])
            let result = try await stream(database, spool).complete()
            #expect(result.counters.rowsSpooled == 1)
            #expect(result.warning("watermark_future")?.count == 2)
            try await database.set("memos/next", ["at": ago(1)])
            #expect(try await stream(database, spool).complete().counters.rowsSpooled == 1)
        }
    }

    @Test func `what the watermark can't see is counted once a day and repeated in between`() async throws {
        try await withDatabase { database, spool in
            try await database.write([
                .set("memos/a", ["at": ago(10)]), .set("memos/b", ["at": .text("2025-01-01")]),
                .set("memos/c", ["at": .none]), .set("memos/d", [:]), .set("memos/e", ["at": .integer(1)]),
                .set("memos/f", ["at": .map([:])]),
            ])
            let first = try await stream(database, spool).complete()
            #expect(first.warning("watermark_unseen")?.count == 5)
            #expect(first.warning("watermark_unseen")?.message.contains("mode: changes") == true)
            try await database.set("memos/g", [:])
            let repeated = try await stream(database, spool).complete()
            #expect(repeated.warning("watermark_unseen")?.count == 5)
            #expect(repeated.counters.sourceReads < first.counters.sourceReads)
            let tomorrow = stream(database, spool).withOptions {
                $0.clock = { Timestamp.now().advanced(by: .seconds(86_400 - 300)) }
            }
            #expect(try await tomorrow.complete().warning("watermark_unseen")?.count == 5)
        }
    }

    @Test(
        arguments: [
            ("timestamp before number", ["time": 1, "number": 2, "text": 3], [:], ["time0"]),
            ("number before string", ["number": 2, "text": 3], [:], ["number0", "number1"]),
            ("string at last", ["text": 3], [:], ["text0", "text1", "text2"]),
            ("pinned string", ["time": 1, "number": 2, "text": 3], ["at": "STRING"], ["text0", "text1", "text2"]),
            ("pinned number", ["time": 1, "number": 2], ["at": "FLOAT64"], ["number0", "number1"]),
        ] as [(String, [String: Int], [String: String], [String])])
    func `the type class is the pinned one, else timestamp, number, string`(
        _ name: String, _ documents: [String: Int], _ types: [String: String], _ expected: [String]
    ) async throws {
        try await withDatabase { database, spool in
            for (kind, count) in documents {
                for index in 0..<count {
                    let value: JSONValue =
                        switch kind {
                        case "time": ago(Double(10 - index))
                        case "number": index == 0 ? .integer(5) : .double("5.5")
                        default: .text("v\(index)")
                        }
                    try await database.set("memos/\(kind)\(index)", ["at": value])
                }
            }
            let stream = stream(database, spool).with { $0.types = types }
            try await stream.complete()
            #expect(try await stream.rows().map { $0["_id"]?.stringValue } == expected, "\(name)")
            #expect(try await stream.complete().counters.rowsSpooled == 0)
        }
    }

    @Test func `numbers go on after the largest, integers and doubles in one order`() async throws {
        try await withDatabase { database, spool in
            let stream = stream(database, spool).with { $0.lookback = .number(2) }
            try await database.write([
                .set("memos/a", ["at": .integer(-3)]), .set("memos/b", ["at": .double("1.5")]),
                .set("memos/c", ["at": .integer(9_007_199_254_740_993)]),
                .set("memos/nan", ["at": ["doubleValue": "NaN"]]),
            ])
            let first = try await stream.complete()
            #expect(try await stream.rows().map { $0["_id"]?.stringValue } == ["a", "b", "c"])
            #expect(first.watermark == "9007199254740993")
            #expect(first.warning("watermark_unseen")?.count == 1)
            try await database.write([
                .set("memos/d", ["at": .integer(9_007_199_254_740_992)]), .set("memos/e", ["at": .integer(7)]),
                .set("memos/f", ["at": .integer(9_007_199_254_740_995)]),
            ])
            #expect(try await stream.complete().counters.rowsSpooled == 2)
        }
    }

    @Test func `NaN and infinity are counted as unseen and never end a stream of numbers`() async throws {
        try await withDatabase { database, spool in
            let stream = stream(database, spool)
            try await database.write([
                .set("memos/a", ["at": ["doubleValue": "-Infinity"]]), .set("memos/b", ["at": .double("2.5")]),
                .set("memos/nan", ["at": ["doubleValue": "NaN"]]),
                .set("memos/inf", ["at": ["doubleValue": "Infinity"]]),
                .set("memos/text", ["at": .text("x")]),
            ])
            let first = try await stream.complete()
            #expect(try await stream.rows().map { $0["_id"]?.stringValue } == ["a", "b"])
            #expect(first.watermark == "2.5")
            #expect(first.warning("watermark_unseen")?.count == 3)
            try await database.set("memos/c", ["at": .double("1e300")])
            #expect(try await stream.complete().counters.rowsSpooled == 1)
            let everything = try await stream.withOptions { $0.readsEverything = true }.complete()
            #expect(everything.counters.rowsSpooled == 3)
            try await database.set("memos/d", ["at": .double("2e300")])
            #expect(try await stream.complete().counters.rowsSpooled == 1)
        }
        try await withDatabase { database, spool in
            try await database.set("memos/inf", ["at": ["doubleValue": "Infinity"]])
            let alone = try await stream(database, spool).complete()
            #expect(alone.warning("watermark_empty") != nil)
            #expect(alone.warning("watermark_unseen")?.count == 1)
        }
    }

    @Test(arguments: [
        (Lookback.number(5), JSONValue.time("2025-01-01T00:00:00Z")), (.duration(.seconds(5)), .integer(4)),
        (.number(5), .text("x")),
    ])
    func `a lookback that does not fit the watermark's type is a configuration error`(
        _ lookback: Lookback, _ value: JSONValue
    ) async throws {
        try await withDatabase { database, spool in
            try await database.set("memos/a", ["at": value])
            #expect(await stream(database, spool).with { $0.lookback = lookback }.run().kind == .configuration)
        }
    }

    @Test func `a text that is too long for a query names its document`() async throws {
        try await withDatabase { database, spool in
            try await database.write([
                .set("memos/a", ["at": .text("x")]),
                .set("memos/long", ["at": .text(String(repeating: "z", count: 1501))]),
            ])
            let result = await stream(database, spool).run()
            #expect(result.kind == .configuration)
            #expect("\(try #require(result.error))".contains("memos/long"))
            // One that is not the greatest stops a run that has to go on behind it.
            try await database.write([
                .set("memos/z", ["at": .text("zzzz" + String(repeating: "z", count: 90) + "~")]),
                .set("memos/zz", ["at": .text("~")]),
            ])
            let cut = try await stream(database, spool).withOptions { $0.limit = 2 }.complete()
            #expect(cut.status == .interrupted)
            let behind = await stream(database, spool).run()
            #expect("\(try #require(behind.error))".contains("memos/long"))
        }
    }

    @Test func `pinning another type later is another position`() async throws {
        try await withDatabase { database, spool in
            try await database.write([.set("memos/a", ["at": ago(10)]), .set("memos/b", ["at": .text("x")])])
            try await stream(database, spool).complete()
            let other = await stream(database, spool).with { $0.types = ["at": "STRING"] }.run()
            #expect(other.kind == .configuration)
            #expect("\(try #require(other.error))".contains("timestamp"))
        }
    }

    @Test func `a reset reads all again and spools no version twice; a raised generation sends all anew`() async throws
    {
        try await withDatabase { database, spool in
            try await database.write((0..<20).map { .set("memos/m\($0)", ["at": ago(Double(100 - $0))]) })
            let stream = stream(database, spool)
            try await stream.complete()
            let state = try #require(try await spool.stream(named: "memos"))
            try await spool.resetPosition(stream: state.number)
            let again = try await stream.complete()
            #expect(again.counters.rowsRead == 20)
            #expect(again.counters.rowsSpooled == 0)
            #expect(again.counters.rowsUnchanged == 20)
            let anew = try await stream.with { $0.generation = 1 }.complete()
            #expect(anew.counters.rowsSpooled == 20)
            let ids = Set(try await stream.rows().map(\.insertID))
            #expect(ids.count == 40)
            #expect(try await stream.with { $0.generation = 1 }.complete().counters.rowsSpooled == 0)
        }
    }

    @Test func `a reset run that is cut off and taken up spools no version twice`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<20).map { .set("memos/m\($0)", ["at": ago(Double(100 - $0))]) })
            let stream = stream(database, spool)
            try await stream.complete()
            try await spool.resetPosition(stream: try #require(try await spool.stream(named: "memos")).number)
            let limited = stream.withOptions {
                $0.limit = 7
                $0.rowsPerPage = 3
            }
            var statuses: [ExtractResult.Status] = []
            repeat {
                statuses.append(try await limited.complete().status)
            } while statuses.last == .interrupted && statuses.count < 9
            #expect(statuses.count == 3)
            #expect(try await stream.rows().count == 20)
        }
    }

    @Test func `full also reads what the watermark can't see, and later runs spool none of it again`() async throws {
        try await withDatabase { database, spool in
            try await database.write([
                .set("memos/a", ["at": ago(50)]), .set("memos/b", ["at": ago(1)]),
                .set("memos/text", ["at": .text("x")]),
                .set("memos/none", [:]),
            ])
            let stream = stream(database, spool)
            try await stream.complete()
            try await database.write([.set("memos/new", ["at": ago(0)]), .set("memos/late", ["at": ago(2)])])
            let everything = try await stream.withOptions { $0.readsEverything = true }.complete()
            #expect(everything.counters.rowsSpooled == 4)
            #expect(everything.counters.rowsUnchanged == 2)
            let next = try await stream.complete()
            #expect(next.counters.rowsSpooled == 0)
            #expect(next.counters.rowsUnchanged >= 2)
            let ids = try await stream.rows().map(\.insertID)
            #expect(ids.count == 6 && Set(ids).count == 6)
        }
    }

    @Test func `columns leave the watermark out of rows and still go by it`() async throws {
        try await withDatabase { database, spool in
            try await database.set(
                "memos/a", ["at": ago(10), "title": .text("t"), "x.y": .integer(1), "z": .integer(2)])
            let stream = stream(database, spool).with { $0.columns = ["title", "x.y"] }
            try await stream.complete()
            let row = try #require(try await stream.rows().first)
            #expect(row.json.objectValue?.map(\.name).filter { !$0.hasPrefix("_") } == ["title", "x_y"])
            #expect(try await stream.complete().counters.rowsSpooled == 0)
        }
    }

    @Test func `an empty collection and one without the field end well, with a warning`() async throws {
        try await withDatabase { database, spool in
            let empty = try await stream(database, spool).complete()
            #expect(empty.warning("no_documents") != nil)
            #expect(empty.status == .complete)
            try await database.set("memos/a", ["other": .integer(1)])
            let without = try await stream(database, spool).complete()
            #expect(without.warning("watermark_empty") != nil)
            #expect(without.warning("watermark_unseen")?.count == 1)
        }
    }
}
