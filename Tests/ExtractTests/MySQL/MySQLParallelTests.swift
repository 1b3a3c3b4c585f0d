import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

/// Several readers of one table.
@Suite(.mariaDB) struct MySQLParallelTests {
    private func withTable<Value>(
        _ statements: String, _ body: (MariaDBDatabase, SpoolStore) async throws -> Value
    ) async throws -> Value {
        let database = try await MariaDBServer.running().database(statements)
        return try await withTemporarySpool { try await body(database, $0) }
    }

    private static let many = """
        CREATE TABLE orders (id bigint PRIMARY KEY, note text);
        INSERT INTO orders SELECT seq, repeat('x', 1000) FROM seq_1_to_20000;
        """

    @Test func `four readers see one snapshot`() async throws {
        try await withTable(Self.many) { database, spool in
            let stream = SQLExtraction(database.source(), spool).withReaders(4).withOptions { $0.rowsPerPage = 500 }
            let sessions = Gathered<String>()
            let result = await stream.run { progress in
                guard progress.rowsRead == 500 else { return }
                sessions.add(
                    (try? database.run(
                        "SELECT count(*) FROM information_schema.processlist WHERE user = 'reader' AND db = '\(database.name)'"
                    ))
                        ?? "")
                _ = try? database.run("DELETE FROM orders WHERE id % 2 = 0; INSERT INTO orders VALUES (50000, 'new')")
            }
            if let error = result.error { throw error }
            #expect(sessions.items == ["4\n"])
            #expect(result.warning("one_reader") == nil)
            let rows = try await stream.rows()
            #expect(rows.count == 20_000)
            #expect(Set(rows.compactMap(\.id)).count == 20_000)
        }
    }

    /// Whole transactions: with snapshots of different moments the sum would differ.
    @Test func `writers beside can't come between the readers' snapshots`() async throws {
        try await withTable(
            """
            CREATE TABLE orders (id bigint PRIMARY KEY, v bigint NOT NULL);
            INSERT INTO orders SELECT seq, 0 FROM seq_1_to_400;
            """
        ) { database, _ in
            let writer = Task.detached {
                var statements = ""
                for n in 0..<200 {
                    // What one row loses, a row of another range gains.
                    let (from, to) = (n % 100 + 1, n % 100 + 301)
                    statements +=
                        "BEGIN; UPDATE orders SET v = v - 1 WHERE id = \(from); UPDATE orders SET v = v + 1 WHERE id = \(to); COMMIT;\n"
                }
                while !Task.isCancelled { try database.run(statements) }
            }
            for _ in 0..<10 {
                try await withTemporarySpool { spool in
                    let stream = SQLExtraction(database.source(), spool).withReaders(4)
                    let result = try await stream.complete()
                    guard result.warning("one_reader") == nil else { return }
                    let sum = try await stream.rows().reduce(Int64(0)) { $0 + ($1["v"]?.intValue ?? 0) }
                    #expect(sum == 0)
                }
            }
            writer.cancel()
            try await writer.value
        }
    }

    @Test func `without the lock one reader reads everything and says so`() async throws {
        try await withTable(Self.many) { database, spool in
            try database.run(
                "CREATE USER IF NOT EXISTS plain_reader@'127.0.0.1'; GRANT SELECT ON \(database.name).* TO plain_reader@'127.0.0.1'"
            )
            let denied = try await SQLExtraction(database.source(user: "plain_reader"), spool).withReaders(4).complete()
            #expect(denied.warning("one_reader") != nil)
            #expect(denied.counters.rowsSpooled == 20_000)
        }
        try await withTable(Self.many) { database, spool in
            let query = try await SQLExtraction(database.source(), spool) {
                $0.from = nil
                $0.query = "SELECT * FROM orders"
                $0.key = ["id"]
            }.withReaders(4).complete()
            #expect(query.warning("one_reader") != nil)
            #expect(query.counters.rowsSpooled == 20_000)
        }
    }

    @Test(arguments: [
        ("a varchar(20), b int", "concat(char(65 + seq % 26), seq % 3), seq", ["a", "b"]),
        ("a decimal(10,2), b varbinary(8)", "seq / 7, seq", ["a", "b"]),
        ("a datetime(6)", "now(6) + INTERVAL seq SECOND", ["a"]),
        ("a double", "seq * 0.1 - 3", ["a"]), ("a bigint unsigned", "18446744073709551615 - seq", ["a"]),
    ])
    func `every kind of key is cut into ranges`(columns: String, values: String, key: [String]) async throws {
        try await withTable(
            """
            CREATE TABLE orders (\(columns), v int, PRIMARY KEY (\(key.joined(separator: ", "))));
            INSERT INTO orders SELECT \(values), seq FROM seq_1_to_300
            """
        ) { database, spool in
            let stream = SQLExtraction(database.source(), spool, mode: .changes).withReaders(5)
            let result = try await stream.complete()
            #expect(result.counters.rowsRead == 300 && result.counters.rowsSpooled == 300)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
        }
    }

    @Test func `a key that repeats under its collation is found`() async throws {
        try await withTable(
            "CREATE TABLE orders (a varchar(9), b int); INSERT INTO orders SELECT concat('k', seq), seq FROM seq_1_to_300; INSERT INTO orders VALUES ('K7', 1)"
        ) { database, spool in
            let result = await SQLExtraction(database.source(), spool) { $0.key = ["a"] }.withReaders(3).run()
            #expect(result.kind == .configuration)
            #expect("\(result.error.map { "\($0)" } ?? "")".contains("is not unique"))
        }
    }
}
