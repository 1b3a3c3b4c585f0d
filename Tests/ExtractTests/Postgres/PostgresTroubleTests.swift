import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

/// What goes wrong on the server while a stream is read.
@Suite(.postgres) struct PostgresTroubleTests {
    private static let many = """
        CREATE TABLE orders (id bigint PRIMARY KEY, updated_at timestamptz, note text);
        INSERT INTO orders SELECT n, timestamptz '2025-01-01Z' + (n % 50) * interval '1 minute', \(SQLTrouble.note("n"))
        FROM generate_series(1, 30000) n;
        """

    private static let conflicts = "SELECT sum(confl_snapshot) FROM pg_stat_database_conflicts"

    private func message(_ result: ExtractResult) -> String { SQLTrouble.message(result) }

    @Test(arguments: ReadMode.allCases)
    func `a table dropped in the middle is named, and what was read stays`(mode: ReadMode) async throws {
        let database = try await PostgresServer.running().database(Self.many)
        let source = database.source(options: "?application_name=victim")
        try await SQLTrouble.verifyDroppedTable(source, mode: mode) {
            // A connection may come back before the table goes. Its vacuum gives way after a second.
            _ = try database.run(
                """
                SET lock_timeout = '3s';
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim';
                DROP TABLE orders
                """)
        } make: {
            _ = try database.run(Self.many)
        }
    }

    @Test func `a replica that gives way to its recovery is read on`() async throws {
        let server = try await PostgresServer.running()
        let database = try server.database(
            Self.many + "CREATE TABLE other AS SELECT n FROM generate_series(1, 1000) n;")
        let replica = try await server.replica().existing(database.name)
        try await withTemporarySpool { spool in
            let stream = SQLExtraction(replica.source(), spool).withOptions {
                $0.rowsPerPage = 3000
                $0.patience = .seconds(30)
            }
            let conflicts = Gathered<Int>()
            let result = await stream.run { progress in
                guard progress.rowsRead > 5000, conflicts.items.isEmpty else { return }
                let changes = "DELETE FROM other WHERE n IN (SELECT n FROM other LIMIT 100)"
                for statement in [changes, "VACUUM other"] { _ = try? database.run(statement) }
                // Of a transaction, with which all before it is flushed.
                let answer = try? database.run(
                    "SELECT pg_logical_emit_message(true, '', ''); SELECT pg_current_wal_lsn()")
                guard let end = answer?.split(separator: "\n").last else { return }
                // The replica has it and can't go on; a query that waits for its client gives way when the client reads on.
                let standing = """
                    SELECT CASE WHEN pg_last_wal_replay_lsn() >= '\(end)' THEN 'past'
                        WHEN pg_last_wal_receive_lsn() >= '\(end)' THEN 'stuck' END
                    """
                var timesStuck = 0
                for _ in 0..<100 {
                    let state = (try? replica.run(standing)) ?? ""
                    timesStuck = state.hasPrefix("stuck") ? timesStuck + 1 : 0
                    if timesStuck == 10 || (try? replica.run(Self.conflicts) != "0\n") ?? false {
                        return conflicts.add(progress.rowsRead)
                    }
                    // Nothing stood in its way; the next page tries again.
                    if state.hasPrefix("past") { return }
                    Thread.sleep(forTimeInterval: 0.1)
                }
            }
            if let error = result.error { throw error }
            let hadConflict = try await eventually {
                try replica.run(Self.conflicts) != "0\n"
            }
            #expect(hadConflict)
            #expect(result.warning("snapshot_lost") != nil)
            let rows = try await spool.records()
            #expect(rows.count == 30_000 && Set(rows.map(\.insertID)).count == 30_000)
        }
    }

    @Test func `statements and locks have their limits`() async throws {
        let database = try await PostgresServer.running().database(
            PostgresDatabase.orders + "CREATE VIEW slow AS SELECT 1 AS id, pg_sleep(600)::text AS s")
        try await withTemporarySpool { spool in
            let slow = database.source { $0.statementTimeout = .milliseconds(200) }
            let result = await SQLExtraction(slow, spool, from: "slow").withOptions { $0.patience = .zero }.run()
            #expect(result.kind == .unavailable && message(result).contains("statement timeout"))
            #expect(result.duration < .seconds(120))
        }
        // On a thread of its own: it blocks.
        let holder = Thread { _ = try? database.run("BEGIN; LOCK TABLE orders; SELECT pg_sleep(600); COMMIT") }
        holder.start()
        let locks = "FROM pg_locks WHERE relation = 'orders'::regclass AND"
        let held = "\(locks) mode = 'AccessExclusiveLock' AND granted"
        let isLocked = try await eventually { try database.run("SELECT count(*) \(held)").hasPrefix("1") }
        #expect(isLocked)
        try await withTemporarySpool { spool in
            let source = database.source { $0.lockTimeout = .milliseconds(100) }
            let stream = SQLExtraction(source, spool)
            let result = await stream.withOptions { $0.patience = .zero }.run()
            #expect(result.kind == .unavailable && message(result).contains("lock timeout"))
            // The lock goes before patience does.
            async let patient = stream.withOptions { $0.patience = .seconds(600) }.complete().counters.rowsSpooled
            let isWaiting = try await eventually {
                try database.run("SELECT count(*) \(locks) NOT granted").hasPrefix("1")
            }
            #expect(isWaiting)
            try database.run("SELECT pg_terminate_backend(pid) \(held)")
            #expect(try await patient == 25)
        }
    }

    @Test func `a column whose type changed between runs brings values of the new type`() async throws {
        let database = try await PostgresServer.running().database(
            "CREATE TABLE orders (id int PRIMARY KEY, v int); INSERT INTO orders VALUES (1, 1)")
        try await withTemporarySpool { spool in
            let stream = SQLExtraction(database.source(), spool, mode: .changes)
            try await stream.complete()
            try database.run("ALTER TABLE orders ALTER v TYPE text USING 'x' || v; INSERT INTO orders VALUES (2, 'y')")
            #expect(try await stream.complete().counters.rowsSpooled == 2)
            #expect(try await stream.rows().map { $0["v"]?.text } == ["1", "\"x1\"", "\"y\""])
        }
    }
}
