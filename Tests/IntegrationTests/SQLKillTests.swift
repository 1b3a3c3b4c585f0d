import Foundation
import JSONBytes
import TestSupport
import Testing

/// `kill -9` in the middle of an extract, again and again until it is done: the rows of an undisturbed run, byte for byte.
struct SQLKillTests {
    /// `SQL_KILL_ROWS` asks for more.
    static let rows = ProcessInfo.processInfo.environment["SQL_KILL_ROWS"].flatMap { Int($0) } ?? 50_000

    /// How many rows there are, and the sum of everything in them that does not say when and in which run they were read.
    private func payloads(_ pipeline: SQLPipeline, mode: String) throws -> String {
        // In mode full the run is part of the insertId as well.
        let rest =
            mode.hasPrefix("full")
            ? "substr(payload, instr(payload, '\"_insert_id\"') + 39)" : "substr(payload, instr(payload, '\"_op\"'))"
        let query = """
            SELECT substr(payload, 1, instr(payload, '"_extracted_at"') - 1) || \(rest) AS row FROM spooled_rows ORDER BY row
            """
        let count = try pipeline.spool("SELECT count(*) FROM spooled_rows")
        let path = pipeline.program.folder + "/spool.sqlite"
        return count + (try ChildProcess.run(["sh", "-c", "sqlite3 \"$1\" \"$2\" | sha256sum", "sh", path, query]))
    }

    private func isComplete(_ pipeline: SQLPipeline) -> Bool {
        // A kill may come before the file has its tables.
        (try? pipeline.spool("SELECT count(*) FROM runs WHERE status = 'complete'")) == "1\n"
    }

    func verify(
        source: String, from: String = "orders", mode: String, environment: [String: String] = [:]
    ) async throws {
        let stream = "from: \(from), mode: \(mode)"
        let clock = ContinuousClock()
        let start = clock.now
        let whole = try await SQLPipeline.with(source: source, stream: stream, environment: environment) { pipeline in
            let outcome = try await pipeline.program.run("extract")
            #expect(outcome.code == 0, "\(outcome.diagnostics)")
            return try payloads(pipeline, mode: mode)
        }
        let duration = clock.now - start
        #expect(whole.hasPrefix("\(Self.rows)\n"))
        var random = SystemRandomNumberGenerator()
        try await SQLPipeline.with(source: source, stream: stream, environment: environment) { pipeline in
            // The first kill is at a commit, so that there is one however fast the machine is; the others come at any moment.
            var first = pipeline.program
            first.environment["ETLCTL_CRASH_AT"] = "commit.after:2"
            #expect(try await first.run("extract").signal == SIGKILL)
            #expect(!isComplete(pipeline))
            var kills: [Duration] = []
            var outcome: EtlctlProcess.Outcome
            repeat {
                let delay = duration * Double.random(in: 0.05...0.6, using: &random)
                outcome = try await pipeline.program.run(["extract"], killAfter: kills.count < 8 ? delay : nil)
                if outcome.signal == SIGKILL { kills.append(delay) }
                // The kill may come when everything is done and only the exit is left.
            } while outcome.signal == SIGKILL && !isComplete(pipeline)
            #expect(isComplete(pipeline), "\(kills) \(outcome.diagnostics)")
            let found = try payloads(pipeline, mode: mode)
            #expect(found == whole, "\(kills)")
            let audit = try await pipeline.program.run("audit", "--json").json()
            #expect(audit["balanced"] == true, "\(kills)")
        }
    }

    @Test(
        .postgres,
        arguments: [
            "full", "full, parallel: 3", "incremental, watermark: updated_at", "changes", "changes, parallel: 2",
        ])
    func `an extract of PostgreSQL`(mode: String) async throws {
        let database = try await PostgresServer.running().database(
            """
            CREATE TABLE orders (id bigint PRIMARY KEY, updated_at timestamptz, note text);
            INSERT INTO orders SELECT n, timestamptz '2025-01-01Z' + (n % 500) * interval '1 s', md5(n::text) || repeat(' note', 20)
            FROM generate_series(1, \(Self.rows)) n;
            """)
        try await verify(source: "{type: postgres, url: \"\(database.url())\"}", mode: mode)
    }

    @Test(.mariaDB, arguments: ["full", "full, parallel: 3", "incremental, watermark: updated_at", "changes"])
    func `an extract of MariaDB`(mode: String) async throws {
        let database = try await MariaDBServer.running().database(
            """
            CREATE TABLE orders (id bigint PRIMARY KEY, updated_at timestamp(6) NULL, note text);
            INSERT INTO orders SELECT seq, '2025-01-01' + INTERVAL (seq % 500) SECOND, concat(md5(seq), repeat(' note', 20))
            FROM seq_1_to_\(Self.rows);
            """)
        try await verify(source: "{type: mysql, url: \"\(database.url())\"}", mode: mode)
    }
}
