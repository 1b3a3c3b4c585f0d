internal import GRDB

#if canImport(Glibc)
    import Glibc
#endif

extension SpoolStore {
    /// Makes a new file of what can be read and puts it in the old one's place. The caller holds all locks.
    static func salvage(_ path: String) async throws -> (keptAs: String, rejected: Int, settled: Int) {
        let path = realPath(path)
        let partial = path + ".salvage"
        for suffix in ["", "-journal"] { unlink(partial + suffix) }
        let descriptor = open(partial, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw SpoolError.unusable(path: partial, reason: String(cString: strerror(errno)))
        }
        Glibc.close(descriptor)
        do {
            let source = try openDamaged(path)
            var configuration = Configuration()
            configuration.foreignKeysEnabled = false
            let target = try DatabaseQueue(path: partial, configuration: configuration)
            let counts = try await readDamaged(source) { source in
                try target.writeWithoutTransaction { try fill($0, from: source, path: path) }
            }
            try target.close()
            try source.close()
            try sync(partial)
            let keptAs = try swap(partial, into: path)
            return (keptAs, counts.rejected, counts.settled)
        } catch {
            unlink(partial)
            throw damagedBeyondReading(error, path: path)
        }
    }

    private static func fill(
        _ target: Database, from source: Database, path: String
    ) throws -> (rejected: Int, settled: Int) {
        try migrate(target, path: path)
        var counts = (rejected: 0, settled: 0)
        try target.inTransaction(.immediate) {
            var salvage = Salvage(from: source, to: target)
            try salvage.copyAll(path: path)
            var books = SalvagedBooks(target, gaps: salvage.gaps)
            try books.mend(path: path)
            counts = (books.rejected, books.settled)
            return .commit
        }
        return counts
    }

    /// The old file keeps existing under its new name from before anything is taken away. A kill between the last steps leaves the damaged
    /// file in place without its WAL, and both of them whole under the other name.
    private static func swap(_ salvaged: String, into path: String) throws -> String {
        var moment = Timestamp.now()
        moment.microseconds -= moment.microseconds % 1_000_000
        let kept = "\(path).damaged-" + moment.description.filter { $0 != "-" && $0 != ":" }
        for suffix in ["", "-wal"] where access(path + suffix, F_OK) == 0 {
            guard link(path + suffix, kept + suffix) == 0 else {
                throw SpoolError.unusable(path: kept + suffix, reason: String(cString: strerror(errno)))
            }
        }
        try syncFolder(of: path)
        // A WAL of another file beside the new one would be taken for its own.
        for suffix in ["-wal", "-shm"] { unlink(path + suffix) }
        guard rename(salvaged, path) == 0 else {
            throw SpoolError.unusable(path: path, reason: String(cString: strerror(errno)))
        }
        try syncFolder(of: path)
        return kept
    }
}
