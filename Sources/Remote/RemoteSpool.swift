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
