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
            return try rows.map { row in
                try RowStanding(
                    row: RowID(row.read("row_id")), insertID: row.read("insert_id"),
                    extractedAt: Timestamp(microseconds: row.read("extracted_at")),
                    state: RowState(rawValue: row.read("state")) ?? .inDoubt)
            }
        }
    }
}
