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

/// How many equal rows without a key there are in an object.
package struct ObjectRows: Sendable, Equatable {
    package var object: Int64
    package var hash: KnownHash
    /// Spooled in any reading of the object.
    package var spooled = 0
    /// The reading that `seen` counts for.
    package var reading: Int64 = 0
    /// Met in this reading.
    package var seen = 0

    package init(object: Int64, hash: KnownHash) {
        self.object = object
        self.hash = hash
    }
}

/// Which objects a stream has read, in which version, and which rows without a key they held.
extension SpoolStore {
    /// The records of these objects, in their order; those met for the first time are registered.
    package func openObjects(stream number: Int64, names: [String]) async throws -> [ObjectRecord] {
        try await write { database in
            let find = try database.cachedStatement(sql: "SELECT * FROM objects WHERE stream_no = ? AND name = ?")
            return try names.map { name in
                if let row = try Row.fetchOne(find, arguments: [number, name]) { return Self.object(row) }
                try database.execute(
                    sql: "INSERT INTO objects (stream_no, name) VALUES (?, ?)", arguments: [number, name])
                return ObjectRecord(number: database.lastInsertedRowID, name: name, size: 0, rows: 0)
            }
        }
    }

    /// The objects a stream has read, in the order of their names.
    package func objects(stream number: Int64) async throws -> [ObjectRecord] {
        try await read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM objects WHERE stream_no = ? AND version IS NOT NULL ORDER BY name",
                arguments: [number]
            ).map(Self.object)
        }
    }

    private static func object(_ row: Row) -> ObjectRecord {
        let readAt: Int64? = row["read_at"]
        return ObjectRecord(
            number: row["object_no"], name: row["name"], version: row["version"], size: row["size"], rows: row["rows"],
            readAt: readAt.map(Timestamp.init(microseconds:)), runNumber: row["run_no"])
    }

    /// Completes what is known of equal rows; those never met stay as they are. O(rows).
    package func objectRows(_ rows: [ObjectRows]) async throws -> [ObjectRows] {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: "SELECT spooled, reading, seen FROM object_rows WHERE object_no = ? AND hash = ?"
            ).sqliteStatement
            defer { sqlite3_reset(statement) }
            var result = rows
            for index in result.indices {
                sqlite3_reset(statement)
                sqlite3_bind_int64(statement, 1, result[index].object)
                let code = result[index].hash.withBytes { hash in
                    // Bound without a copy: it outlives the step.
                    sqlite3_bind_blob(statement, 2, hash.baseAddress, CInt(hash.count), nil)
                    return sqlite3_step(statement)
                }
                switch code {
                case SQLITE_ROW:
                    result[index].spooled = Int(sqlite3_column_int64(statement, 0))
                    result[index].reading = sqlite3_column_int64(statement, 1)
                    result[index].seen = Int(sqlite3_column_int64(statement, 2))
                case SQLITE_DONE: break
                default: throw DatabaseError(resultCode: ResultCode(rawValue: code))
                }
            }
            return result
        }
    }

    static func storeObjects(of page: PageCommit, _ database: Database) throws {
        if !page.objectRows.isEmpty {
            let statement = try database.cachedStatement(
                sql: """
                    INSERT INTO object_rows (object_no, hash, spooled, reading, seen) VALUES (?1, ?2, ?3, ?4, ?5)
                    ON CONFLICT (object_no, hash) DO UPDATE SET spooled = ?3, reading = ?4, seen = ?5
                    """
            ).sqliteStatement
            defer {
                sqlite3_reset(statement)
                sqlite3_clear_bindings(statement)
            }
            for rows in page.objectRows {
                sqlite3_reset(statement)
                sqlite3_bind_int64(statement, 1, rows.object)
                sqlite3_bind_int64(statement, 3, Int64(rows.spooled))
                sqlite3_bind_int64(statement, 4, rows.reading)
                sqlite3_bind_int64(statement, 5, Int64(rows.seen))
                let code = rows.hash.withBytes { hash in
                    sqlite3_bind_blob(statement, 2, hash.baseAddress, CInt(hash.count), nil)
                    return sqlite3_step(statement)
                }
                guard code == SQLITE_DONE else { throw DatabaseError(resultCode: ResultCode(rawValue: code)) }
            }
        }
        for object in page.objectsRead {
            try database.cachedStatement(
                sql: "UPDATE objects SET version = ?, size = ?, rows = ?, read_at = ?, run_no = ? WHERE object_no = ?"
            ).execute(arguments: [
                object.version, object.size, object.rows, Timestamp.now().microseconds, page.run.number, object.number,
            ])
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
                DELETE FROM object_rows WHERE object_no = -?1
                    OR object_no IN (SELECT object_no FROM objects WHERE stream_no = ?1)
                """, arguments: [number])
    }
}

extension KnownHash {
    /// The hash's 16 bytes, lent.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(of: (high.bigEndian, low.bigEndian), body)
    }
}
