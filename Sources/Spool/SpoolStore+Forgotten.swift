internal import GRDB

/// What a reset leaves of known versions: nothing that says what a source holds, and all that says which ids its rows had.
///
/// A key keeps its last version and its count of changes, marked as forgotten. A run that meets it again compares: in the same version it
/// is offered to the spool under the id it had, in another it is one change further. Without that A, B, reset, A would give A the id it had
/// before B, which the spool and BigQuery take for a row they have.
extension SpoolStore {
    /// The condition for a version that a run may rely on; of a forgotten one `seen_run` is negative.
    static let isKnown = "version IS NOT NULL AND seen_run >= 0"

    private static func note(_ number: Int64) -> String { "forgotten.\(number)" }

    static func forgetVersions(stream number: Int64, _ database: Database) throws {
        try database.execute(
            sql: "UPDATE known_versions SET seen_run = -1 WHERE stream_no = ? AND version IS NOT NULL",
            arguments: [number])
        if database.changesCount == 0 { return }
        try database.execute(
            sql: "INSERT OR REPLACE INTO spool_meta (name, value) VALUES (?, '1')", arguments: [note(number)])
    }

    /// No run of the stream has come to its end since versions were forgotten.
    static func hasForgottenVersions(stream number: Int64, _ database: Database) throws -> Bool {
        try Bool.fetchOne(
            database, sql: "SELECT EXISTS (SELECT 1 FROM spool_meta WHERE name = ?)", arguments: [note(number)])
            ?? false
    }

    /// After a whole run that looks at versions: what it has not met is gone, and should it come back, that is a change.
    static func endForgetting(stream number: Int64, _ database: Database) throws {
        guard try hasForgottenVersions(stream: number, database) else { return }
        try database.execute(
            sql: """
                UPDATE known_versions SET version = NULL, seen_run = 0 WHERE stream_no = ? AND version IS NOT NULL AND seen_run < 0
                """, arguments: [number])
        try database.execute(sql: "DELETE FROM spool_meta WHERE name = ?", arguments: [note(number)])
    }
}
