internal import Foundation
internal import GRDB
internal import GRDBSQLite

/// An object (file) of a stream, as the spool knows it.
package struct ObjectRecord: Sendable, Equatable {
    package var number: Int64
    package var name: String
    /// The version that was read last, whole; nil if none was.
    package var version: String?
    package var size: Int64
    /// Rows read from it, bad lines counted too.
    package var rows: Int
    package var readAt: Timestamp?
    /// Number of the run that read it last.
    package var runNumber: Int64?
}

/// An object that a run has read to its end.
package struct ObjectRead: Sendable, Equatable {
    package var number: Int64
    package var version: String
    package var size: Int64
    package var rows: Int

    package init(number: Int64, version: String, size: Int64, rows: Int) {
        self.number = number
        self.version = version
        self.size = size
        self.rows = rows
    }
}

/// Rows without a key that a page met in one object, as the first 16 bytes of their hashes.
package struct ObjectLogEntry: Sendable, Equatable {
    package static let hashLength = 16

    package var object: Int64
    package var reading: Int64
    /// One after another, those that have a row in the page.
    package var spooled: [UInt8] = []
    /// Those that an earlier reading had spooled.
    package var unchanged: [UInt8] = []

    package init(object: Int64, reading: Int64) {
        self.object = object
        self.reading = reading
    }
}

/// Which objects a stream has read, in which version, and which rows without a key they held.
extension SpoolStore {
    /// The records of these objects, in their order; those met for the first time are registered.
    package func openObjects(stream number: Int64, names: [String]) async throws -> [ObjectRecord] {
        try await write { database in
            let find = try database.cachedStatement(
                sql: "SELECT \(ExactText.terms("name")), * FROM objects WHERE stream_no = ? AND name = CAST(? AS TEXT)")
            return try names.map { name in
                let bytes = name.exact.asData
                if let row = try Row.fetchOne(find, arguments: [number, bytes]) { return try Self.object(row) }
                try database.execute(
                    sql: "INSERT INTO objects (stream_no, name) VALUES (?, CAST(? AS TEXT))",
                    arguments: [number, bytes])
                return ObjectRecord(number: database.lastInsertedRowID, name: name, size: 0, rows: 0)
            }
        }
    }

    /// The objects a stream has read, in the order of their names.
    package func objects(stream number: Int64) async throws -> [ObjectRecord] {
        try await read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT \(ExactText.terms("name")), * FROM objects
                    WHERE stream_no = ? AND version IS NOT NULL ORDER BY objects.name
                    """,
                arguments: [number]
            ).map(Self.object)
        }
    }

    private static func object(_ row: Row) throws -> ObjectRecord {
        let readAt: Int64? = try row.read("read_at")
        return try ObjectRecord(
            number: row.read("object_no"), name: row.readExact("name").string, version: row.read("version"),
            size: row.read("size"), rows: row.read("rows"),
            readAt: readAt.map(Timestamp.init(microseconds:)), runNumber: row.read("run_no"))
    }

    /// What is logged of an object's rows, in its order: the entries after a number, at most `limit`, and the number of the last.
    package func objectLog(
        _ object: Int64, after number: Int64, limit: Int
    ) async throws -> (entries: [ObjectLogEntry], last: Int64) {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT seq, reading, spooled, unchanged FROM object_log WHERE object_no = ? AND seq > ?
                    ORDER BY seq LIMIT ?
                    """, arguments: [object, number, limit])
            let entries = try rows.map { row in
                var entry = try ObjectLogEntry(object: object, reading: row.read("reading"))
                entry.spooled = [UInt8](try row.read("spooled") as Data)
                entry.unchanged = [UInt8](try row.read("unchanged") as Data)
                return entry
            }
            return (entries, try rows.last?.read("seq") as Int64? ?? number)
        }
    }

    static func storeObjects(of page: PageCommit, _ database: Database) throws {
        for entry in page.objectLog {
            try database.cachedStatement(
                sql: """
                    INSERT INTO object_log (object_no, seq, reading, spooled, unchanged)
                    VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM object_log WHERE object_no = ?1), ?2, ?3, ?4)
                    """
            ).execute(arguments: [entry.object, entry.reading, entry.spooled.asData, entry.unchanged.asData])
        }
        for object in page.objectsRead {
            try database.cachedStatement(
                sql: "UPDATE objects SET version = ?, size = ?, rows = ?, read_at = ?, run_no = ? WHERE object_no = ?"
            ).execute(arguments: [
                object.version, object.size, object.rows, Timestamp.now().microseconds, page.run.number, object.number,
            ])
            // Only a reading that goes on has to know what it met.
            try database.cachedStatement(
                sql: "UPDATE object_log SET unchanged = x'' WHERE object_no = ? AND unchanged <> x''"
            )
            .execute(arguments: [object.number])
        }
    }

    static func forgetObjects(stream number: Int64, _ database: Database) throws {
        try forgetObjectRows(stream: number, database)
        try database.execute(sql: "DELETE FROM objects WHERE stream_no = ?", arguments: [number])
    }

    /// Forgets the rows and keeps which objects were read.
    static func forgetObjectRows(stream number: Int64, _ database: Database) throws {
        try database.execute(
            sql: """
                DELETE FROM object_log WHERE object_no = -?1
                    OR object_no IN (SELECT object_no FROM objects WHERE stream_no = ?1)
                """, arguments: [number])
    }
}
