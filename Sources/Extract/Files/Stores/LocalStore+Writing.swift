#if canImport(Glibc)
    internal import Glibc
#endif

/// Conditional writes in a folder, also one that several machines have mounted (NFS 4, SMB): writers take turns by `flock` on a file of their
/// own, and a name always stands for a whole file.
extension LocalStore: WritableStore {
    package func find(_ name: String) async throws -> FoundObject? {
        let writing = FolderWriting(folder: folder, url: url)
        return try await BlockingFiles.run { try writing.find(name) }
    }

    package func put(_ name: String, _ bytes: [UInt8], if condition: WriteCondition) async throws -> String {
        let writing = FolderWriting(folder: folder, url: url)
        return try await BlockingFiles.run { try writing.put(name, bytes, if: condition) }
    }

    package func delete(_ name: String) async throws {
        let (path, url) = (folder + name, url(of: name))
        try await BlockingFiles.run {
            guard unlink(path) == 0 || errno == ENOENT else { throw FileFailure.failed("deleting", url, errno) }
        }
    }
}

private struct FolderWriting: Sendable {
    let folder: String
    let url: String
    /// Held by `flock` while a name changes; touched to learn the file system's time.
    private static let lockName = ".etlctl-lock"

    func find(_ name: String) throws -> FoundObject? {
        var status = stat()
        guard stat(folder + name, &status) == 0 else {
            guard errno == ENOENT else { throw FileFailure.failed("looking for", url + name, errno) }
            return nil
        }
        let object = StoredObject(name: name, size: Int64(status.st_size), version: FolderWalk.version(of: status))
        let written = status.st_mtim.tv_sec
        let lock = try openLock()
        defer { close(lock) }
        var now = stat()
        guard futimens(lock, nil) == 0, fstat(lock, &now) == 0 else { return FoundObject(object: object, age: nil) }
        return FoundObject(object: object, age: .seconds(max(0, now.st_mtim.tv_sec - written)))
    }

    func put(_ name: String, _ bytes: [UInt8], if condition: WriteCondition) throws -> String {
        let path = folder + name
        let lock = try openLock()
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0 {
            guard errno == EINTR else { throw FileFailure.failed("writing", url + name, errno) }
        }
        var before = stat()
        let isThere = stat(path, &before) == 0
        switch condition {
        case .absent: guard !isThere else { throw ObjectStoreError.changed(url: url + name) }
        case .version(let version):
            guard isThere, FolderWalk.version(of: before) == version else {
                throw ObjectStoreError.changed(url: url + name)
            }
        }
        // One name for all: only who holds the lock writes. What a kill leaves is written over by the next.
        let partial = folder + ".etlctl-partial"
        do {
            var after = try write(bytes, to: partial)
            // Clocks of file systems tick some hundred times a second: a version must differ from the one before all the same.
            if isThere,
                after.st_mtim.tv_sec < before.st_mtim.tv_sec
                    || (after.st_mtim.tv_sec == before.st_mtim.tv_sec
                        && after.st_mtim.tv_nsec <= before.st_mtim.tv_nsec)
            {
                var time = before.st_mtim
                time.tv_nsec += 1000
                if time.tv_nsec >= 1_000_000_000 { (time.tv_sec, time.tv_nsec) = (time.tv_sec + 1, 0) }
                guard utimensat(AT_FDCWD, partial, [time, time], 0) == 0, stat(partial, &after) == 0 else {
                    throw FileFailure.failed("writing", url + name, errno)
                }
            }
            guard rename(partial, path) == 0 else { throw FileFailure.failed("writing", url + name, errno) }
            let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
            if descriptor >= 0 {
                fsync(descriptor)
                close(descriptor)
            }
            return FolderWalk.version(of: after)
        } catch {
            unlink(partial)
            throw error
        }
    }

    private func write(_ bytes: [UInt8], to path: String) throws -> stat {
        let descriptor = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileFailure.failed("writing", url, errno) }
        defer { close(descriptor) }
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: offset), bytes.count - offset)
            }
            guard count >= 0 || errno == EINTR else { throw FileFailure.failed("writing", url, errno) }
            offset += max(0, count)
        }
        var status = stat()
        guard fsync(descriptor) == 0, fstat(descriptor, &status) == 0 else {
            throw FileFailure.failed("writing", url, errno)
        }
        return status
    }

    private func openLock() throws -> CInt {
        let descriptor = open(folder + Self.lockName, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            guard errno != ENOENT else {
                throw ExtractError(
                    .configuration, "the folder \(url) does not exist", hint: "make it, or mount what belongs there")
            }
            throw FileFailure.failed("writing", url, errno)
        }
        return descriptor
    }
}

extension FileFailure {
    /// - Parameter verb: what was tried with `url`.
    static func failed(_ verb: String, _ url: String, _ code: CInt) -> ExtractError {
        let reason = String(cString: strerror(code))
        switch code {
        case EACCES, EPERM, EROFS:
            return ExtractError(
                .denied, "\(verb) \(url) failed: \(reason)",
                hint: "give the user that runs etlctl the right to write there")
        default:
            return ExtractError(
                .unavailable, "\(verb) \(url) failed: \(reason)", hint: "check the disk or the network it lies on")
        }
    }
}
