import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

/// Reads that go on behind a key, or are cut into ranges of it, take every row once: whatever the server sorts the key by.
@Suite(.mariaDB) struct MySQLKeyOrderTests {
    private static let letters = plain + ["Ä"]
    /// For collations that take no notice of accents.
    private static let plain = ["a", "B", "z", "é", "ö", "_", "1", "ab", "zz", "Zä"]

    /// Types of a key, and values of which no two are equal in it.
    private static let keys: [(type: String, values: [String])] = [
        ("varchar(20) CHARACTER SET latin1", letters), ("varchar(20) CHARACTER SET latin1 COLLATE latin1_bin", letters),
        ("varchar(20) CHARACTER SET latin1 COLLATE latin1_german2_ci", letters),
        ("varchar(20) CHARACTER SET ucs2", plain), ("varchar(20) COLLATE utf8mb4_unicode_ci", plain),
        ("varchar(20) COLLATE utf8mb4_unicode_520_ci", plain), ("varchar(20) COLLATE utf8mb4_swedish_ci", letters),
        ("varchar(20) COLLATE utf8mb4_bin", letters), ("varchar(20) COLLATE utf8mb4_nopad_bin", letters + ["a ", " "]),
        ("char(20) CHARACTER SET cp1251", ["ж", "Я", "а", "z", "A"]),
        ("enum('z','a','M','b','1','c')", ["z", "a", "M", "b", "1", "c"]),
        ("set('z','a','M','b')", ["z", "a", "M", "b", "z,a", "", "a,M", "z,a,M,b"]),
        (
            "uuid",
            [
                "11111111-0000-1000-8000-000000000002", "00000000-0000-2000-8000-000000000001",
                "ffffffff-0000-1000-8000-000000000000", "22222222-0000-1000-8000-000000000001",
            ]
        ),
    ]

    private func withKeys<Value>(
        of type: String, _ values: [String], composite: Bool = false,
        _ body: (MariaDBDatabase, SpoolStore) async throws -> Value
    ) async throws -> Value {
        let rows = values.enumerated().map { "('\($1)', 1, \($0), \($0 % 2))" }.joined(separator: ", ")
        let database = try await MariaDBServer.running().database(
            """
            CREATE TABLE orders (k \(type), n int, v int, w int, PRIMARY KEY (k\(composite ? ", n" : "")));
            INSERT INTO orders VALUES \(rows);
            """)
        return try await withTemporarySpool { try await body(database, $0) }
    }

    /// Runs of so many rows each until one is complete.
    private func readInPieces(_ stream: SQLExtraction, rows: Int) async throws -> ExtractResult {
        while true {
            let result = try await stream.withOptions { $0.limit = rows }.complete()
            if result.status == .complete { return result }
        }
    }

    @Test(arguments: keys.indices, [false, true])
    func `a run that is cut off goes on behind any key`(_ index: Int, composite: Bool) async throws {
        let (type, values) = Self.keys[index]
        for mode in ReadMode.allCases {
            for rows in [1, 3] {
                try await withKeys(of: type, values, composite: composite) { database, spool in
                    let stream = SQLExtraction(
                        database.source(), spool, mode: mode, watermark: mode == .incremental ? "w" : nil)
                    _ = try await readInPieces(stream, rows: rows)
                    let read = try await stream.rows().compactMap { $0["v"]?.intValue }.sorted()
                    #expect(read == Array(0..<Int64(values.count)), "\(type) \(mode) \(rows)")
                }
            }
        }
    }

    @Test(arguments: keys.indices)
    func `what is there is never taken for gone`(_ index: Int) async throws {
        let (type, values) = Self.keys[index]
        try await withKeys(of: type, values) { database, spool in
            let stream = SQLExtraction(database.source(), spool, mode: .changes)
            try await stream.complete()
            let again = try await readInPieces(stream, rows: 1)
            #expect(again.counters.deletes == 0 && again.counters.rowsSpooled == 0)
        }
    }

    @Test(arguments: keys.indices)
    func `ranges of any key hold every row`(_ index: Int) async throws {
        let (type, values) = Self.keys[index]
        try await withKeys(of: type, values) { database, spool in
            let stream = SQLExtraction(database.source(), spool, mode: .changes).withReaders(2)
            let result = try await stream.complete()
            #expect(result.counters.rowsRead == values.count && result.counters.rowsSpooled == values.count)
        }
    }

