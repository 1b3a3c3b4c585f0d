internal import GRDB

extension RowInserter {
    /// The statements behind what later runs look up, prepared once per page.
    struct Lookups {
        let findRecent: Statement
        let noteRecent: Statement
        let noteVersion: Statement
        let forgetVersion: Statement
        /// Nil without a temporary index: its table may not exist then.
        let findSeen: Statement?
        let noteSeen: Statement?

        init(_ database: Database, usesTemporaryIndex: Bool) throws {
            findRecent = try database.cachedStatement(
                sql: "SELECT 1 FROM recent_ids WHERE stream_no = ? AND watermark = ? AND insert_id = ?")
            noteRecent = try database.cachedStatement(
                sql: "INSERT OR IGNORE INTO recent_ids (stream_no, watermark, insert_id) VALUES (?, ?, ?)")
            noteVersion = try database.cachedStatement(
                sql: """
                    INSERT INTO known_versions (stream_no, key, version, changes, seen_run)
                    VALUES (?1, ?2, ?3, coalesce(?4, 0), ?5)
                    ON CONFLICT (stream_no, key) DO UPDATE
                    SET version = excluded.version, changes = coalesce(?4, changes), seen_run = ?5
                    """)
            forgetVersion = try database.cachedStatement(
                sql: "DELETE FROM known_versions WHERE stream_no = ? AND key = ?")
            findSeen =
                usesTemporaryIndex
                ? try database.cachedStatement(
                    sql: "SELECT 1 FROM temp.seen_ids WHERE stream_no = ? AND insert_id = ?") : nil
            noteSeen =
                usesTemporaryIndex
                ? try database.cachedStatement(
                    sql: "INSERT OR IGNORE INTO temp.seen_ids (stream_no, insert_id) VALUES (?, ?)") : nil
        }
    }
}
