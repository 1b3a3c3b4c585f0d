internal import GRDB

extension SpoolStore {
    /// Begins a run and makes the definition the stream's own: route, mode, identity and fingerprint. A run that was cut off is abandoned.
    ///
    /// With another `generation` than the last run's, the position is forgotten too: everything is read and sent anew. What was known stays
    /// known as an older version, so that what is gone is found.
    package func beginRun(
        _ definition: StreamDefinition, id: String, fingerprint: String, generation: Int, position: String?
    ) async throws -> Run {
        try await write { database in
            guard let number = try Self.streamNumber(definition.name, database) else {
                throw SpoolError.broken("stream \(definition.name) was not opened")
            }
            let earlier = try Int.fetchOne(
                database, sql: "SELECT generation FROM stream_defs WHERE stream_no = ?", arguments: [number])
            if let earlier, earlier != generation {
                try Self.resetPosition(stream: number, keepingKnown: true, database)
            } else {
                try Self.abandonRuns(stream: number, database)
            }
            let mode = try String.fetchOne(
                database, sql: "SELECT mode FROM stream_defs WHERE stream_no = ?", arguments: [number])
            // A snapshot's rows have other ids: what it read is new to the other modes.
            if mode != definition.mode { try Self.forgetObjects(stream: number, database) }
            let route = try Self.route(for: definition, streamNumber: number, database)
            try database.execute(
                sql: """
                    UPDATE stream_defs SET source = ?, mode = ?, route = ?, identity = ?, fingerprint = ?, generation = ?
                    WHERE stream_no = ?
                    """,
                arguments: [
                    definition.source, definition.mode, route, definition.identity, fingerprint, generation, number,
                ])
            try database.execute(
                sql: """
                    INSERT INTO run_log (run_id, stream_no, route, mode, status, generation, started_at, watermark_from,
                        position)
                    SELECT ?, ?, ?, ?, 'running', ?, ?, watermark_value, ? FROM stream_defs WHERE stream_no = ?
                    """,
                arguments: [
                    id, number, route, definition.mode, generation, Timestamp.now().microseconds, position, number,
                ])
            return try Self.fetchRun(database.lastInsertedRowID, database)
        }
    }

    /// Takes up a run that was cut off, under its id.
    ///
    /// - Throws: `SpoolError.broken` when the run is complete, failed or abandoned.
    package func resumeRun(_ run: Run) async throws -> Run {
        try await write { database in
            try database.execute(
                sql: """
                    UPDATE run_log SET status = 'running', error = NULL, finished_at = NULL
                    WHERE run_no = ? AND status IN ('running', 'interrupted')
                    """, arguments: [run.number])
            guard database.changesCount == 1 else { throw SpoolError.broken("run \(run.id) can't be continued") }
            return try Self.fetchRun(run.number, database)
        }
    }

    /// Ends a run: complete, interrupted (the next one continues it) or failed (the next one begins anew, from the watermark that the
    /// failed one reached). A run that was abandoned meanwhile, by a reset, stays abandoned.
    package func endRun(_ run: Run, status: Run.Status, warnings: String?, error: String?) async throws {
        try await write { database in
            try database.execute(
                sql: """
                    UPDATE run_log SET status = ?, finished_at = ?, warnings = ?, error = CAST(? AS TEXT),
                        watermark_to = (SELECT watermark_value FROM stream_defs s WHERE s.stream_no = run_log.stream_no)
                    WHERE run_no = ? AND status = 'running'
                    """,
                arguments: [status.rawValue, Timestamp.now().microseconds, warnings, error?.exact.asData, run.number])
            guard database.changesCount == 1, status != .interrupted, status != .running else { return }
            try database.execute(sql: "DELETE FROM scan_findings WHERE stream_no = ?", arguments: [run.streamNumber])
            try database.execute(sql: "DELETE FROM equal_rows WHERE stream_no = ?", arguments: [run.streamNumber])
            if run.mode == "full" { try Self.forgetObjectRows(stream: run.streamNumber, database) }
            guard status == .complete else { return }
            let readsObjects =
                try Bool.fetchOne(
                    database, sql: "SELECT EXISTS (SELECT 1 FROM objects WHERE stream_no = ?)",
                    arguments: [run.streamNumber]) ?? false
            if run.mode == "changes" || (run.mode == "incremental" && readsObjects) {
                try Self.endForgetting(stream: run.streamNumber, database)
            }
            // A run with a temporary index has now seen every row, so what it noted is all there is from there on.
            try database.execute(
                sql: """
                    UPDATE stream_defs SET recent_from = (SELECT min(watermark) FROM recent_ids r WHERE r.stream_no = ?1)
                    WHERE stream_no = ?1 AND recent_from IS NULL
                    """, arguments: [run.streamNumber])
        }
    }

    static func fetchRun(_ number: Int64, _ database: Database) throws -> Run {
        guard
            let row = try Row.fetchOne(
                database, sql: "SELECT \(exactRun), * FROM run_log WHERE run_no = ?", arguments: [number])
        else { throw SpoolError.broken("run \(number) vanished") }
        return try run(row)
    }
}
