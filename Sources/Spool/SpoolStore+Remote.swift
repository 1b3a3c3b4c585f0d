internal import GRDB
internal import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// What a spool knows of the copy that is kept of it elsewhere.
package struct RemoteMark: Sendable, Equatable {
    /// Names this file's life on this disk: another one wherever the copy is restored.
    package var lineage: String?
    /// The copy it was restored from, or saved as, last.
    package var copy: String?
    /// Copies that may have become the current one without its knowing.
    package var attempts: [String] = []
    package var savedAt: Timestamp?
}

/// What a copy holds, to be noted once it is the current one.
package struct CopiedState: Sendable, Equatable {
    var changes: Int64
    /// The last row of each route.
    var lastRows: [Int64: Int64]
    /// Of the file.
    package var bytes: Int64
}

/// The spool's side of `spool.remote` (docs/remote-spool.md). Its notes are in `spool_meta`, so that they go wherever the file goes.
extension SpoolStore {
    private enum Note {
        static let lineage = "remote_lineage"
        static let copy = "remote_copy"
        static let attempts = "remote_attempts"
        static let savedAt = "remote_saved_at"
        /// Transactions that changed something while a copy was kept.
        static let changes = "changes"
        static let savedChanges = "saved_changes"
        static func lastSaved(of route: Int64) -> String { "saved_to.\(route)" }
    }

    /// From now on changes are counted, and only rows that are in the current copy are handed out for sending.
    package func sendOnlyWhatIsCopied() {
        isCopied.store(true, ordering: .relaxed)
        countsChanges.store(true, ordering: .relaxed)
    }

    static func hasCopy(_ pool: DatabasePool, path: String) throws -> Bool {
        do {
            return try pool.read { try note(Note.copy, $0) != nil }
        } catch { throw SpoolError.translating(error, path: path) }
    }

    package func remoteMark() async throws -> RemoteMark {
        try await read { database in
            RemoteMark(
                lineage: try Self.note(Note.lineage, database), copy: try Self.note(Note.copy, database),
                attempts: try Self.note(Note.attempts, database)?.split(separator: " ").map(String.init) ?? [],
                savedAt: try Self.note(Note.savedAt, database).flatMap(Int64.init).map(Timestamp.init(microseconds:)))
        }
    }

    package func setLineage(_ lineage: String) async throws {
        try await writeNotes { try Self.setNote(Note.lineage, lineage, $0) }
    }

    /// Something was changed since the last copy that is known to be the current one, or there is none.
    package func hasUnsavedChanges() async throws -> Bool {
        try await read { database in
            guard try Self.note(Note.copy, database) != nil else { return true }
            return try Self.note(Note.changes, database) != Self.note(Note.savedChanges, database)
        }
    }

    /// Writes a copy as `backup` does, over whatever is at `target`, that knows itself as the copy `id`. O(file), and needs as much room again.
    package func makeCopy(_ id: String, at target: String) async throws -> CopiedState {
        unlink(target)
        unlink(target + "-journal")
        let descriptor = open(target, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw SpoolError.unusable(path: target, reason: String(cString: strerror(errno)))
        }
        Glibc.close(descriptor)
        try await copy(to: target)
        do {
            let file = try DatabaseQueue(path: target)
            let state = try await file.write { (database: Database) -> CopiedState in
                try Self.markAsCopy(database)
                let rows = try Row.fetchAll(database, sql: "SELECT route, next_row - 1 AS last FROM routes")
                let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
                let state = CopiedState(
                    changes: try Self.note(Note.changes, database).flatMap(Int64.init) ?? 0,
                    lastRows: Dictionary(
                        try rows.map { try ($0.read("route"), $0.read("last")) },
                        uniquingKeysWith: { first, _ in first }),
                    bytes: try Int64.fetchOne(database, sql: size) ?? 0)
                try Self.note(copy: id, state, at: .now(), database)
                return state
            }
            try file.close()
            return state
        } catch { throw SpoolError.translating(error, path: target) }
    }

    /// Notes that the copy `id` is about to become the current one, which may happen without anybody being told.
    package func noteAttempt(_ id: String) async throws {
        try await writeNotes { database in
            let others = try Self.note(Note.attempts, database).map { $0 + " " } ?? ""
            try Self.setNote(Note.attempts, others + id, database)
        }
    }

