import Spool
import TestSupport
import Testing

@testable import Extract

/// Several readers of one table.
@Suite(.postgres) struct PostgresParallelTests {
    private func withTable<Value>(
        _ statements: String, _ body: (PostgresDatabase, SpoolStore) async throws -> Value
    ) async throws -> Value {
        let database = try await PostgresServer.running().database(statements)
        return try await withTemporarySpool { try await body(database, $0) }
    }

    @Test func `four readers see one snapshot`() async throws {
        try await withTable(
            """
            CREATE TABLE orders (id bigint PRIMARY KEY, note text);
            INSERT INTO orders SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n
            """
        ) { database, spool in
            let stream = SQLExtraction(database.source(options: "?application_name=reader"), spool).withReaders(4)
                .withOptions { $0.rowsPerPage = 500 }
            let sessions = Gathered<String>()
            let result = await stream.run { progress in
                guard progress.rowsRead == 500 else { return }
                sessions.add(
                    (try? database.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reader'")) ?? ""
                )
                _ = try? database.run("DELETE FROM orders WHERE id % 2 = 0; INSERT INTO orders VALUES (50000, 'new')")
            }
            if let error = result.error { throw error }
            #expect(sessions.items == ["4\n"])
            let rows = try await stream.rows()
            #expect(rows.count == 20_000)
            #expect(Set(rows.compactMap(\.id)).count == 20_000)
        }
    }

    /// How a key orders is the server's: by a collation, by several columns, by bytes.
    @Test(arguments: [
        ("a text COLLATE \"en-x-icu\", b int", "chr(65 + n % 50) || (n % 3), n", ["a", "b"]),
        ("a numeric, b bytea", "n / 7.0, decode(lpad(to_hex(n), 4, '0'), 'hex')", ["a", "b"]),
        ("a uuid", "md5(n::text)::uuid", ["a"]), ("a timestamptz", "now() + n * interval '1 s'", ["a"]),
        ("a double precision", "n * 0.1 - 3", ["a"]),
        ("a \"char\", b date, c int", "'x', date '2025-01-01', n", ["a", "b", "c"]),
    ])
    func `every kind of key is cut into ranges`(columns: String, values: String, key: [String]) async throws {
        try await withTable(
            """
            CREATE TABLE orders (\(columns), v int, PRIMARY KEY (\(key.joined(separator: ", "))));
            INSERT INTO orders SELECT \(values), n FROM generate_series(1, 300) n
            """
        ) { database, spool in
            let stream = SQLExtraction(database.source(), spool, mode: .changes).withReaders(5)
            let result = try await stream.complete()
            #expect(result.counters.rowsRead == 300 && result.counters.rowsSpooled == 300)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
        }
    }

    @Test func `connections killed in the middle lose nothing`() async throws {
        let many = """
            CREATE TABLE orders (id bigint PRIMARY KEY, note text);
            INSERT INTO orders SELECT n, repeat('x', 300) FROM generate_series(1, 30000) n;
            """
        for mode in [ReadMode.full, .changes] {
            try await withTable(many) { database, spool in
                let stream = SQLExtraction(database.source(options: "?application_name=victim"), spool, mode: mode)
                    .withReaders(3).withOptions {
                        $0.rowsPerPage = 3000
                        $0.patience = .seconds(30)
                    }
                let kills = Gathered<Int>()
                let result = await stream.run { progress in
                    guard progress.rowsRead > 5000, kills.items.count < 3 else { return }
                    kills.add(progress.rowsRead)
                    // One of three: the others are ended by the run.
                    _ = try? database.run(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim' LIMIT 1"
                    )
                }
                if let error = result.error { throw error }
                #expect(kills.items.count == 3)
                let rows = try await spool.records()
                #expect(rows.count == 30_000, "\(mode)")
                #expect(Set(rows.map(\.insertID)).count == 30_000, "\(mode)")
            }
        }
    }

    @Test(arguments: ["UPDATE orders SET a = 1 WHERE a = 200", "UPDATE orders SET a = NULL WHERE a = 200"])
    func `a key with repeats or nulls is found before ranges pass them over`(harm: String) async throws {
        try await withTable(
            "CREATE TABLE orders (a int, b int); INSERT INTO orders SELECT n, n FROM generate_series(1, 300) n; \(harm)"
        ) { database, _ in
            for mode in [ReadMode.full, .changes] {
                let result = try await withTemporarySpool { spool in
                    await SQLExtraction(database.source(), spool, mode: mode) { $0.key = ["a"] }.withReaders(3).run()
                }
                #expect(result.kind == .configuration, "\(mode)")
                #expect("\(result.error.map { "\($0)" } ?? "")".contains("is not unique"), "\(mode)")
            }
        }
    }
}
