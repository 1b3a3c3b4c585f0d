internal import GRDB
internal import GRDBSQLite

/// How often a row occurs: spooled in all readings of its object, and met in the present one.
package struct RowCount: Sendable, Equatable {
    package var spooled: Int
    package var seen: Int

    package init(spooled: Int, seen: Int) {
        self.spooled = spooled
        self.seen = seen
    }
}

/// Counts of an object's rows that are too many for memory: a temporary table on disk, gone with this `SpoolStore`.
extension SpoolStore {
    /// Replaces the counts of these rows.
    package func keepCounts(_ counts: [(hash: KnownHash, count: RowCount)], of object: Int64) async throws {
        try await writeWithoutTransaction { database in
            try Self.makeCounts(database)
            try Self.inTemporary(database) {
                let insert = try database.cachedStatement(
                    sql: "INSERT OR REPLACE INTO temp.row_counts (object_no, hash, spooled, seen) VALUES (?, ?, ?, ?)"
                ).sqliteStatement
                defer {
                    sqlite3_reset(insert)
                    sqlite3_clear_bindings(insert)
                }
                for (hash, count) in counts {
                    sqlite3_reset(insert)
                    sqlite3_bind_int64(insert, 1, object)
                    sqlite3_bind_int64(insert, 3, Int64(count.spooled))
                    sqlite3_bind_int64(insert, 4, Int64(count.seen))
                    let code = hash.withBytes { bytes in
                        // Bound without a copy: it outlives the step.
                        sqlite3_bind_blob(insert, 2, bytes.baseAddress, CInt(bytes.count), nil)
                        return sqlite3_step(insert)
                    }
                    guard code == SQLITE_DONE else { throw DatabaseError(resultCode: ResultCode(rawValue: code)) }
                }
            }
        }
    }

    /// The counts of these rows, in their order; nil for those never met.
    package func counts(of object: Int64, _ hashes: [KnownHash]) async throws -> [RowCount?] {
        try await writeWithoutTransaction { database in
            try Self.makeCounts(database)
            let find = try database.cachedStatement(
                sql: "SELECT spooled, seen FROM temp.row_counts WHERE object_no = ? AND hash = ?"
            ).sqliteStatement
            defer {
                sqlite3_reset(find)
                sqlite3_clear_bindings(find)
            }
            return try hashes.map { hash in
                sqlite3_reset(find)
                sqlite3_bind_int64(find, 1, object)
                let code = hash.withBytes { bytes in
                    sqlite3_bind_blob(find, 2, bytes.baseAddress, CInt(bytes.count), nil)
                    return sqlite3_step(find)
                }
                switch code {
                case SQLITE_ROW:
                    return RowCount(
                        spooled: Int(sqlite3_column_int64(find, 0)), seen: Int(sqlite3_column_int64(find, 1)))
                case SQLITE_DONE: return nil
                default: throw DatabaseError(resultCode: ResultCode(rawValue: code))
                }
            }
        }
    }

    package func forgetCounts(of object: Int64) async throws {
        try await writeWithoutTransaction { database in
            try Self.makeCounts(database)
            try database.execute(sql: "DELETE FROM temp.row_counts WHERE object_no = ?", arguments: [object])
        }
    }

    private static func makeCounts(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TEMP TABLE IF NOT EXISTS row_counts (
                    object_no INTEGER NOT NULL, hash BLOB NOT NULL, spooled INTEGER NOT NULL, seen INTEGER NOT NULL,
                    PRIMARY KEY (object_no, hash)
                ) WITHOUT ROWID
                """)
    }

    private static func inTemporary(_ database: Database, _ body: () throws -> Void) throws {
        try database.inTransaction(.deferred) {
            try body()
            return .commit
        }
    }
}

extension KnownHash {
    /// The hash's 16 bytes, lent.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(of: (high.bigEndian, low.bigEndian), body)
    }
}
