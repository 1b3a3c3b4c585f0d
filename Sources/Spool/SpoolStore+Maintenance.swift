internal import GRDB

#if canImport(Glibc)
    import Glibc
#endif

extension SpoolStore {
    /// Writes a copy of the spool as it is at one moment, while others go on writing. O(file).
    ///
    /// The copy appears under its name only when it is whole and synced. Opened as a spool, it starts with its pending rows in doubt: the
    /// original may have sent them since.
    ///
    /// - Throws: `SpoolError.unusable` when there is something at `target` already, `.full` when it has no room.
    package func backup(to target: String) async throws {
        var information = stat()
        guard lstat(target, &information) != 0 else {
            throw SpoolError.unusable(path: target, reason: "there is a file of that name already")
        }
        let partial = target + ".partial"
        unlink(partial)
        let descriptor = open(partial, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw SpoolError.unusable(path: target, reason: String(cString: strerror(errno)))
        }
        Glibc.close(descriptor)
        do {
            try await copy(to: partial)
            try await Self.markAsCopy(partial)
            try Self.sync(partial)
            // Unlike rename(), which would replace what came into being meanwhile.
            guard link(partial, target) == 0 else {
                throw SpoolError.unusable(path: target, reason: String(cString: strerror(errno)))
            }
            unlink(partial)
            try Self.syncFolder(of: target)
        } catch {
            unlink(partial)
            throw error
        }
    }

    /// `VACUUM INTO` on a connection of its own: one read transaction, which no writer waits for.
    func copy(to target: String) async throws {
        do {
            var configuration = Configuration()
            configuration.readonly = true
            let source = try DatabaseQueue(path: path, configuration: configuration)
            try await source.writeWithoutTransaction { database in
                try database.execute(sql: "VACUUM INTO ?", arguments: [target])
            }
            try source.close()
        } catch let error as DatabaseError {
            let isTheirs = error.resultCode == .SQLITE_CORRUPT || error.resultCode == .SQLITE_NOTADB
            throw SpoolError.translating(error, path: isTheirs ? path : target)
        }
    }

    private static func markAsCopy(_ target: String) async throws {
        do {
            let copy = try DatabaseQueue(path: target)
            try await copy.write { (database: Database) in try markAsCopy(database) }
            try copy.close()
        } catch { throw SpoolError.translating(error, path: target) }
    }

    static func sync(_ file: String) throws {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw SpoolError.unusable(path: file, reason: String(cString: strerror(errno)))
        }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw SpoolError.unusable(path: file, reason: String(cString: strerror(errno)))
        }
    }

    static func syncFolder(of file: String) throws {
        guard let slash = file.lastIndex(of: "/") else { return try sync(".") }
        try sync(slash == file.startIndex ? "/" : String(file[..<slash]))
    }

    /// Gives the pages of removed rows back to the file system. O(file), and needs as much room again while it works; readers don't wait,
    /// writers do. Returns the file's bytes before and after.
    ///
    /// - Throws: `SpoolError.busy` while another process keeps a transaction open; `.full`.
    @discardableResult
    package func compact() async throws -> (before: Int64, after: Int64) {
        try await writeWithoutTransaction { database in
            let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            let before = try Int64.fetchOne(database, sql: size) ?? 0
            try database.execute(sql: "VACUUM")
            _ = try Row.fetchOne(database, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
            return (before, try Int64.fetchOne(database, sql: size) ?? 0)
        }
    }
}
