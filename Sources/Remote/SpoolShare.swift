import Spool

#if canImport(Glibc)
    internal import Glibc
#endif

/// The processes of this machine that use one spool share the store's lock: the first takes it, the last lets it go.
///
/// Two files beside the spool: `.remote.lock`, held by `flock` while somebody joins or leaves, and `.remote.users`, held shared by everybody who
/// has joined; the kernel lets both go with the process. The latter holds the lock's id.
// Unchecked: one task at a time joins or leaves; the descriptor is owned, opened in init and closed in deinit.
final class SpoolShare: @unchecked Sendable {
    private let path: String
    private let users: Int32

    init(spool path: String) throws {
        self.path = path
        users = open(path + ".remote.users", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard users >= 0 else {
            throw SpoolError.unusable(path: path + ".remote.users", reason: String(cString: strerror(errno)))
        }
    }

    deinit {
        flock(users, LOCK_UN)
        close(users)
    }

    /// Joins the others, or takes the lock as the first.
    ///
    /// - Parameters:
    ///   - take: takes the store's lock, for all that join later. It may take as long as restoring the spool does.
    ///   - join: looks whether the lock that the others hold is still theirs.
    func join(
        holder: String, sleep: (Duration) async throws -> Void, take: () async throws -> String,
        join: (String) async throws -> Void
    ) async throws {
        let turn = try await takeTurn(holder: holder, sleep: sleep)
        defer { withExtendedLifetime(turn) {} }
        if flock(users, LOCK_EX | LOCK_NB) == 0 {
            note("")
            note(try await take())
        } else {
            let id = noted()
            guard !id.isEmpty else { throw SpoolError.locked(path: path, holder: "another etlctl, which is starting") }
            try await join(id)
        }
        guard flock(users, LOCK_SH | LOCK_NB) == 0 else {
            throw SpoolError.locked(path: path, holder: "another etlctl")
        }
    }

    /// Leaves the others.
    ///
    /// - Parameter release: called by the last one.
    func leave(holder: String, sleep: (Duration) async throws -> Void, release: () async throws -> Void) async throws {
        let turn = try await takeTurn(holder: holder, sleep: sleep)
        defer { withExtendedLifetime(turn) {} }
        flock(users, LOCK_UN)
        guard flock(users, LOCK_EX | LOCK_NB) == 0 else { return }
        defer { flock(users, LOCK_UN) }
        try await release()
        note("")
    }

    private func takeTurn(holder: String, sleep: (Duration) async throws -> Void) async throws -> SpoolLock {
        try await Self.patiently(sleep: sleep) { try SpoolLock(path: path + ".remote.lock", holder: holder) }
    }

    /// The lock under which a copy is made and uploaded: one at a time.
    func lockSaving(holder: String, sleep: (Duration) async throws -> Void) async throws -> SpoolLock {
        try await Self.patiently(sleep: sleep) { try SpoolLock(path: path + ".remote-save.lock", holder: holder) }
    }

    /// Waits for another process, which may be restoring or uploading.
    private static func patiently(
        sleep: (Duration) async throws -> Void, _ lock: () throws -> SpoolLock
    ) async throws -> SpoolLock {
        let pause = Duration.milliseconds(100)
        for _ in 0..<36_000 {
            do { return try lock() } catch SpoolError.locked { try await sleep(pause) }
        }
        return try lock()
    }

    private func note(_ id: String) {
        ftruncate(users, 0)
        let text = Array(id.utf8)
        _ = pwrite(users, text, text.count, 0)
    }

    private func noted() -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = pread(users, &buffer, buffer.count, 0)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
}
