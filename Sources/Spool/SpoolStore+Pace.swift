internal import GRDB

/// What the spool tells of a stream's rows and runs, to estimate what reading all of it would bring.
package struct StreamPace: Sendable, Equatable {
    /// The latest rows that were looked at, deletes left out; 0 when there are none.
    package var rows = 0
    /// Their payloads' bytes, on the average.
    package var bytesPerRow: Double?
    /// Of the fastest of the latest complete runs that spooled most of what they read; a run that was cut off counts its pause too.
    package var rowsPerSecond: Double?

    package init() {}
}

extension SpoolStore {
    /// Nothing is known of a stream that was never extracted. O(1): looks at 1,000 rows and the stream's latest runs.
    package func pace(ofStream name: String) async throws -> StreamPace {
        try await read { database in
            var pace = StreamPace()
            let found = try Row.fetchOne(
                database, sql: "SELECT stream_no, route FROM stream_defs WHERE name = ?", arguments: [name])
            guard let found else { return pace }
            let (number, route): (Int64, Int64) = try (found.read("stream_no"), Route.number(found.read("route")))
            let sample = try Row.fetchOne(
                database,
                sql: """
                    SELECT count(*) AS n, avg(length(CAST(payload AS BLOB))) AS bytes FROM (
                        SELECT payload, op FROM row_data WHERE row_id BETWEEN ? AND ? ORDER BY row_id DESC LIMIT 1000
                    ) WHERE op = ?
                    """,
                arguments: [
                    RowID(route: route, position: 1).rawValue, RowID(route: route + 1, position: 0).rawValue - 1,
                    RowOperation.upsert.rawValue,
                ])
            pace.rows = try sample?.read("n") ?? 0
            pace.bytesPerRow = try sample?.read("bytes")
            pace.rowsPerSecond = try Double.fetchOne(
                database,
                sql: """
                    SELECT max(rows_read * 1e6 / max(finished_at - started_at, 1)) FROM (
                        SELECT * FROM run_log WHERE stream_no = ? AND status = 'complete' AND rows_read > 0
                            AND (rows_spooled + rows_unchanged) * 2 > rows_read
                        ORDER BY run_no DESC LIMIT 20)
                    """, arguments: [number])
            return pace
        }
    }
}
