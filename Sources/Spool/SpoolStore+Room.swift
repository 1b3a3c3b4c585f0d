internal import GRDB
internal import GRDBSQLite

#if canImport(Glibc)
    import Glibc
#endif

/// What to do when the disk is full (`Spool.docc/Spool.md`, "A full disk").
extension SpoolStore {
    /// With less than this free, room in the file is secured before each commit. It is far more than the write-ahead log grows between two
    /// checkpoints.
    private static let scarceBytes: Int64 = 256 << 20
    /// What spooling leaves free beside the reserve: room for the log of a later page once delivered rows were removed from the file.
    private static let spareBytes: Int64 = 256 << 10
    /// How long a checkpoint waits for readers when the disk is full.
    private static let logPatience = 5000

    /// Runs a transaction. When the disk is full, the room of the write-ahead log, then the reserve, are used, and it is run again.
    func withRoom<Value: Sendable>(_ transaction: () async throws -> Value) async throws -> Value {
        do { return try await transaction() } catch SpoolError.full {}
        await truncateLog()
        do { return try await transaction() } catch SpoolError.full {}
        guard reserve.release() else { throw SpoolError.full(path: path) }
        await truncateLog()
        return try await transaction()
    }

    /// Stores a page without touching the reserve. When the disk is full, the log's room is used, then that of delivered rows, oldest first.
    func spool(_ bytes: Int, _ transaction: () async throws -> AppendResult) async throws -> AppendResult {
        func attempt() async throws -> AppendResult {
            guard reserve.make(), try await hasRoom(for: Int64(bytes)) else { throw SpoolError.full(path: path) }
            return try await transaction()
        }
        do { return try await attempt() } catch SpoolError.full {}
        await truncateLog()
        do { return try await attempt() } catch SpoolError.full {}
        // In steps that a log as small as the reserve holds.
        while try await freeBytesInside() < 2 * Int64(bytes) + Self.spareBytes {
            let step = try await write { try Self.retireSome(deliveredBefore: nil, requests: 2, singles: 200, $0) }
            if step.isLast { break }
        }
        await truncateLog()
        return try await attempt()
    }

    /// Moves the write-ahead log into the file, which has room for it, and gives the log's own room back. As much of it as others allow.
    private func truncateLog() async {
        _ = try? await writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA busy_timeout = \(Self.logPatience)")
            defer { try? database.execute(sql: "PRAGMA busy_timeout = \(Int(Self.busyTimeout * 1000))") }
            _ = try Row.fetchOne(database, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
        }
    }

    /// Whether a page of so many bytes fits: twice, in the log and in the file, or into free pages of the file.
    private func hasRoom(for bytes: Int64) async throws -> Bool {
        guard let free = Self.freeBytes(beside: path), free < Self.scarceBytes else { return true }
        if free >= 2 * bytes + Self.spareBytes { return true }
        return try await freeBytesInside() >= 2 * bytes
    }

    private func freeBytesInside() async throws -> Int64 {
        try await read { database in
            try Int64.fetchOne(
                database, sql: "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size")
                ?? 0
        }
    }

    /// Bytes that this user may still use on the file system; nil if it does not say.
    package static func freeBytes(beside path: String) -> Int64? {
        var information = statvfs()
        guard statvfs(path, &information) == 0 else { return nil }
        return Int64(information.f_bavail) * Int64(information.f_frsize)
    }

    /// On a disk that is nearly full: makes the file as large as the transaction needs it before it commits, so that a checkpoint never
    /// lacks room for what was committed.
    ///
    /// - Throws: `DatabaseError` `SQLITE_FULL`; the transaction is to be rolled back.
    func secureRoom(_ database: Database) throws {
        guard let free = Self.freeBytes(beside: path), free < Self.scarceBytes else { return }
        let size = try Int64.fetchOne(
            database, sql: "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        guard var size, let connection = database.sqliteConnection else { return }
        Self.growInChunks(of: 4096, connection)
        // With room to spare SQLite may grow the file as it likes: in chunks it writes one byte to each new block first.
        defer { Self.growInChunks(of: 0, connection) }
        // Through SQLite's own handle: closing another one would drop its locks (POSIX).
        let code = sqlite3_file_control(connection, "main", SQLITE_FCNTL_SIZE_HINT, &size)
        guard code == SQLITE_OK || code == SQLITE_NOTFOUND else { throw DatabaseError(resultCode: .SQLITE_FULL) }
    }

    /// SQLite heeds the hint only where files grow in chunks. They are so small that the file is never larger than its pages; 0 for none.
    private static func growInChunks(of bytes: Int32, _ connection: SQLiteConnection) {
        var bytes = bytes
        sqlite3_file_control(connection, "main", SQLITE_FCNTL_CHUNK_SIZE, &bytes)
    }
}
