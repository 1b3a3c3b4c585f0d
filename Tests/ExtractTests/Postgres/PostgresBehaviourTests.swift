import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

@Suite(.postgres) struct PostgresBehaviourTests {
    private func withOrders<Value>(
        _ statements: String = PostgresDatabase.orders, _ body: (PostgresDatabase, SpoolStore) async throws -> Value
    ) async throws -> Value {
        let database = try await PostgresServer.running().database(statements)
        return try await withTemporarySpool { try await body(database, $0) }
    }

    // MARK: Names

    @Test func `names in any case and script, keywords and quotes work everywhere`() async throws {
        let names = """
            CREATE SCHEMA "Se""l.ect";
            CREATE TABLE "Se""l.ect"."from" ("Order" int, "a""b" text, "größe" int, "sp ace; --" timestamptz, PRIMARY KEY ("Order", "a""b"));
            INSERT INTO "Se""l.ect"."from" SELECT n, $$it's "\\ $$ || n, n, now() - n * interval '1 hour' FROM generate_series(1, 9) n;
            """
        try await withOrders(names) { database, spool in
            let stream = SQLExtraction(
                database.source(), spool, from: "\"Se\"\"l.ect\".from", mode: .incremental, watermark: "sp ace; --")
            let cut = await SourceContract.cut(stream.withOptions { $0.rowsPerPage = 2 }, afterCommits: 3)
            #expect(cut != nil)
            try await stream.complete()
            let rows = try await stream.rows()
            #expect(rows.count == 9)
            #expect(Set(rows.map(\.id)).contains(#"[3,"it's \"\\ 3"]"#))
            #expect(rows[0]["gr__e"] != nil)
        }
    }

    @Test func `columns whose names look alike are two columns, and a quote before an accent is a quote`() async throws
    {
        let (composed, decomposed, quote) = ("\u{E9}", "e\u{301}", "q\"\u{301}")
        let table = """
            CREATE TABLE "\u{212A}" (id int, "\(composed)" int, "\(decomposed)" int, "q""\u{301}" int, PRIMARY KEY (id, "\(decomposed)"));
            INSERT INTO "\u{212A}" SELECT n, 10 + n, 20 + n, 30 + n FROM generate_series(1, 3) n;
            """
        try await withOrders(table) { database, spool in
            let stream = SQLExtraction(database.source(), spool, from: "\u{212A}")
            try await stream.complete()
            #expect(
                try await stream.rows().map(\.fields)
                    == (1...3).map {
                        #"{"_":\#(10 + $0),"e_":\#(20 + $0),"id":\#($0),"q__":\#(30 + $0)}"#
                    })
            #expect(try await stream.rows().map(\.id) == ["[1,21]", "[2,22]", "[3,23]"])
            try await withTemporarySpool { spool in
                let chosen = SQLExtraction(
                    database.source(), spool, from: "\u{212A}", mode: .incremental, watermark: decomposed
                ) {
                    $0.columns = [composed]
                    $0.key = [quote]
                }
                let cut = await SourceContract.cut(chosen.withOptions { $0.rowsPerPage = 1 }, afterCommits: 2)
                #expect(cut != nil)
                try await chosen.complete()
                #expect(
                    try await chosen.rows().map(\.fields) == (1...3).map { #"{"_":\#(10 + $0),"e_":\#(20 + $0)}"# })
                #expect(try await chosen.rows().map(\.id) == ["31", "32", "33"])
            }
            let unknown = await SQLExtraction(database.source(), spool, from: "K").run()
            #expect(unknown.kind == .configuration)
        }
    }

    @Test(arguments: ["missing", "public.Orders", "nowhere.orders"])
    func `a table that does not exist is named`(from: String) async throws {
        try await withOrders { database, spool in
            let result = await SQLExtraction(database.source(), spool, from: from).run()
            #expect(result.kind == .configuration)
            #expect("\(result.error.map { "\($0)" } ?? "")".contains(from))
        }
    }

