internal import Dispatch

#if canImport(Glibc)
    internal import Glibc
#endif

/// A folder of this machine. A version is a file's size and modification time.
package struct LocalStore: ObjectStore {
    package static let kind = "file"

    package let url: String
    /// Absolute, ending in `/`.
    let folder: String

    /// - Parameter folder: an absolute path.
    package init(folder: String) {
        self.folder = folder.hasSuffix("/") ? folder : folder + "/"
        url = "file://" + self.folder
    }

    /// All files in one page, ordered by their names' bytes; symbolic links are followed, but not back to a folder they lie in.
    /// O(files) in memory.
    package func list(prefix: String, after token: String?) async throws -> ObjectListing {
        let (folder, url) = (folder, url)
        return try await BlockingFiles.run {
            var walk = FolderWalk(root: folder, prefix: prefix, url: url)
            return ObjectListing(
                objects: try walk.files().sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
        }
    }

    package func open(_ object: StoredObject, from offset: Int64) async throws -> ObjectBody {
        let file = try await opened(object)
        file.seek(to: offset)
        return ObjectBody { try await BlockingFiles.run { try file.readNext() } }
    }

    package func read(_ object: StoredObject, range: Range<Int64>) async throws -> [UInt8] {
        let file = try await opened(object)
        return try await BlockingFiles.run { try file.read(range) }
    }

    private func opened(_ object: StoredObject) async throws -> LocalFile {
        let (path, url) = (folder + object.name, url(of: object.name))
        return try await BlockingFiles.run { try LocalFile(path: path, url: url, version: object.version) }
    }
}

/// Where file system calls block instead of on Swift's threads.
enum BlockingFiles {
    private static let queue = DispatchQueue(label: "etlctl.files", attributes: .concurrent)

    static func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result(catching: body)) }
        }
    }
}

/// An open file in the version that was listed.
// Unchecked: one task at a time reads, as `ObjectBody` says; the descriptor is owned, opened in init and closed in deinit.
private final class LocalFile: @unchecked Sendable {
    private static let chunkSize = 1 << 20
    private let descriptor: CInt
    private let url: String
    private let version: String
    private let size: Int64
    private var offset: Int64 = 0

    init(path: String, url: String, version: String) throws {
        descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        self.url = url
        self.version = version
        guard descriptor >= 0 else { throw FileFailure.reading(url, errno) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileFailure.reading(url, errno) }
        size = Int64(status.st_size)
        guard FolderWalk.version(of: status) == version else { throw ObjectStoreError.changed(url: url) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func seek(to offset: Int64) { self.offset = offset }

    /// The next chunk; nil at the end of the listed version.
    func readNext() throws -> [UInt8]? {
        let wanted = min(Int64(Self.chunkSize), size - offset)
        guard wanted > 0 else {
            try checkVersion()
            return nil
        }
        let chunk = try readSome(at: offset, count: Int(wanted))
        // A file that became shorter.
        guard !chunk.isEmpty else { throw ObjectStoreError.changed(url: url) }
        offset += Int64(chunk.count)
        return chunk
    }

    func read(_ range: Range<Int64>) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < range.count {
            let part = try readSome(at: range.lowerBound + Int64(bytes.count), count: range.count - bytes.count)
            guard !part.isEmpty else { throw ObjectStoreError.changed(url: url) }
            bytes = bytes.isEmpty ? part : bytes + part
        }
        try checkVersion()
        return bytes
    }

    private func readSome(at offset: Int64, count wanted: Int) throws -> [UInt8] {
        var problem: CInt = 0
        let chunk = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
            var result = 0
            repeat {
                result = pread(descriptor, buffer.baseAddress, wanted, off_t(offset))
            } while result < 0
                && errno == EINTR
            if result < 0 { problem = errno }
            count = max(0, result)
        }
        guard problem == 0 else { throw FileFailure.reading(url, problem) }
        return chunk
    }

    private func checkVersion() throws {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileFailure.reading(url, errno) }
        guard FolderWalk.version(of: status) == version else { throw ObjectStoreError.changed(url: url) }
    }
}

/// What a failed call on a file means.
enum FileFailure {
    static func reading(_ url: String, _ code: CInt) -> any Error {
        let reason = String(cString: strerror(code))
        switch code {
        case ENOENT, ENOTDIR: return ObjectStoreError.gone(url: url)
        case EACCES, EPERM:
            return ExtractError(
                .denied, "reading \(url) failed: \(reason)", hint: "give the user that runs etlctl the right to read it"
            )
        default:
            return ExtractError(
                .unavailable, "reading \(url) failed: \(reason)", hint: "check the disk or the network it lies on")
        }
    }
}