    /// Notes that the copy `id` is the current one; from now on its rows may be sent.
    ///
    /// - Parameter state: nil where nobody remembers what the copy holds: then everything counts as changed since.
    package func noteSaved(_ id: String, _ state: CopiedState?) async throws {
        try await writeNotes { database in
            if let state { return try Self.note(copy: id, state, at: .now(), database) }
            try Self.setNote(Note.copy, id, database)
            try Self.countChange(database)
        }
    }

    /// Makes a downloaded copy the spool: looks whether it is sound, names its new life, syncs it and gives it its name. Side files that a lost
    /// spool has left there are removed: they belong to no file any more.
    ///
    /// - Throws: `SpoolError.damaged`, `.newer`; then nothing is at `path`.
    package static func takeOver(copy: String, as path: String, lineage: String) async throws {
        do {
            try refuseForeign(copy)
            let file = try DatabaseQueue(path: copy)
            let findings = try await file.read { try String.fetchAll($0, sql: "PRAGMA quick_check(5)") }
            guard findings == ["ok"] else {
                throw SpoolError.damaged(path: copy, reason: findings.joined(separator: "; "))
            }
            try await file.write { (database: Database) in
                try setNote(Note.lineage, lineage, database)
                try database.execute(sql: "DELETE FROM spool_meta WHERE name = ?", arguments: [Note.attempts])
            }
            try file.close()
        } catch { throw SpoolError.translating(error, path: copy) }
        try sync(copy)
        CrashPoint.reached(.beforeRestore)
        for suffix in ["-wal", "-shm", "-journal"] { unlink(path + suffix) }
        guard rename(copy, path) == 0 else {
            throw SpoolError.unusable(path: path, reason: String(cString: strerror(errno)))
        }
        try syncFolder(of: path)
        CrashPoint.reached(.afterRestore)
    }

    /// There is a spool at this path. An empty file is none: a kill can leave it before anything was written.
    package static func exists(at path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_size > 0
    }

    /// The file's path with links and relative parts of its folder resolved, also where there is no file yet.
    package static func realFile(_ path: String) -> String {
        guard access(path, F_OK) != 0, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            return realPath(path)
        }
        return realPath(String(path[..<slash])) + path[slash...]
    }

    // MARK: Notes

    /// A note is no change of the spool: it would have to be saved too.
    private func writeNotes(_ body: @escaping @Sendable (Database) throws -> Void) async throws {
        try await withRoom { [self] in
            try await writeWithoutTransaction { database in
                try database.inTransaction(.immediate) {
                    try body(database)
                    return .commit
                }
            }
        }
    }

    private static func note(copy id: String, _ state: CopiedState, at moment: Timestamp, _ database: Database) throws {
        try setNote(Note.copy, id, database)
        try setNote(Note.savedAt, String(moment.microseconds), database)
        try setNote(Note.savedChanges, String(state.changes), database)
        if try note(Note.changes, database) == nil { try setNote(Note.changes, String(state.changes), database) }
        for (route, last) in state.lastRows { try setNote(Note.lastSaved(of: route), String(last), database) }
        try database.execute(sql: "DELETE FROM spool_meta WHERE name = ?", arguments: [Note.attempts])
    }

    private static func note(_ name: String, _ database: Database) throws -> String? {
        try String.fetchOne(
            database.cachedStatement(sql: "SELECT value FROM spool_meta WHERE name = ?"), arguments: [name])
    }

    private static func setNote(_ name: String, _ value: String, _ database: Database) throws {
        try database.cachedStatement(sql: "INSERT OR REPLACE INTO spool_meta (name, value) VALUES (?, ?)")
            .execute(arguments: [name, value])
    }

    static func countChange(_ database: Database) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO spool_meta (name, value) VALUES (?, '1') ON CONFLICT (name) DO UPDATE SET value = value + 1
                """
        ).execute(arguments: [Note.changes])
    }

    /// The last row of a route that the current copy holds; 0 if it holds none.
    static func lastSaved(of route: Int64, _ database: Database) throws -> Int64 {
        try note(Note.lastSaved(of: route), database).flatMap(Int64.init) ?? 0
    }
}