    @Test func `columns that do not exist are named`() async throws {
        try await withOrders { database, spool in
            let base = SQLExtraction(database.source(), spool, mode: .incremental, watermark: "nope")
            #expect("\(await base.run().error.map { "\($0)" } ?? "")".contains("nope"))
            let changes: [(inout ExtractRequest) -> Void] = [
                { $0.columns = ["id", "nope"] }, { $0.exclude = ["nope"] }, { $0.key = ["nope"] },
            ]
            for change in changes {
                let result = await SQLExtraction(database.source(), spool, change).run()
                #expect(result.kind == .configuration)
                #expect("\(result.error.map { "\($0)" } ?? "")".contains("nope"))
            }
        }
    }

    // MARK: Connections

    @Test func `a wrong password is refused and never printed`() async throws {
        try await withOrders { database, spool in
            let source = database.source(user: "pw_reader", password: "topsecret!")
            let result = await SQLExtraction(source, spool).run()
            #expect(result.kind == .denied)
            #expect(!"\(result.error.map { "\($0)" } ?? "")".contains("topsecret"))
        }
    }

    @Test func `a password may hold any character, and missing grants are named`() async throws {
        try await withOrders { database, spool in
            let stream = SQLExtraction(database.source(user: "pw_reader", password: "pass:w@rd/?#"), spool)
            let result = await stream.run()
            #expect(result.kind == .denied)
            #expect("\(result.error.map { "\($0)" } ?? "")".contains("permission denied"))
            try database.run("GRANT SELECT ON orders TO pw_reader")
            #expect(try await stream.complete().counters.rowsSpooled == 25)
        }
    }

    @Test func `a TLS mode that the server refuses is unavailable at once`() async throws {
        try await withOrders { database, spool in
            let source = database.source(options: "?sslmode=require")
            let result = await SQLExtraction(source, spool).withOptions { $0.patience = .seconds(600) }.run()
            #expect(result.kind == .unavailable)
            #expect(result.duration < .seconds(120))
        }
    }

    @Test func `a port where nobody listens is unavailable, a database that is missing is configuration`() async throws
    {
        try await withOrders { database, spool in
            let port = try LoopbackServer.unusedPort()
            let dead = PostgresSource(
                PostgresSource.Configuration(
                    url: "postgres://postgres@127.0.0.1:\(port)/x", location: "dead", secrets: []))
            let result = await SQLExtraction(dead, spool).withOptions { $0.patience = .milliseconds(50) }.run()
            #expect(result.kind == .unavailable)
            let missing = database.named("no_such_database")
            let refused = await SQLExtraction(missing.source(), spool).run()
            #expect(refused.kind == .configuration)
        }
    }

