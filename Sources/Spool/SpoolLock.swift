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

    deinit { close(descriptor) }

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
        try SpoolLock(path: path + ".ship.lock", holder: holder)
    }

    /// The lock of the one extractor of a stream.
    package func lockExtractor(of stream: String, holder: String) throws -> SpoolLock {
        let name = stream.utf8.map { byte in
            let isPlain = byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A || byte >= 0x30 && byte <= 0x39
            return isPlain ? String(UnicodeScalar(byte)) : "_\(byte)"
        }.joined()
        return try SpoolLock(path: path + ".extract-\(name).lock", holder: holder)
    }
}
