#if canImport(Glibc)
    import Glibc
#endif

/// Disk space set aside in a file beside the spool. Rows are spooled only while it stands; everything else may use it when the disk is full,
/// so that what is spooled can still be sent and settled, which then makes room.
struct SpoolReserve: Sendable {
    /// Enough for the write-ahead log of what delivery and retention write in one transaction, some dozen pages.
    static let bytes = 512 << 10

    private let path: String

    init(spool: String) { path = spool + "-reserve" }

    var stands: Bool {
        var information = stat()
        return lstat(path, &information) == 0 && Int(information.st_blocks) * 512 >= Self.bytes
    }

    /// Sets the space aside if it is not. False if the disk has none; then nothing is left behind.
    func make() -> Bool {
        if stands { return true }
        let descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return false }
        let isMade = posix_fallocate(descriptor, 0, off_t(Self.bytes)) == 0
        close(descriptor)
        if !isMade { unlink(path) }
        return isMade
    }

    /// Gives the space back to the file system. False if there was none.
    func release() -> Bool { unlink(path) == 0 }
}
