internal import GRDB

#if canImport(Glibc)
    import Glibc
#endif

/// What can be seen of a file without reading all of it.
extension SpoolStore {
    /// Files of up to so many bytes are read whole by `glance`.
    private static let smallFile: Int64 = 64 << 20

    /// What is wrong with how SQLite's pages hang together, nil if nothing is or the file is larger than 64 MiB.
    package func glance() async throws -> String? {
        do {
            return try await scan { database in
                let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
                guard try Int64.fetchOne(database, sql: size) ?? 0 <= Self.smallFile else { return nil }
                let findings = try String.fetchAll(database, sql: "PRAGMA quick_check(5)")
                return findings == ["ok"] ? nil : findings.joined(separator: "; ")
            }
        } catch SpoolError.damaged(_, let reason) { return reason }
    }

    /// Tells when a file is shorter than its header says; nil if it is not, or nobody can tell. O(1).
    ///
    /// To be called before this process opens the spool: SQLite fills what is missing with zeros as soon as it writes, and closing the file
    /// here would drop the locks that SQLite has on it.
    package static func missingEnd(of path: String) -> String? {
        let path = realPath(path)
        // What is in the log need not be in the file yet.
        func hasLog() -> Bool {
            var log = stat()
            return stat(path + "-wal", &log) == 0 && log.st_size > 0
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { Glibc.close(descriptor) }
        var header = [UInt8](repeating: 0, count: 100)
        var file = stat()
        guard !hasLog(), pread(descriptor, &header, 100, 0) == 100, fstat(descriptor, &file) == 0, !hasLog() else {
            return nil
        }
        func number(_ offset: Int) -> Int64 {
            header[offset..<offset + 4].reduce(0) { $0 << 8 | Int64($1) }
        }
        // SQLite file format, section 1.3: the count of pages holds where it is as old as the last change.
        guard header.starts(with: "SQLite format 3\0".utf8), number(24) == number(92) else { return nil }
        let size = Int64(header[16]) << 8 | Int64(header[17])
        let expected = number(28) * (size == 1 ? 65536 : size)
        guard file.st_size < expected else { return nil }
        return "the file has \(file.st_size) bytes, and its header says \(expected)"
    }
}
