package import Extract
package import Spool

extension RemoteSpool {
    /// Downloads the current copy to be looked at, without the lock; an empty spool where there is none. What is changed in it is lost.
    package static func view(
        _ remote: any WritableStore, at path: String, retries: Retries = Retries()
    ) async throws -> SpoolStore {
        do {
            let states = StateStore(store: remote, retries: retries)
            for _ in 0..<3 {
                guard let copy = try await states.load().state.copy else { break }
                do {
                    try await CopyTransfer(store: remote, retries: retries).restore(copy, to: path, lineage: "view")
                    return try SpoolStore(path: path)
                } catch let error as RemoteError {
                    // Replaced while it was read.
                    guard case .damaged = error, try await states.load().state.copy != copy else { throw error }
                }
            }
            return try SpoolStore(path: path)
        } catch let error as ExtractError {
            throw RemoteError.store(error)
        }
    }

    /// What the store holds, and that it lets itself be written: an object is written, written over and deleted.
    package static func check(_ remote: any WritableStore, retries: Retries = Retries()) async throws -> Findings {
        do {
            let current = try await StateStore(store: remote, retries: retries).load()
            let name = "probe-" + RandomName.make()
            let bytes = Array("etlctl check\n".utf8)
            let version = try await retries.run { try await remote.put(name, bytes, if: .absent) }
            var ignoresConditions = true
            do { _ = try await remote.put(name, bytes, if: .absent) } catch is ObjectStoreError {
                ignoresConditions = false
            }
            if !ignoresConditions { _ = try await remote.put(name, bytes + bytes, if: .version(version)) }
            try await remote.delete(name)
            let lock = current.state.lock
            let isFree = lock.map { lock in current.age.map { $0 > .seconds(lock.leaseSeconds) } ?? false } ?? true
            return Findings(
                savedAt: current.state.copy?.savedAt, savedBy: current.state.copy?.savedBy,
                bytes: current.state.copy?.bytes, holder: isFree ? nil : lock?.holder, age: current.age,
                ignoresConditions: ignoresConditions)
        } catch let error as ExtractError {
            throw RemoteError.store(error)
        }
    }

    package struct Findings: Sendable {
        package var savedAt: String?
        package var savedBy: String?
        /// Of the copy, packed.
        package var bytes: Int64?
        /// Who has the lock.
        package var holder: String?
        package var age: Duration?
        /// The store writes over what it was told not to: it is of no use for a lock.
        package var ignoresConditions: Bool
    }
}
