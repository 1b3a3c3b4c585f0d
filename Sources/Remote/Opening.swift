import Extract
import Spool

/// How a spool is found or restored under the lock.
// Unchecked: used by one task.
final class Opening: @unchecked Sendable {
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
                    result = (try await spool(local, taken, lineage: lineage), taken)
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

    private func spool(_ local: SpoolStore?, _ taken: VersionedState, lineage: String) async throws -> SpoolStore {
        if let local { return local }
        if let copy = taken.state.copy {
            let transfer = CopyTransfer(store: states.store, retries: configuration.retries)
            let path = configuration.path
            try await Renewal.beside(every: configuration.lease / 4, sleep: configuration.retries.sleep) {
                try await self.renew(taken)
            } _: {
                try await transfer.restore(copy, to: path, lineage: lineage)
            }
            configuration.note(
                .restored(bytes: copy.unpackedBytes, savedAt: copy.savedAt, savedBy: copy.savedBy))
            return try SpoolStore(path: configuration.path)
        }
        let store = try SpoolStore(path: configuration.path)
        try await store.setLineage(lineage)
        return store
    }

    private func renew(_ taken: VersionedState) async throws {
        do {
            let now = try await states.load()
            guard now.state.lock?.id == taken.state.lock?.id else {
                throw RemoteError.lost(url: states.url, holder: now.state.lock?.holder)
            }
            _ = try await states.exchange(now) { _ in }
        } catch is ExtractError {
            // Another time.
        } catch is CancellationError {
        }
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
