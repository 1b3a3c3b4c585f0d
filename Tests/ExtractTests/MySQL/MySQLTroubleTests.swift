import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

/// What goes wrong on the server while a stream is read.
@Suite(.mariaDB) struct MySQLTroubleTests {
    private static let many = """
        CREATE TABLE orders (id bigint PRIMARY KEY, updated_at timestamp(6) NULL, note text);
        INSERT INTO orders SELECT seq, '2025-01-01' + INTERVAL (seq % 50) MINUTE, \(SQLTrouble.note("seq"))
        FROM seq_1_to_30000;
        """

    private func message(_ result: ExtractResult) -> String { SQLTrouble.message(result) }

    @Test(arguments: ReadMode.allCases)
    func `a table dropped in the middle is named, and what was read stays`(mode: ReadMode) async throws {
        let database = try await MariaDBServer.running().database(Self.many)
        try await SQLTrouble.verifyDroppedTable(database.source(), mode: mode) {
            // A connection may be gone before it is killed, or come back before the table goes.
            let own =
                "SELECT concat('KILL ', id, ';') FROM information_schema.processlist WHERE user = 'reader' AND db = '\(database.name)'"
            for statement in try database.run(own).split(separator: "\n") { _ = try? database.run(String(statement)) }
            _ = try database.run("SET lock_wait_timeout = 1; DROP TABLE orders")
        } make: {
            _ = try database.run(Self.many)
        }
    }

    @Test func `statements and locks have their limits`() async throws {
        let database = try await MariaDBServer.running().database(
            MariaDBDatabase.orders + "CREATE VIEW slow AS SELECT 1 AS id, sleep(600) AS s")
        try await withTemporarySpool { spool in
            let slow = database.source { $0.statementTimeout = .milliseconds(200) }
            let result = await SQLExtraction(slow, spool, from: "slow").withOptions { $0.patience = .zero }.run()
            #expect(result.kind == .unavailable && message(result).contains("max_statement_time"))
            #expect(result.duration < .seconds(120))
        }
        // On a thread of its own: it blocks.
        let holder = Thread { _ = try? database.run("LOCK TABLES orders WRITE; SELECT sleep(600)") }
        holder.start()
        let held =
            "FROM information_schema.processlist WHERE db = '\(database.name)' AND info LIKE '%sleep(600)%' AND state = 'User sleep'"
        let isLocked = try await eventually { try database.run("SELECT count(*) \(held)").hasPrefix("1") }
        #expect(isLocked)
        try await withTemporarySpool { spool in
            let source = database.source { $0.lockTimeout = .seconds(1) }
            let stream = SQLExtraction(source, spool)
            let result = await stream.withOptions { $0.patience = .zero }.run()
            #expect(result.kind == .unavailable && message(result).contains("Lock wait timeout"))
            // The lock goes before patience does.
            async let patient = stream.withOptions { $0.patience = .seconds(600) }.complete().counters.rowsSpooled
            let waiting =
                "SELECT count(*) FROM information_schema.processlist WHERE db = '\(database.name)' AND state LIKE 'Waiting for table%'"
            let isWaiting = try await eventually { try database.run(waiting).hasPrefix("1") }
            #expect(isWaiting)
            try database.run(try database.run("SELECT concat('KILL ', id) \(held)"))
            #expect(try await patient == 25)
        }
    }

    @Test func `a column whose type changed between runs brings values of the new type`() async throws {
        let database = try await MariaDBServer.running().database(
            "CREATE TABLE orders (id int PRIMARY KEY, v int); INSERT INTO orders VALUES (1, 1)")
        try await withTemporarySpool { spool in
            let stream = SQLExtraction(database.source(), spool, mode: .changes)
            try await stream.complete()
            try database.run("ALTER TABLE orders MODIFY v text; INSERT INTO orders VALUES (2, 'y')")
            #expect(try await stream.complete().counters.rowsSpooled == 2)
            #expect(try await stream.rows().map { $0["v"]?.text } == ["1", "\"1\"", "\"y\""])
        }
    }

    @Test func `a watermark whose type changed is refused`() async throws {
        let database = try await MariaDBServer.running().database(MariaDBDatabase.orders)
        try await withTemporarySpool { spool in
            let stream = SQLExtraction(database.source(), spool, mode: .incremental, watermark: "updated_at")
            try await stream.complete()
            try database.run(
                "ALTER TABLE orders DROP COLUMN updated_at, ADD COLUMN updated_at bigint NOT NULL DEFAULT 5")
            #expect(await stream.run().kind == .configuration)
        }
    }

    @Test func `a key that repeats or is empty is found, also where the configuration names it`() async throws {
        let database = try await MariaDBServer.running().database(
            "CREATE TABLE orders (a int, b text); INSERT INTO orders VALUES (1, 'x'), (1, 'y'), (2, 'z')")
        for mode in [ReadMode.full, .changes] {
            let result = try await withTemporarySpool { spool in
                await SQLExtraction(database.source(), spool, mode: mode) { $0.key = ["a"] }.run()
            }
            #expect(result.kind == .configuration && message(result).contains("key 1"), "\(mode)")
        }
        try database.run("UPDATE orders SET a = NULL WHERE b = 'y'")
        let result = try await withTemporarySpool { spool in
            await SQLExtraction(database.source(), spool, mode: .changes) { $0.key = ["a"] }.run()
        }
        #expect(result.kind == .configuration)
    }

    @Test func `no transaction stays open on the server while the spool is full`() async throws {
        let database = try await MariaDBServer.running().database(MariaDBDatabase.orders)
        try await withTemporarySpool { spool in
            try await SQLExtraction(database.source(), spool).withOptions { $0.limit = 5 }.complete()
            let stream = SQLExtraction(database.source(), spool).withOptions {
                $0.rowsPerPage = 5
                $0.maximumSpoolBytes = 1
                $0.patience = .seconds(4)
            }
            let query =
                "SELECT count(*) FROM information_schema.processlist WHERE user = 'reader' AND db = '\(database.name)'"
            let (result, counts) = try await stream.runWatching { try database.run(query) }
            #expect(counts.suffix(3) == ["0\n", "0\n", "0\n"], "\(counts)")
            #expect(result.kind == .noRoom && result.status == .interrupted)
            let rows = try await stream.withOptions { $0.maximumSpoolBytes = 0 }.complete().counters.rowsSpooled
            #expect(rows == 20)
        }
    }
}
