package import Extract
package import Spool
import Synchronization

/// A spool of which a copy is kept in a store, for as long as a command works with it (docs/remote-spool.md).
///
/// It is made by `open`, which takes the lock and restores what the disk has lost; while the command works, `keep` holds the lock and saves now
/// and then; `save` saves at once; `leave` lets the lock go.
package final class RemoteSpool: Sendable {
    package struct Configuration: Sendable {
        /// The spool's path.
        package var path: String
        /// This process, in words.
        package var holder: String
        package var host: String
        /// After so long without renewal the lock is anybody's.
        package var lease: Duration = .seconds(120)
        /// Saves while a command works are at least so far apart, and ten times as far as the last one took.
        package var saveInterval: Duration = .seconds(60)
        package var retries = Retries()
        /// Told what is no failure: a save that will be tried again, a spool that was restored.
        package var note: @Sendable (Note) -> Void = { _ in }

        package init(path: String, holder: String, host: String) {
            self.path = path
            self.holder = holder
            self.host = host
        }
    }

    package enum Note: Sendable {
        case restored(bytes: Int64, savedAt: String, savedBy: String)
        /// The spool's pending rows were put in doubt: a copy of it was used elsewhere.
        case doubted
        case saved(bytes: Int64)
        case saveFailed(any Error)
    }

    struct State {
        var known: VersionedState
        /// While this is to come, nobody else can have taken the lock.
        var validUntil: ContinuousClock.Instant
        var lastSave: ContinuousClock.Instant
        var lastSaveTook: Duration = .zero
        /// Why the lock could not be renewed the last time.
        var silence: String?
        /// Copies of this process that may have become the current one.
        var attempts: [String: CopiedState] = [:]
        /// Copies that were given up, with their numbers of parts.
        var leftovers: [String: Int] = [:]
    }

    package let store: SpoolStore
    let configuration: Configuration
    let states: StateStore
    let share: SpoolShare
    let lockID: String
    let state: Mutex<State>

    package var url: String { states.url }

    private init(
        _ store: SpoolStore, _ configuration: Configuration, _ states: StateStore, _ share: SpoolShare, lockID: String,
        _ known: VersionedState
    ) {
        self.store = store
        self.configuration = configuration
        self.states = states
        self.share = share
        self.lockID = lockID
        state = Mutex(
            State(known: known, validUntil: known.validUntil(lease: configuration.lease), lastSave: .now))
    }

    /// Takes the lock, or joins processes of this machine that have it, and opens the spool: the local one, or the copy where there is none.
    ///
    /// - Throws: `RemoteError`, `SpoolError`.
    package static func open(_ remote: any WritableStore, _ configuration: Configuration) async throws -> RemoteSpool {
        let states = StateStore(store: remote, retries: configuration.retries)
        do {
            try SpoolStore.prepareFolder(of: configuration.path)
            let share = try SpoolShare(spool: SpoolStore.realFile(configuration.path))
            let opening = Opening(states: states, configuration: configuration)
            try await share.join(holder: configuration.holder, sleep: configuration.retries.sleep) {
                try await opening.take()
            } join: { id in
                try await opening.join(id)
            }
            guard let (store, known) = opening.result else { throw SpoolError.broken("a spool was not opened") }
            store.sendOnlyWhatIsCopied()
            return RemoteSpool(store, configuration, states, share, lockID: known.state.lock?.id ?? "", known)
        } catch let error as ExtractError {
            throw RemoteError.store(error)
        }
    }

    /// Lets the lock go, unless others of this machine still use the spool. The caller has saved.
    package func leave() async throws {
        do {
            try await share.leave(holder: configuration.holder, sleep: configuration.retries.sleep) {
                CrashPoint.reached(.beforeRelease)
                var current = state.withLock { $0.known }
                for _ in 0..<8 {
                    do {
                        _ = try await states.exchange(current) { $0.lock = nil }
                        break
                    } catch let conflict as StateStore.Conflict {
                        // Another's lock is not ours to let go.
                        guard conflict.now.state.lock?.id == lockID else { break }
                        current = conflict.now
                    }
                }
                CrashPoint.reached(.afterRelease)
            }
        } catch let error as ExtractError {
            throw RemoteError.store(error)
        }
    }
}

extension VersionedState {
    /// The moment until which the lock that was seen holds, on this process's clock.
    func validUntil(lease: Duration) -> ContinuousClock.Instant { askedAt + lease - (age ?? .zero) }
}

