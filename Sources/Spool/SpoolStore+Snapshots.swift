internal import GRDB

/// A complete run of a full-mode stream.
package struct Snapshot: Sendable, Equatable {
    package var runID: String
    package var rows: Int
}

/// A complete run that can't be shown yet.
package struct HeldSnapshot: Sendable, Equatable {
    package var runID: String
    package var rows: Int
    /// Rejected rows that hold it up, until they are retried or discarded.
    package var rejected: Int
    /// True while rows are pending, being sent or in doubt.
    package var isUnderWay: Bool
}

extension SpoolStore {
    /// The newest complete run of a route whose every row is delivered, discarded or a `bad_line`; nil if there is none. O(requests).
    ///
    /// - Parameters:
    ///   - allowingEmpty: false steps over runs without a single row, but for one that was extracted with leave to be empty.
    ///   - shown: the run that is shown already: nothing older than it is.
    package func snapshotToShow(
        _ route: Route, allowingEmpty: Bool = true, shown: String? = nil
    ) async throws -> Snapshot? {
        try await read { database in
            let allowed = try String.fetchOne(
                database,
                sql: """
                    SELECT CASE WHEN json_valid(notes) THEN json_extract(notes, '$.empty_allowed') END
                    FROM stream_defs WHERE stream_no = ?
                    """, arguments: [route.streamNumber])
            for run in try Self.completeRuns(of: route, database)
            where allowingEmpty || run.rows > 0 || run.id == allowed || run.id == shown {
                let open = try Self.openRows(of: run, route: route.number, database)
                if open.rejected == 0, !open.isUnderWay { return Snapshot(runID: run.id, rows: run.rows) }
            }
            return nil
        }
    }

    /// The newest complete run of a route, if it can't be shown yet, with what holds it up. O(requests).
    package func snapshotHeldUp(_ route: Route) async throws -> HeldSnapshot? {
        try await read { database in
            guard let run = try Self.completeRuns(of: route, limit: 1, database).first else { return nil }
            let open = try Self.openRows(of: run, route: route.number, database)
            if open.rejected == 0, !open.isUnderWay { return nil }
            return HeldSnapshot(
                runID: run.id, rows: run.rows, rejected: open.rejected, isUnderWay: open.isUnderWay)
        }
    }

    /// True if the run is complete and each of its rows is delivered, discarded or a `bad_line`. O(requests).
    package func runIsFullyDelivered(_ runID: String) async throws -> Bool {
        try await read { database in
            guard
                let row = try Row.fetchOne(
                    database, sql: "SELECT * FROM run_log WHERE run_id = ? AND status = 'complete'",
                    arguments: [runID])
            else { return false }
            let open = try Self.openRows(of: CompleteRun(row), route: row.read("route"), database)
            return open.rejected == 0 && !open.isUnderWay
        }
    }

    private struct CompleteRun {
        var id: String
        var rows: Int
        var first: Int64?
        var last: Int64?

        init(_ row: Row) throws {
            id = try row.read("run_id")
            rows = try row.read("rows_spooled")
            first = try row.read("first_row")
            last = try row.read("last_row")
        }
    }

    private static func completeRuns(
        of route: Route, limit: Int = 1000, _ database: Database
    ) throws -> [CompleteRun] {
        try Row.fetchAll(
            database,
            sql: "SELECT * FROM run_log WHERE route = ? AND status = 'complete' ORDER BY run_no DESC LIMIT ?",
            arguments: [route.number, limit]
        ).map(CompleteRun.init)
    }

    /// What of a run is neither delivered (or removed after that) nor discarded nor a line that could not be parsed.
    private static func openRows(
        of run: CompleteRun, route: Int64, _ database: Database
    ) throws -> (rejected: Int, isUnderWay: Bool) {
        guard let first = run.first, let last = run.last else { return (0, false) }
        let rejected =
            try Int.fetchOne(
                database,
                sql: """
                    SELECT count(*) FROM row_fates
                    WHERE row_id BETWEEN ? AND ? AND state = 'rejected' AND reason IS NOT 'bad_line'
                    """, arguments: [first, last]) ?? 0
        let isUnderWay =
            try Bool.fetchOne(
                database,
                sql: """
                    SELECT EXISTS (
                        SELECT 1 FROM row_fates WHERE row_id BETWEEN ?1 AND ?2 AND state IN ('pending', 'sending', 'in_doubt')
                    ) OR EXISTS (
                        SELECT 1 FROM request_log WHERE route = ?3 AND \(openRequests) AND first_row IS NOT NULL
                            AND own_rows > 0 AND first_row <= ?2 AND last_row >= ?1
                    ) OR EXISTS (
                        SELECT 1 FROM row_data d
                        WHERE d.row_id BETWEEN max(?1, (SELECT claimed_to + 1 FROM routes WHERE route = ?3)) AND ?2
                            AND NOT EXISTS (SELECT 1 FROM row_fates f WHERE f.row_id = d.row_id)
                    )
                    """, arguments: [first, last, route]) ?? true
        return (rejected, isUnderWay)
    }
}
