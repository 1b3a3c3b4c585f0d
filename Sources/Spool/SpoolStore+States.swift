internal import GRDB

/// A row's place, name and fate, without its payload.
package struct RowStanding: Sendable, Equatable {
    package var row: RowID
    package var insertID: String
    package var extractedAt: Timestamp
    package var state: RowState
}

extension SpoolStore {
    /// The next rows of a route that are still in the spool, in spool order. O(limit).
    package func standings(of route: Route, after: RowID?, limit: Int) async throws -> [RowStanding] {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT v.row_id, v.insert_id, v.state, d.extracted_at
                    FROM spooled_rows v JOIN row_data d ON d.row_id = v.row_id
                    WHERE v.row_id > ? AND v.row_id < ? ORDER BY v.row_id LIMIT ?
                    """,
                arguments: [
                    max(after?.rawValue ?? 0, RowID(route: route.number, position: 0).rawValue),
                    RowID(route: route.number + 1, position: 0).rawValue, limit,
                ])
            return rows.map { row in
                RowStanding(
                    row: RowID(row["row_id"]), insertID: row["insert_id"],
                    extractedAt: Timestamp(microseconds: row["extracted_at"]),
                    state: RowState(rawValue: row["state"]) ?? .inDoubt)
            }
        }
    }
}
