internal import Dispatch
internal import GRDB
internal import GRDBSQLite
internal import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The spool: rows, watermarks, runs and each row's fate in one SQLite file (see `Spool.docc/Spool.md` for the guarantees).
///
/// Every method is one transaction unless it says otherwise, committed with `synchronous=FULL`: what returned is durable. SQLite runs on
/// the connections' own queues, never on Swift's cooperative threads.
package final class SpoolStore: Sendable {
    package let path: String
    let pool: DatabasePool
    let reserve: SpoolReserve
    /// A copy of this spool is kept elsewhere: rows that are not in the copy are not handed out for sending.
    let isCopied = Atomic(false)
    /// Changes are counted: a copy is kept, or was kept and may be again.
    let countsChanges = Atomic(false)

    /// How long one process waits for another's transaction, in seconds. Transactions last milliseconds; minutes mean something is stuck.
    static let busyTimeout = 60.0

    /// Bytes, of a file that is new; an existing one keeps its own. Rows are written and read in order, some hundred bytes each: pages of four
    /// times SQLite's default size save system calls (a tenth of what shipping costs).
    package static let pageSize = 16 << 10
    /// The WAL is moved into the file when it has so many bytes: few enough that who fills pages meanwhile need not wait for it.
    private static let checkpointBytes = 4 << 20

    /// Opens the spool and migrates it; with `creating`, makes folder and file if they are missing.
    ///
    /// - Throws: `SpoolError.unusable`, `.damaged`, `.newer`, `.busy`.
    package init(path: String, creating: Bool = true) throws {
        self.path = path
        reserve = SpoolReserve(spool: path)
        if creating {
            try Self.createFile(path)
        } else {
            try Self.checkAccess(path, hint: "; etlctl extract creates it")
        }
        do {
            pool = try Self.openPool(path)
        } catch SpoolError.full(let full) {
            // Even opening takes some room, for the memory that processes share.
            guard reserve.release() else { throw SpoolError.full(path: full) }
            pool = try Self.openPool(path)
        }
        if creating { _ = reserve.make() }
        if try Self.hasCopy(pool, path: path) { countsChanges.store(true, ordering: .relaxed) }
    }

    /// Opens a spool that is there for reading alone, and changes nothing: no migration, no reserve, no checkpoint when it is closed. It waits for
    /// nobody who writes and holds nobody up.
    ///
    /// - Returns: nil where there is no spool yet: no file, or one that is only being made.
    /// - Throws: `SpoolError.unusable`, `.damaged`, `.newer`, `.busy`.
    package static func reading(_ path: String) throws -> SpoolStore? {
        if access(path, F_OK) != 0, errno == ENOENT { return nil }
        var configuration = Configuration()
        configuration.readonly = true
        configuration.maximumReaderCount = 1
        // SQLite keeps readers out for moments alone, such as recovery after a kill. GRDB has another time for its pool's readers.
        configuration.busyMode = .timeout(2)
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA busy_timeout = 2000") }
        do {
            let pool = try DatabasePool(path: path, configuration: configuration)
            let version = try pool.read { try Self.version(of: $0, path: path) }
            // Until its tables are there, in the transaction that sets the version.
            return version == 0 ? nil : SpoolStore(path: path, pool: pool)
        } catch {
            // Taken away between the look and the opening.
            if access(path, F_OK) != 0, errno == ENOENT { return nil }
            throw SpoolError.translating(error, path: path)
        }
    }

    private init(path: String, pool: DatabasePool) {
        self.path = path
        self.pool = pool
        reserve = SpoolReserve(spool: path)
    }

    private static func openPool(_ path: String) throws -> DatabasePool {
        var configuration = Configuration()
        configuration.busyMode = .timeout(busyTimeout)
        configuration.maximumReaderCount = 3
        configuration.foreignKeysEnabled = false
        // Without effect on a file that has its first page.
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA page_size = \(Self.pageSize)") }
        do {
            try refuseForeign(path)
            let pool = try DatabasePool(path: path, configuration: configuration)
            try pool.writeWithoutTransaction { database in
                // GRDB chooses NORMAL for WAL; a commit here must survive a power cut.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                let pageSize = try Int.fetchOne(database, sql: "PRAGMA page_size") ?? Self.pageSize
                try database.execute(sql: "PRAGMA wal_autocheckpoint = \(Self.checkpointBytes / pageSize)")
                // Debian's SQLite fills every page it frees with zeros, so that retention would write again all that it removes.
                try database.execute(sql: "PRAGMA secure_delete = FAST")
                try migrate(database, path: path)
                try doubtIfRestored(database)
            }
            return pool
        } catch {
            throw SpoolError.translating(error, path: path)
        }
    }

    /// Waits for running transactions, moves what is in the WAL into the file unless another process is using it, and closes.
    package func close() throws {
        do {
            if pool.configuration.readonly { return try pool.close() }
            pool.writeWithoutTransaction { database in
                // Nothing is lost when this fails, it is only left to the next one who opens the file.
                try? database.execute(sql: "PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE)")
            }
            try pool.close()
        } catch { throw SpoolError.translating(error, path: path) }
    }

    /// Creates the file before SQLite does, so that it is never readable by others, not even for a moment. Its name, and those of folders
    /// made for it, are synced: SQLite syncs only what is inside.
    private static func createFile(_ path: String) throws {
        try prepareFolder(of: path)
        let isNew = access(path, F_OK) != 0
        let descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SpoolError.unusable(path: path, reason: String(cString: strerror(errno))) }
        Glibc.close(descriptor)
        if isNew { try syncFolder(of: path) }
    }

    /// Makes the folder that the file lies in, and those above it.
    package static func prepareFolder(of path: String) throws {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
        try createFolder(String(path[..<slash]))
    }

    private static func createFolder(_ folder: String) throws {
        if mkdir(folder, 0o700) == 0 { return try syncFolder(of: folder) }
        if errno == EEXIST { return }
        guard errno == ENOENT, let slash = folder.lastIndex(of: "/"), slash != folder.startIndex else {
            throw SpoolError.unusable(path: folder, reason: String(cString: strerror(errno)))
        }
        try createFolder(String(folder[..<slash]))
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
            throw SpoolError.unusable(path: folder, reason: String(cString: strerror(errno)))
        }
        try syncFolder(of: folder)
    }

    /// One write transaction. It is not given up when the task is cancelled: what a shutdown still has to write down is written. On a full
    /// disk it uses the reserve.
    func write<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await withRoom { try await transaction(body) }
    }

    /// One write transaction as it is, without what `write` does on a full disk.
    func transaction<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        do {
            return try await withCheckedThrowingContinuation { continuation in
                pool.asyncWrite({ [self] database in
                    let changes = database.totalChangesCount
                    let value = try body(database)
                    if countsChanges.load(ordering: .relaxed), database.totalChangesCount != changes {
                        try Self.countChange(database)
                    }
                    try secureRoom(database)
                    CrashPoint.reached(.beforeCommit)
                    return value
                }) { _, result in
                    CrashPoint.reached(.afterCommit)
                    continuation.resume(with: result)
                }
            }
        } catch { throw SpoolError.translating(error, path: path) }
    }

    /// Access to the writing connection for what is more, or less, than one transaction.
    func writeWithoutTransaction<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws -> Value {
        do {
            return try await withCheckedThrowingContinuation { continuation in
                pool.asyncWriteWithoutTransaction { database in
                    continuation.resume(with: Result { try body(database) })
                }
            }
        } catch { throw SpoolError.translating(error, path: path) }
    }

    /// One short read transaction, which cancellation does not cut off either.
    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        do {
            return try await withCheckedThrowingContinuation { continuation in
                pool.asyncRead { database in continuation.resume(with: Result { try body(database.get()) }) }
            }
        } catch { throw SpoolError.translating(error, path: path) }
    }

    /// One read transaction over many rows; it ends with a `CancellationError` when the task is cancelled.
    func scan<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        do { return try await pool.read(body) } catch { throw SpoolError.translating(error, path: path) }
    }

    /// Bytes of pages in use, free pages not counted.
    package func usedBytes() async throws -> Int64 {
        try await read { database in
            let pages = try Int64.fetchOne(database, sql: "PRAGMA page_count") ?? 0
            let free = try Int64.fetchOne(database, sql: "PRAGMA freelist_count") ?? 0
            let size = try Int64.fetchOne(database, sql: "PRAGMA page_size") ?? 0
            return (pages - free) * size
        }
    }
}
