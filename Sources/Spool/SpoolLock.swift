#if canImport(Glibc)
    import Glibc
#endif

/// An exclusive lock between processes: one shipper per spool, one extractor per stream.
///
/// It is an `flock` on a small file beside the spool, so the kernel releases it when the process ends in whatever way; a file left
/// behind means nothing. The file names its holder for the message of the second one.
package final class SpoolLock: Sendable {
    private let descriptor: Int32

    /// - Throws: `SpoolError.locked` when another process holds it; `.unusable` when the file can't be made.
    package init(path: String, holder: String) throws {
        let descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SpoolError.unusable(path: path, reason: String(cString: strerror(errno))) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            let other = Self.contents(of: descriptor)
            close(descriptor)
            guard reason == EWOULDBLOCK else {
                throw SpoolError.unusable(path: path, reason: String(cString: strerror(reason)))
            }
            throw SpoolError.locked(path: path, holder: other.isEmpty ? "another etlctl" : other)
        }
        self.descriptor = descriptor
        ftruncate(descriptor, 0)
        let text = Array((holder + "\n").utf8)
        _ = pwrite(descriptor, text, text.count, 0)
    }

    deinit {
        // Unlocked by name: a child that is being started elsewhere may still hold a copy of the descriptor.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    private static func contents(of descriptor: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 512)
        let length = pread(descriptor, &buffer, buffer.count, 0)
        guard length > 0 else { return "" }
        let line = buffer[..<length].prefix { $0 != UInt8(ascii: "\n") }
        return String(decoding: line, as: UTF8.self)
    }
}

extension SpoolStore {
    /// The lock of the one shipper.
    package func lockShipper(holder: String) throws -> SpoolLock {
        try Self.lockShipper(of: path, holder: holder)
    }

    /// The lock of the one extractor of a stream.
    package func lockExtractor(of stream: String, holder: String) throws -> SpoolLock {
        try Self.lockExtractor(of: stream, spool: path, holder: holder)
    }

    static func lockShipper(of path: String, holder: String) throws -> SpoolLock {
        try SpoolLock(path: realPath(path) + ".ship.lock", holder: holder)
    }

    static func lockExtractor(of stream: String, spool path: String, holder: String) throws -> SpoolLock {
        let name = stream.utf8.prefix(60).map { byte in
            let isPlain = byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A || byte >= 0x30 && byte <= 0x39 || byte == 0x2D
            return isPlain ? String(UnicodeScalar(byte)) : "_"
        }.joined()
        // Names that differ only in what is cut or replaced above differ in the sum.
        var bytes = stream
        let sum = bytes.withUTF8 { checksum(UnsafeRawBufferPointer($0)) }
        let digits = String(sum, radix: 16)
        let suffix = String(repeating: "0", count: 8 - digits.count) + digits
        return try SpoolLock(path: "\(realPath(path)).extract-\(name)-\(suffix).lock", holder: holder)
    }

    /// The file itself, whatever link or relative path names it: there the locks lie, as SQLite's own side files do.
    static func realPath(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }
}
