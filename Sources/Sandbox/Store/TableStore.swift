internal import Foundation
internal import GRDB
internal import GRDBSQLite
internal import JSONBytes

/// Keeps the tables' rows and the catalogue in SQLite, in memory or in a file. Calls block; one runs at a time.
final class TableStore: Sendable {
    let queue: DatabaseQueue

    /// - Parameter folder: where `sandbox.sqlite` is kept; nil for memory. The folder is made if it is missing.
    /// - Throws: `SandboxError.cannotStore`.
    init(folder: String?) throws(SandboxError) {
        do {
            var configuration = Configuration()
            configuration.prepareDatabase { database in
                // A killed process loses nothing; a power cut may, which is enough for a sandbox.
                try database.execute(
                    sql: "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY")
                SQLFunctions.register(on: database)
            }
            if let folder {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                queue = try DatabaseQueue(path: folder + "/sandbox.sqlite", configuration: configuration)
            } else {
                queue = try DatabaseQueue(configuration: configuration)
            }
            try queue.write { database in
                try database.execute(
                    sql:
                        "CREATE TABLE IF NOT EXISTS \"$catalog\" (kind TEXT, name TEXT, value TEXT, PRIMARY KEY (kind, name))"
                )
            }
        } catch {
            throw .cannotStore(path: folder ?? "memory", cause: "\(error)")
        }
    }

    // MARK: Catalogue

    func saveEntry(kind: String, name: String, value: JSONValue) throws {
        try queue.write { database in
            try database.execute(
                sql: "INSERT OR REPLACE INTO \"$catalog\" VALUES (?, ?, ?)", arguments: [kind, name, value.text])
        }
    }

    func removeEntry(kind: String, name: String) throws {
        try queue.write { database in
            try database.execute(sql: "DELETE FROM \"$catalog\" WHERE kind = ? AND name = ?", arguments: [kind, name])
        }
    }

    func entries(kind: String) throws -> [JSONValue] {
        try queue.read { database in
            try String.fetchAll(
                database, sql: "SELECT value FROM \"$catalog\" WHERE kind = ? ORDER BY name", arguments: [kind])
        }.map { try JSONValue(parsing: $0) }
    }

    // MARK: Tables

    func createTable(_ layout: TableLayout) throws {
        let columns = layout.directFields.map(TableLayout.columnDefinition)
        let hidden = ["\"$id\" INTEGER PRIMARY KEY", "\"$time\" INTEGER", "\"$insert_id\" TEXT", "\"$more\" TEXT"]
        try queue.write { database in
            try database.execute(sql: "DROP TABLE IF EXISTS \(layout.quotedName)")
            try database.execute(
                sql: "CREATE TABLE \(layout.quotedName) (\((hidden + columns).joined(separator: ", ")))")
        }
    }

    func addColumns(_ fields: some Collection<FieldSchema>, to layout: TableLayout) throws {
        try queue.write { database in
            for field in fields {
                try database.execute(
                    sql: "ALTER TABLE \(layout.quotedName) ADD COLUMN \(TableLayout.columnDefinition(field))")
            }
        }
    }

    func dropTable(_ key: TableKey) throws {
        try queue.write { database in
            try database.execute(sql: "DROP TABLE IF EXISTS \(TableLayout.quoted(key.description))")
        }
    }

    /// Rows that arrived up to `latest`; all of them for nil.
    func count(_ layout: TableLayout, upTo latest: Int64? = nil) throws -> Int {
        try queue.read { database in
            let sql = "SELECT COUNT(*) FROM \(layout.quotedName)" + (latest == nil ? "" : " WHERE \"$time\" <= ?")
            return try Int.fetchOne(database, sql: sql, arguments: latest.map { [$0] } ?? []) ?? 0
        }
    }

    func removeRows(_ layout: TableLayout) throws {
        try queue.write { database in try database.execute(sql: "DELETE FROM \(layout.quotedName)") }
    }

    /// The insertIds that arrived after `earliest`, in order.
    func insertIDs(_ key: TableKey, after earliest: Int64) throws -> [(id: String, time: Int64)] {
        try queue.read { database in
            let name = TableLayout.quoted(key.description)
            let rows = try Row.fetchAll(
                database,
                sql:
                    "SELECT \"$insert_id\", \"$time\" FROM \(name) WHERE \"$time\" > ? AND \"$insert_id\" IS NOT NULL ORDER BY \"$id\"",
                arguments: [earliest])
            return rows.map { ($0[0] as String, $0[1] as Int64) }
        }
    }
}