    @Test(arguments: [
        "SELECT * FROM orders", "SELECT concat(k, '') AS k, v, w FROM orders", "SELECT k, v, w FROM merged",
    ])
    func `a key of a query or a view is gone on behind`(query: String) async throws {
        for (type, values) in Self.keys where !type.hasPrefix("uuid") {
            try await withKeys(of: type, values) { database, spool in
                try database.run("CREATE ALGORITHM = TEMPTABLE VIEW merged AS SELECT k, v, w FROM orders")
                let stream = SQLExtraction(database.source(), spool, mode: .changes) {
                    $0.from = nil
                    $0.query = query
                    $0.key = ["k"]
                }
                _ = try await readInPieces(stream, rows: 1)
                #expect(try await stream.rows().count == values.count, "\(type)")
            }
        }
    }

    @Test func `texts that differ only far behind their beginning are all read`() async throws {
        let ends = ["h", "b", "g", "a", "c", "f", "d", "e"]
        for (mode, type, key) in [
            (ReadMode.incremental, "text", ["id"]), (.full, "text", ["w"]), (.changes, "text", ["w"]),
            (.changes, "varchar(2500) CHARACTER SET latin1 COLLATE latin1_bin", ["w"]), (.full, "blob", ["w"]),
        ] {
            for length in [1100, 20_000] where length < 2000 || !type.hasPrefix("varchar") {
                let rows = ends.enumerated().map { "(\($0), concat(repeat('z', \(length)), '\($1)'))" }
                let database = try await MariaDBServer.running().database(
                    "CREATE TABLE orders (id int PRIMARY KEY, w \(type)); INSERT INTO orders VALUES \(rows.joined(separator: ", ")), (8, 'a')"
                )
                try await withTemporarySpool { spool in
                    let stream = SQLExtraction(
                        database.source(), spool, mode: mode, watermark: mode == .incremental ? "w" : nil
                    ) { $0.key = key }
                    _ = try await readInPieces(stream, rows: 1)
                    let read = try await stream.rows().compactMap { $0["id"]?.intValue }.sorted()
                    #expect(read == Array(0..<9), "\(mode) \(type) \(length)")
                }
            }
        }
    }

    /// What a server, an account or an option file sets for every session; the option file alone does not disturb other tests.
    @Test(arguments: [
        "sql_select_limit = 20", "sql_auto_is_null = 1", "max_join_size = 5, sql_big_selects = 0", "autocommit = 0",
        "completion_type = 2", "max_sort_length = 64", "timestamp = 86400", "NAMES latin1",
        "character_set_results = NULL",
        "sql_mode = 'ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES'",
        "system_versioning_asof = '2020-01-01 00:00:00'", "time_zone = '+09:00'",
    ])
    func `what a session was told before does not shorten or bend what is read`(setting: String) async throws {
        let database = try await MariaDBServer.running().database(
            """
            CREATE TABLE orders (id int PRIMARY KEY AUTO_INCREMENT, w timestamp(6) NOT NULL, t varchar(200), c char(9)) WITH SYSTEM VERSIONING;
            INSERT INTO orders SELECT seq, '2025-01-01' + INTERVAL seq MINUTE, concat(repeat('ä', 90), seq), 'é' FROM seq_1_to_30;
            """)
        try await withTemporaryFolder { folder in
            let file = folder + "/my.cnf"
            try "[client]\ninit-command=SET \(setting)\n".write(toFile: file, atomically: true, encoding: .utf8)
            for (mode, key) in [(ReadMode.full, "id"), (.changes, "t"), (.incremental, "id"), (.changes, "id")] {
                func rows(of source: any Source) async throws -> [String] {
                    try await withTemporarySpool { spool in
                        let stream = SQLExtraction(
                            source, spool, mode: mode, watermark: mode == .incremental ? "w" : nil
                        ) { $0.key = [key] }.withOptions { $0.rowsPerPage = 7 }
                        let result = try await readInPieces(stream, rows: 4)
                        #expect(result.warning("watermark_future") == nil)
                        let again = try await stream.complete()
                        #expect(again.counters.deletes == 0)
                        return try await stream.rows().prefix(30).map { row in
                            ["id", "w", "t", "c"].map { row[$0]?.text ?? "" }.joined(separator: " ")
                        }
                    }
                }
                let plain = try await rows(of: database.source())
                let told = try await rows(of: database.source { $0.optionFile = file })
                #expect(plain.count == 30 && Set(plain).count == 30)
                #expect(told == plain, "\(mode) \(key)")
            }
        }
    }
}
