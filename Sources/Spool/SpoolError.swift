internal import GRDB

/// What can go wrong with the spool file. Every case names the file and says what a user can do.
package enum SpoolError: Error, Sendable, CustomStringConvertible {
    /// The folder or the file can't be created, opened or written.
    case unusable(path: String, reason: String)
    /// The file is no SQLite database, or damaged.
    case damaged(path: String, reason: String)
    /// The file was written by a newer etlctl.
    case newer(path: String, version: Int, supported: Int)
    /// The disk is full or the file can't grow.
    case full(path: String)
    /// Another process holds the named lock.
    case locked(path: String, holder: String)
    /// Another process kept the database busy for longer than we wait.
    case busy(path: String)
    /// A row's payload does not match its checksum: it was damaged after it had been spooled.
    case damagedRow(path: String, row: RowID)
    /// Rows were retried or discarded by another command since they were read, so that the request made of them is not theirs any more.
    /// Nothing was changed: read them again.
    case stale
    /// A promise inside this program was broken; a bug, never the user's doing.
    case broken(String)

    package var description: String {
        switch self {
        case .unusable(let path, let reason): "the spool \(path) can't be used: \(reason)"
        case .damaged(let path, let reason): "the spool \(path) is no usable database: \(reason)"
        case .newer(let path, let version, let supported):
            "the spool \(path) has version \(version), written by a newer etlctl; this one knows versions up to \(supported)"
        case .full(let path): "the spool \(path) can't grow: the disk is full"
        case .locked(_, let holder): "another process is at work: \(holder)"
        case .busy(let path): "the spool \(path) was kept busy by another process for too long"
        case .damagedRow(let path, let row): "row \(row.rawValue) in the spool \(path) does not match its checksum"
        case .stale: "rows were changed by another command while they were being prepared"
        case .broken(let what): "internal inconsistency in the spool: \(what)"
        }
    }

    package var hint: String? {
        switch self {
        case .unusable: "check that the folder exists, is writable by this user and has room, or set spool.path"
        case .damaged:
            "run etlctl spool verify --quarantine, which keeps every row that can be read shippable; where it can't, restore a backup of the spool, or move the file away and extract again"
        case .newer: "update etlctl, or use another spool.path"
        case .full:
            "make room on the disk, or run etlctl ship, whose delivered rows make room in the spool; then run the same command again: nothing that was committed is lost"
        case .locked: "wait for it to finish, or stop it; nothing was changed"
        case .busy: "run the same command again: nothing was changed"
        case .damagedRow: "run etlctl audit to see which rows are damaged"
        case .stale: "run the same command again: nothing was changed"
        case .broken: nil
        }
    }

    /// Translates what SQLite reports; `nil` for errors of other kinds.
    static func translating(_ error: any Error, path: String) -> any Error {
        // A column that can't be null is, in a damaged file.
        if error is RowDecodingError {
            return SpoolError.damaged(path: path, reason: "a record holds what it never can")
        }
        guard let failure = error as? DatabaseError else { return error }
        let reason = failure.message ?? "SQLite error \(failure.resultCode.rawValue)"
        // The shared-memory file beside a WAL can't grow on a full disk either, which SQLite reports as an I/O error.
        if failure.extendedResultCode == .SQLITE_IOERR_SHMSIZE { return SpoolError.full(path: path) }
        switch failure.resultCode {
        case .SQLITE_FULL: return SpoolError.full(path: path)
        case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_PROTOCOL: return SpoolError.busy(path: path)
        case .SQLITE_NOTADB, .SQLITE_CORRUPT: return SpoolError.damaged(path: path, reason: reason)
        case .SQLITE_IOERR:
            return SpoolError.unusable(
                path: path,
                reason: "reading or writing it failed (\(reason)); the disk, or the way to it, may be broken")
        case .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH, .SQLITE_NOMEM:
            return SpoolError.unusable(path: path, reason: reason)
        case .SQLITE_INTERRUPT: return CancellationError()
        // What this program asks for is in every spool, and its own numbers add up.
        case .SQLITE_ERROR where reason.hasPrefix("no such ") || reason == "integer overflow":
            return SpoolError.damaged(path: path, reason: reason)
        default: return SpoolError.broken("\(reason) (\(failure.extendedResultCode.rawValue))")
        }
    }
}
