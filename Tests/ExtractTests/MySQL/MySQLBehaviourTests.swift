import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

@Suite(.mariaDB) struct MySQLBehaviourTests {
    private func withOrders<Value>(
        _ statements: String = MariaDBDatabase.orders, _ body: (MariaDBDatabase, SpoolStore) async throws -> Value
    ) async throws -> Value {
        let database = try await MariaDBServer.running().database(statements)
        return try await withTemporarySpool { try await body(database, $0) }
    }

    private func message(_ result: ExtractResult) -> String { result.error.map { "\($0)" } ?? "" }

    @Test func `names in any case and script, keywords and quotes work everywhere`() async throws {
        let names = """
            CREATE TABLE `se``lect` (`Order` int, `a'b` varchar(30), `größe` int, `sp ace; -- ` datetime(6), PRIMARY KEY (`Order`, `a'b`));
            INSERT INTO `se``lect` SELECT seq, concat('it''s "\\\\ ', seq), seq, UTC_TIMESTAMP(6) - INTERVAL seq HOUR FROM seq_1_to_9;
            """.replacingOccurrences(of: "; -- ` ", with: "; --x` ")
        try await withOrders(names) { database, spool in
            let stream = SQLExtraction(
                database.source(), spool, from: "`se``lect`", mode: .incremental, watermark: "sp ace; --x")
            let cut = await SourceContract.cut(stream.withOptions { $0.rowsPerPage = 2 }, afterCommits: 3)
            #expect(cut != nil)
            try await stream.complete()
            let rows = try await stream.rows()
            #expect(rows.count == 9)
            #expect(Set(rows.map(\.id)).contains(#"[3,"it's \"\\ 3"]"#))
        }
    }