    @Test func `a connection killed in the middle is transient and nothing is lost`() async throws {
        let many = """
            CREATE TABLE orders (id bigint PRIMARY KEY, updated_at timestamptz, note text);
            INSERT INTO orders SELECT n, timestamptz '2025-01-01 00:00:00Z' + (n % 50) * interval '1 minute', repeat('x', 300)
            FROM generate_series(1, 30000) n;
            """
        for mode in ReadMode.allCases {
            try await withOrders(many) { database, spool in
                let stream = SQLExtraction(
                    database.source(options: "?application_name=victim"), spool, mode: mode,
                    watermark: mode == .incremental ? "updated_at" : nil
                ).withOptions {
                    $0.rowsPerPage = 3000
                    $0.patience = .seconds(30)
                }
                let kills = Gathered<Int>()
                let result = await stream.run { progress in
                    guard progress.rowsRead > 5000, kills.items.count < 3 else { return }
                    kills.add(progress.rowsRead)
                    _ = try? database.run(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'")
                }
                if let error = result.error { throw error }
                #expect(kills.items.count == 3)
                let rows = try await spool.records()
                #expect(rows.count == 30_000, "\(mode)")
                #expect(Set(rows.map(\.insertID)).count == 30_000, "\(mode)")
            }
        }
    }

    @Test func `a cancelled run ends its query on the server`() async throws {
        try await withOrders("CREATE VIEW slow AS SELECT 1 AS id, pg_sleep(600)::text AS s") { database, spool in
            let stream = SQLExtraction(database.source(options: "?application_name=sleeper"), spool, from: "slow")
            let running =
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sleeper' AND state = 'active'"
            let task = Task { await stream.run() }
            let started = try await eventually {
                try database.run(running).trimmingCharacters(in: .whitespacesAndNewlines) == "1"
            }
            #expect(started)
            task.cancel()
            let result = await task.value
            #expect(result.status == .interrupted)
            #expect(result.error is CancellationError)
            let ended = try await eventually {
                try database.run(running).trimmingCharacters(in: .whitespacesAndNewlines) == "0"
            }
            #expect(ended)
        }
    }

    // MARK: Watermarks

    @Test func `--full after a run that was cut off finishes that one and then reads everything`() async throws {
        try await withOrders { database, spool in
            try database.run("INSERT INTO orders VALUES (100, NULL, 'n'), (101, NULL, 'n')")
            let stream = SQLExtraction(database.source(), spool, mode: .incremental, watermark: "updated_at")
            let cut = try await stream.withOptions { $0.limit = 10 }.complete()
            #expect(cut.status == .interrupted)
            let full = try await stream.withOptions { $0.readsEverything = true }.complete()
            #expect(full.status == .complete && full.runID == cut.runID)
            let rows = try await stream.rows()
            #expect(rows.count == 27 && Set(rows.map(\.insertID)).count == 27)
            #expect(full.watermark == "2025-01-05T00:00:00Z")
        }
    }

    @Test func `nulls and future values are counted, future ones wait`() async throws {
        try await withOrders { database, spool in
            try database.run(
                """
                INSERT INTO orders VALUES (100, NULL, 'n'), (101, NULL, 'n'), (102, now() + interval '1 year', 'f'),
                    (103, 'infinity', 'i'), (104, '-infinity', 'm')
                """)
            let stream = SQLExtraction(database.source(), spool, mode: .incremental, watermark: "updated_at")
            let result = try await stream.complete()
            #expect(result.counters.rowsSpooled == 26)
            #expect(result.warning("watermark_unseen")?.count == 2)
            #expect(result.warning("watermark_future")?.count == 2)
            #expect(result.watermark == "2025-01-05T00:00:00Z")
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            let everything = try await stream.withOptions { $0.readsEverything = true }.complete()
            #expect(everything.counters.rowsSpooled == 4)
        }
    }

    @Test(arguments: [
        "bigint", "numeric", "double precision", "text", "uuid", "date", "timestamp", "timestamptz", "real",
        "varchar(40)",
    ])
    func `every kind of watermark reads ties once and resumes between them`(type: String) async throws {
        let value =
            switch type {
            case "text", "varchar(40)": "chr(65 + (n % 7) * 5) || 'é'"
            case "uuid": "('00000000-0000-0000-0000-00000000000' || n % 7)::uuid"
            case "date": "date '2025-01-01' + (n % 7)"
            case "timestamp", "timestamptz": "timestamp '2025-01-01' + (n % 7) * interval '1.000001 s'"
            default: "(n % 7) * 1.5 - 3"
            }
        try await withOrders(
            """
            CREATE TABLE orders (id int PRIMARY KEY, w \(type));
            INSERT INTO orders SELECT n, (\(value))::\(type) FROM generate_series(1, 50) n
            """
        ) { database, spool in
            let stream = SQLExtraction(database.source(), spool, mode: .incremental, watermark: "w").withOptions {
                $0.rowsPerPage = 3
            }
            for stop in [1, 2, 3, 4, 5, 6] { _ = await SourceContract.cut(stream, afterCommits: stop) }
            try await stream.complete()
            let rows = try await stream.rows()
            #expect(rows.count == 50)
            #expect(Set(rows.map(\.insertID)).count == 50)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
        }
    }

    @Test func `a row committed late within the lookback is found, once`() async throws {
        try await withOrders { database, spool in
            let stream = SQLExtraction(database.source(), spool, mode: .incremental, watermark: "updated_at")
            try await stream.complete()
            try database.run(
                "INSERT INTO orders VALUES (200, '2025-01-04 23:58:00Z', 'late'), (201, '2025-01-04 12:00:00Z', 'too late')"
            )
            #expect(try await stream.complete().counters.rowsSpooled == 1)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            let wide = stream.with { $0.lookback = .duration(.seconds(86_400)) }
            #expect(try await wide.complete().counters.rowsSpooled == 1)
        }
    }

    // MARK: Without a key

    @Test func `equal rows without a key all arrive, once, also over cuts`() async throws {
        let bag = """
            CREATE TABLE orders (w date, v text);
            INSERT INTO orders SELECT date '2025-01-01' + (n % 3), 'same' FROM generate_series(1, 30) n
            """
        for mode in [ReadMode.full, .incremental] {
            try await withOrders(bag) { database, spool in
                let stream = SQLExtraction(
                    database.source(), spool, mode: mode, watermark: mode == .incremental ? "w" : nil
                ).withOptions { $0.rowsPerPage = 4 }
                for stop in [2, 3, 4] {
                    let cut = await SourceContract.cut(stream, afterCommits: stop)
                    #expect(cut != nil, "\(mode) \(stop)")
                }
                try await stream.complete()
                let rows = try await stream.rows()
                #expect(rows.count == 30, "\(mode)")
                #expect(Set(rows.map(\.insertID)).count == 30, "\(mode)")
                #expect(rows.allSatisfy { $0["_id"] == .null })
                guard mode == .incremental else { return }
                try database.run("INSERT INTO orders VALUES ('2025-01-03', 'same')")
                #expect(try await stream.complete().counters.rowsSpooled == 1)
                #expect(try await stream.complete().counters.rowsSpooled == 0)
            }
        }
    }

    @Test func `changes without a key is refused, a repeated or empty key found`() async throws {
        try await withOrders(
            "CREATE TABLE orders (a int, b text); INSERT INTO orders VALUES (1, 'x'), (1, 'y'), (2, 'z')"
        ) {
            database, spool in
            #expect(await SQLExtraction(database.source(), spool, mode: .changes).run().kind == .configuration)
            for mode in [ReadMode.full, .changes] {
                try await withTemporarySpool { spool in
                    let result = await SQLExtraction(database.source(), spool, mode: mode) { $0.key = ["a"] }.run()
                    #expect(result.kind == .configuration)
                    #expect("\(result.error.map { "\($0)" } ?? "")".contains("key 1"))
                }
            }
            try database.run("UPDATE orders SET a = NULL WHERE b = 'y'")
            let result = await SQLExtraction(database.source(), spool, mode: .changes) { $0.key = ["a"] }.run()
            #expect(result.kind == .configuration)
        }
    }

    @Test func `the mass-delete guard stops before any delete`() async throws {
        try await withOrders { database, spool in
            let stream = SQLExtraction(database.source(), spool, mode: .changes)
            try await stream.complete()
            try database.run("DELETE FROM orders WHERE id > 10; INSERT INTO orders VALUES (99, now(), 'new')")
            let stopped = await stream.run()
            #expect(stopped.kind == .massDelete)
            #expect(stopped.counters.rowsSpooled == 1 && stopped.counters.deletes == 0)
            let allowed = try await stream.withOptions { $0.allowsMassDelete = true }.complete()
            #expect(allowed.counters.deletes == 15)
        }
    }

    @Test func `a query is read with its key and watermark`() async throws {
        try await withOrders { database, spool in
            let stream = SQLExtraction(database.source(), spool, mode: .incremental, watermark: "updated_at") {
                $0.from = nil
                $0.query = "SELECT id, updated_at, upper(note) AS n FROM orders WHERE id % 2 = 0 -- even\n;"
                $0.key = ["id"]
                $0.exclude = ["updated_at"]
            }
            let result = try await stream.complete()
            #expect(result.counters.rowsSpooled == 12)
            let row = try #require(try await stream.rows().first { $0.id == "4" })
            #expect(row["n"] == "NOTE 4")
            #expect(row["updated_at"] != nil)
            try await withTemporarySpool { spool in
                let repeated = await SQLExtraction(database.source(), spool) {
                    $0.from = nil
                    $0.query = "SELECT 1 AS a, 2 AS a"
                }.run()
                #expect(repeated.kind == .configuration)
            }
        }
    }

    @Test func `a full run is one snapshot`() async throws {
        try await withOrders { database, spool in
            let stream = SQLExtraction(database.source(), spool).withOptions { $0.rowsPerPage = 5 }
            let result = await stream.run { progress in
                if progress.rowsRead == 5 {
                    _ = try? database.run("DELETE FROM orders; INSERT INTO orders VALUES (500, now(), 'x')")
                }
            }
            #expect(result.status == .complete)
            let rows = try await stream.rows()
            #expect(rows.count == 25)
        }
    }
}

/// Budgets, back-pressure and what changes between runs.
@Suite(.postgres) struct PostgresRunTests {
    private func withOrders<Value>(
        _ body: (PostgresDatabase, SpoolStore) async throws -> Value
    ) async throws -> Value {
        let database = try await PostgresServer.running().database(PostgresDatabase.orders)
        return try await withTemporarySpool { try await body(database, $0) }
    }

