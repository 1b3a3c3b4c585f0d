import Spool
import TestSupport
import Testing

@testable import Extract

/// Numbers that no watermark can follow.
@Suite(.postgres) struct PostgresInfinityTests {
    private func withOrders(
        _ statements: String, _ body: (PostgresDatabase, SpoolStore) async throws -> Void
    ) async throws {
        let database = try await PostgresServer.running().database(statements)
        try await withTemporarySpool { try await body(database, $0) }
    }

    @Test(arguments: [
        ("double precision", ["NaN", "Infinity"]), ("real", ["NaN", "Infinity"]), ("numeric", ["NaN", "Infinity"]),
        ("numeric(20,5)", ["NaN"]),
    ])
    func `NaN and infinity are counted as unseen and never end a stream`(type: String, unseen: [String]) async throws {
        let isBounded = type.contains("(")
        let values = ["1", "2.5", "-3"] + (isBounded ? [] : ["-Infinity"])
        func inserts(_ first: Int, _ values: [String]) -> String {
            values.enumerated().map { "INSERT INTO orders VALUES (\(first + $0), '\($1)');" }.joined(separator: "\n")
        }
        try await withOrders("CREATE TABLE orders (id int PRIMARY KEY, w \(type));" + inserts(1, values + unseen)) {
            database, spool in
            try database.run("INSERT INTO orders VALUES (99, NULL)")
            let stream = SQLExtraction(database.source(), spool, mode: .incremental, watermark: "w")
            let first = try await stream.complete()
            #expect(first.counters.rowsSpooled == values.count)
            #expect(first.warning("watermark_unseen")?.count == unseen.count + 1)
            #expect(first.warning("watermark_unseen")?.message.contains("NaN") == true)
            #expect(first.watermark.flatMap(Double.init) == 2.5)
            try database.run(inserts(50, ["NaN", "1000000"]))
            let second = try await stream.complete()
            #expect(second.counters.rowsSpooled == 1)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            let everything = try await stream.withOptions { $0.readsEverything = true }.complete()
            #expect(everything.counters.rowsSpooled == unseen.count + 2)
            let ids = try await stream.rows().map(\.insertID)
            #expect(Set(ids).count == ids.count)
        }
    }

    @Test func `a stream of infinities alone has nothing to read and says so`() async throws {
        try await withOrders(
            """
            CREATE TABLE orders (id int PRIMARY KEY, w numeric);
            INSERT INTO orders VALUES (1, 'NaN'), (2, 'Infinity')
            """
        ) { database, spool in
            let stream = SQLExtraction(database.source(), spool, mode: .incremental, watermark: "w")
            let empty = try await stream.complete()
            #expect(empty.warning("watermark_empty") != nil)
            #expect(empty.warning("watermark_unseen")?.count == 2)
            try database.run("INSERT INTO orders VALUES (3, '-Infinity')")
            #expect(try await stream.complete().counters.rowsSpooled == 1)
            try database.run("INSERT INTO orders VALUES (4, '-7')")
            #expect(try await stream.complete().counters.rowsSpooled == 1)
            #expect(try await stream.complete().watermark == "-7")
        }
    }
}