    @Test func `columns whose names look alike are two columns, and what looks like a quote is none`() async throws {
        // U+1FEF is canonically equivalent to the back quote.
        let (composed, decomposed, mark) = ("\u{E9}", "e\u{301}", "q\u{1FEF}")
        let table = """
            CREATE TABLE lookalikes (id int, `\(composed)` int, `\(decomposed)` int, `\(mark)` int, PRIMARY KEY (id, `\(decomposed)`));
            INSERT INTO lookalikes SELECT seq, 10 + seq, 20 + seq, 30 + seq FROM seq_1_to_3;
            """
        try await withOrders(table) { database, spool in
            let stream = SQLExtraction(
                database.source(), spool, from: "lookalikes", mode: .incremental, watermark: decomposed
            ) {
                $0.exclude = [composed]
                $0.key = [mark]
            }
            let cut = await SourceContract.cut(stream.withOptions { $0.rowsPerPage = 1 }, afterCommits: 2)
            #expect(cut != nil)
            try await stream.complete()
            #expect(
                try await stream.rows().map(\.fields)
                    == (1...3).map {
                        #"{"e_":\#(20 + $0),"id":\#($0),"q_":\#(30 + $0)}"#
                    })
            #expect(try await stream.rows().map(\.id) == ["31", "32", "33"])
        }
    }

    @Test func `a text watermark with NUL is gone on from, not from what stands before the NUL`() async throws {
        let table = """
            CREATE TABLE orders (id int PRIMARY KEY, w varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin);
            INSERT INTO orders VALUES (1, 'w'), (2, concat('w', char(0), 'a')), (3, concat('w', char(0), 'b'));
            """
        try await withOrders(table) { database, spool in
            let stream = SQLExtraction(database.source(), spool, from: "orders", mode: .incremental, watermark: "w")
            #expect(try await stream.complete().watermark == "w\0b")
            let second = try await stream.complete()
            #expect(second.watermark == "w\0b")
            #expect(second.counters.rowsRead == 1 && second.counters.rowsSpooled == 0)
            #expect(try await spool.streamsOnRecord().map(\.watermark?.value) == ["w\0b"])
        }
    }

    @Test func `what does not exist is named`() async throws {
        try await withOrders { database, spool in
            for from in ["missing", "nowhere.orders"] {
                let result = await SQLExtraction(database.source(), spool, from: from).run()
                #expect(result.kind == .configuration || result.kind == .denied)
                #expect(message(result).contains(from))
            }
            let column = await SQLExtraction(database.source(), spool) { $0.columns = ["nope"] }.run()
            #expect(column.kind == .configuration)
            #expect(message(column).contains("nope"))
            let missing = await SQLExtraction(database.named("no_such_database").source(), spool).run()
            #expect(missing.kind == .configuration)
        }
    }

    @Test func `passwords: a wrong one is refused and never printed, any character is taken`() async throws {
        try await withOrders { database, spool in
            let wrong = await SQLExtraction(database.source(user: "pw_reader", password: "topsecret!"), spool).run()
            #expect(wrong.kind == .denied)
            #expect(!message(wrong).contains("topsecret"))
            let stream = SQLExtraction(database.source(user: "pw_reader", password: "pass:w@rd/?#"), spool)
            let ungranted = await stream.run()
            #expect(ungranted.kind == .denied)
            try database.run("GRANT SELECT ON \(database.name).* TO pw_reader@'127.0.0.1'")
            let counters = try await stream.complete().counters
            #expect(counters.rowsSpooled == 25)
        }
    }

    @Test func `a TLS mode that the server refuses is unavailable at once`() async throws {
        try await withOrders { database, spool in
            let result = await SQLExtraction(database.source(options: "?ssl-mode=REQUIRED"), spool).withOptions {
                $0.patience = .seconds(600)
            }.run()
            #expect(result.kind == .unavailable)
            #expect(result.duration < .seconds(120))
        }
    }

    @Test func `a connection killed in the middle is transient and nothing is lost`() async throws {
        let many = """
            CREATE TABLE orders (id bigint PRIMARY KEY, updated_at timestamp(6) NULL, note text);
            INSERT INTO orders SELECT seq, '2025-01-01' + INTERVAL (seq % 50) MINUTE, repeat('x', 300) FROM seq_1_to_30000;
            """
        for mode in ReadMode.allCases {
            try await withOrders(many) { database, spool in
                let stream = SQLExtraction(
                    database.source(), spool, mode: mode, watermark: mode == .incremental ? "updated_at" : nil
                ).withOptions {
                    $0.rowsPerPage = 3000
                    $0.patience = .seconds(30)
                }
                let kills = Gathered<Int>()
                let result = await stream.run { progress in
                    guard progress.rowsRead > 5000, kills.items.count < 3 else { return }
                    kills.add(progress.rowsRead)
                    let own =
                        "SELECT concat('KILL ', id, ';') FROM information_schema.processlist WHERE user = 'reader' AND db = '\(database.name)'"
                    if let statements = try? database.run(own) { _ = try? database.run(statements) }
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
        try await withOrders("CREATE VIEW slow AS SELECT 1 AS id, sleep(600) AS s") { database, spool in
            let stream = SQLExtraction(database.source(), spool, from: "slow")
            let running =
                "SELECT count(*) FROM information_schema.processlist WHERE db = '\(database.name)' AND user = 'reader' AND command = 'Query'"
            let task = Task { await stream.run() }
            let started = try await eventually {
                try database.run(running).trimmingCharacters(in: .whitespacesAndNewlines) == "1"
            }
            #expect(started)
            task.cancel()
            let result = await task.value
            #expect(result.status == .interrupted)
            let ended = try await eventually {
                try database.run(running).trimmingCharacters(in: .whitespacesAndNewlines) == "0"
            }
            #expect(ended)
        }
    }

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
            try database.run("INSERT INTO orders VALUES (100, NULL, 'n'), (101, NULL, 'n'), (102, '2037-01-01', 'f')")
            let stream = SQLExtraction(database.source(), spool, mode: .incremental, watermark: "updated_at")
            let result = try await stream.complete()
            #expect(result.counters.rowsSpooled == 25)
            #expect(result.warning("watermark_unseen")?.count == 2)
            #expect(result.warning("watermark_future")?.count == 1)
            #expect(result.watermark == "2025-01-05T00:00:00Z")
            let everything = try await stream.withOptions { $0.readsEverything = true }.complete()
            #expect(everything.counters.rowsSpooled == 3)
        }
    }

    @Test(arguments: [
        "bigint", "bigint unsigned", "decimal(20,3)", "double", "float", "varchar(40)", "date", "datetime(6)",
        "timestamp(6)",
    ])
    func `every kind of watermark reads ties once and resumes between them`(type: String) async throws {
        let value =
            switch type {
            case "varchar(40)": "concat(char(65 + (seq % 7) * 5), 'é')"
            case "date": "date('2025-01-01') + INTERVAL (seq % 7) DAY"
            case "datetime(6)", "timestamp(6)": "timestamp('2025-01-01 00:00:00.000001') + INTERVAL (seq % 7) SECOND"
            default: "(seq % 7) * 1.5 + 0.1"
            }
        try await withOrders(
            """
            CREATE TABLE orders (id varchar(9) COLLATE utf8mb4_general_ci PRIMARY KEY, w \(type));
            INSERT INTO orders SELECT concat(char(65 + seq % 26), seq), \(value) FROM seq_1_to_50
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
            let second = try await stream.complete()
            #expect(second.counters.rowsSpooled == 0)
        }
    }

    @Test(arguments: ["varbinary(9)", "bit(20)", "float", "datetime(3)", "decimal(9,2)"])
    func `every kind of key is gone on behind`(type: String) async throws {
        let value = type.hasPrefix("datetime") ? "timestamp('2025-01-01') + INTERVAL seq SECOND" : "seq"
        try await withOrders(
            "CREATE TABLE orders (id \(type) PRIMARY KEY); INSERT INTO orders SELECT \(value) FROM seq_1_to_50"
        ) { database, spool in
            let stream = SQLExtraction(database.source(), spool, mode: .changes).withOptions { $0.rowsPerPage = 3 }
            for stop in [1, 2, 3, 4, 5] { _ = await SourceContract.cut(stream, afterCommits: stop) }
            try await stream.complete()
            let rows = try await stream.rows()
            #expect(Set(rows.compactMap(\.id)).count == 50)
            #expect(rows.count == 50)
        }
    }

    @Test func `equal rows without a key all arrive, once, also over cuts`() async throws {
        let bag = """
            CREATE TABLE orders (w date, v text);
            INSERT INTO orders SELECT date('2025-01-01') + INTERVAL (seq % 3) DAY, 'same' FROM seq_1_to_30
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
            }
        }
    }
}