    @Test(arguments: ReadMode.allCases)
    func `a limit interrupts, and the next run goes on under the same id`(mode: ReadMode) async throws {
        try await withOrders { database, spool in
            let stream = SQLExtraction(
                database.source(), spool, mode: mode, watermark: mode == .incremental ? "updated_at" : nil)
            var ids: Set<String?> = []
            for expected in [10, 20] {
                let part = try await stream.withOptions { $0.limit = 10 }.complete()
                #expect(part.status == .interrupted)
                ids.insert(part.runID)
                let count = try await stream.rows().count
                #expect(count == expected)
            }
            let rest = try await stream.complete()
            #expect(rest.status == .complete)
            ids.insert(rest.runID)
            let rows = try await stream.rows()
            #expect(Set(rows.compactMap(\.id)).count == 25 && rows.count == 25)
            #expect(ids.count == 1)
        }
    }

    @Test func `no transaction stays open on the server while the spool is full`() async throws {
        try await withOrders { database, spool in
            // Rows that wait for delivery: only they can make room one day.
            try await SQLExtraction(database.source(), spool).withOptions { $0.limit = 5 }.complete()
            let stream = SQLExtraction(database.source(options: "?application_name=waiting"), spool).withOptions {
                $0.rowsPerPage = 5
                $0.maximumSpoolBytes = 1
                $0.patience = .seconds(4)
            }
            let (result, counts) = try await stream.runWatching {
                try database.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waiting'")
            }
            #expect(counts.suffix(3) == ["0\n", "0\n", "0\n"], "\(counts)")
            #expect(result.kind == .noRoom && result.status == .interrupted)
            let rows = try await stream.withOptions { $0.maximumSpoolBytes = 0 }.complete().counters.rowsSpooled
            #expect(rows == 20)
        }
    }

    @Test func `a watermark whose type changed is refused, a column added is read`() async throws {
        try await withOrders { database, spool in
            let stream = SQLExtraction(database.source(), spool, mode: .incremental, watermark: "updated_at")
            try await stream.complete()
            try database.run("ALTER TABLE orders ADD COLUMN extra int; INSERT INTO orders VALUES (300, now(), 'n', 5)")
            try await stream.complete()
            let last = try await stream.rows().last
            #expect(last?["extra"] == 5)
            try database.run("ALTER TABLE orders ALTER COLUMN updated_at TYPE bigint USING 5")
            let refused = await stream.run()
            #expect(refused.kind == .configuration)
        }
    }

    @Test func `check tells what an extraction would meet`() async throws {
        try await withOrders { database, spool in
            let stream = SQLExtraction(database.source(), spool, from: "public.orders", mode: .changes)
            let told = try await database.source().check(stream.request)
            #expect(told.contains("3 columns, key id"))
            await #expect(throws: ExtractError.self) {
                try await database.source().check(stream.with { $0.from = "nope" }.request)
            }
        }
    }
}