/// How a spool is found or restored under the lock.
// Unchecked: used by one task.
private final class Opening: @unchecked Sendable {
    private let states: StateStore
    private let configuration: RemoteSpool.Configuration
    private(set) var result: (SpoolStore, VersionedState)?

    init(states: StateStore, configuration: RemoteSpool.Configuration) {
        self.states = states
        self.configuration = configuration
    }

    /// Others of this machine have the lock.
    func join(_ id: String) async throws {
        let known = try await states.load()
        guard known.state.lock?.id == id else {
            throw RemoteError.lost(url: states.url, holder: known.state.lock?.holder)
        }
        result = (try SpoolStore(path: configuration.path), known)
    }

    /// Nobody on this machine has it.
    func take() async throws -> String {
        let path = configuration.path
        let local = SpoolStore.exists(at: path) ? try SpoolStore(path: path) : nil
        let mark = try await local?.remoteMark()
        var current = try await states.load()
        let lineage = local == nil ? RandomName.make() : mark?.lineage ?? RandomName.make()
        if let local, mark?.lineage == nil { try await local.setLineage(lineage) }
        let lock = RemoteState.Lock(
            id: RandomName.make(), holder: configuration.holder, host: configuration.host, spool: path,
            leaseSeconds: configuration.lease.components.seconds)
        for _ in 0..<8 {
            try checkLock(current, lineage: lineage)
            if let local, let mark { try await compare(local, mark, current.state) }
            CrashPoint.reached(.beforeLock)
            do {
                let taken = try await states.exchange(current) { state in
                    state.lock = lock
                    state.lineage = lineage
                }
                CrashPoint.reached(.afterLock)
                do {
                    result = (try await spool(local, taken.state, lineage: lineage), taken)
                } catch {
                    // Others need not wait for the lease's end.
                    _ = try? await states.exchange(taken) { $0.lock = nil }
                    throw error
                }
                await removeLeftovers(but: taken.state.copy)
                return lock.id
            } catch let conflict as StateStore.Conflict {
                current = conflict.now
            }
        }
        throw RemoteError.held(
            url: states.url, holder: current.state.lock?.holder ?? "several at once", age: current.age)
    }

    private func checkLock(_ current: VersionedState, lineage: String) throws {
        guard let lock = current.state.lock else { return }
        // Nobody on this machine uses this very spool: its last user was killed.
        let isOurs =
            current.state.lineage == lineage && lock.host == configuration.host && lock.spool == configuration.path
        if isOurs { return }
        if let age = current.age, age > .seconds(lock.leaseSeconds) { return }
        throw RemoteError.held(url: states.url, holder: lock.holder, age: current.age)
    }

    /// Whether the local spool is the one to go on with.
    private func compare(_ local: SpoolStore, _ mark: RemoteMark, _ state: RemoteState) async throws {
        if let copy = state.copy {
            let isAttempt = mark.attempts.contains(copy.id)
            guard copy.id == mark.copy || isAttempt else {
                throw RemoteError.forked(
                    url: states.url, spool: local.path, savedBy: copy.savedBy, savedAt: copy.savedAt)
            }
            if isAttempt { try await local.noteSaved(copy.id, nil) }
            // Somebody restored our copy, and may have sent its rows before it was lost in turn.
            guard state.lineage != mark.lineage else { return }
        } else {
            // The copy was taken away: who did it may have used it.
            guard mark.copy != nil else { return }
        }
        try await local.doubtPending()
        configuration.note(.doubted)
    }

    private func spool(_ local: SpoolStore?, _ state: RemoteState, lineage: String) async throws -> SpoolStore {
        if let local { return local }
        if let copy = state.copy {
            try await CopyTransfer(store: states.store, retries: configuration.retries).restore(
                copy, to: configuration.path, lineage: lineage)
            configuration.note(
                .restored(bytes: copy.unpackedBytes, savedAt: copy.savedAt, savedBy: copy.savedBy))
            return try SpoolStore(path: configuration.path)
        }
        let store = try SpoolStore(path: configuration.path)
        try await store.setLineage(lineage)
        return store
    }

    /// Deletes parts of copies that never became the current one, or no longer are. Only the lock's holder makes or names any.
    private func removeLeftovers(but copy: RemoteState.Copy?) async {
        var token: String?
        repeat {
            // Room for another time: what can't be listed or deleted does no harm.
            guard let page = try? await states.store.list(prefix: RemoteState.Copy.prefix, after: token) else { return }
            for object in page.objects {
                guard let id = RemoteState.Copy.id(ofPart: object.name), id != copy?.id else { continue }
                try? await states.store.delete(object.name)
            }
            token = page.next
        } while token != nil
    }
}

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
