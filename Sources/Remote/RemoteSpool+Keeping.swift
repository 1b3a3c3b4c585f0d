import Extract
import Spool
import Synchronization

extension RemoteSpool {
    /// Holds the lock and saves now and then, until the task is cancelled.
    ///
    /// - Parameter sends: rows are being sent: then the work must end as soon as it can't be known any more whether the lock holds.
    /// - Throws: `RemoteError.lost`, or `.uncertain` with `sends`: the command must stop.
    package func keep(sends: Bool) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.keepRenewing() }
            group.addTask { try await self.keepSaving() }
            if sends { group.addTask { try await self.watchLease() } }
            try await group.next()
            group.cancelAll()
        }
    }

    /// Ends with `.uncertain` some time before the lock is anybody's: what is under way has to end before.
    private func watchLease() async throws {
        while true {
            let (validUntil, reason) = state.withLock { ($0.validUntil, $0.silence) }
            let left = validUntil - configuration.lease / 12 - .now
            guard left > .zero else { throw RemoteError.uncertain(url: url, reason: reason ?? "it did not answer") }
            do { try await Task.sleep(for: left) } catch { return }
        }
    }

    private func keepRenewing() async throws {
        while true {
            do { try await configuration.retries.sleep(configuration.lease / 4) } catch { return }
            try await renewIfPossible()
        }
    }

    private func keepSaving() async throws {
        while true {
            do { try await configuration.retries.sleep(configuration.lease / 4) } catch { return }
            do { try await saveIfDue() } catch is CancellationError { return }
        }
    }

    /// Renews the lock. That the store can't be asked is no error here; how long that may last, `watchLease` decides.
    ///
    /// - Throws: `RemoteError.lost`, and what is wrong with the state.
    func renewIfPossible() async throws {
        do { try await renew() } catch let error as ExtractError {
            state.withLock { $0.silence = error.description }
        } catch is CancellationError {
        }
    }

    /// Renews the lock, unless another process of this machine has done so just now.
    private func renew() async throws {
        let current = try await states.load()
        try note(current)
        if let age = current.age, age < configuration.lease / 5 { return }
        _ = try await exchange(current) { _ in }
    }

    private func saveIfDue() async throws {
        let isDue = state.withLock { state in
            let pause = max(configuration.saveInterval, state.lastSaveTook * 10)
            return state.lastSave + pause <= .now
        }
        guard isDue else { return }
        do { try await save() } catch let error as RemoteError {
            switch error {
            case .lost, .newer, .damaged: throw error
            default: configuration.note(.saveFailed(error))
            }
        } catch let error as SpoolError {
            configuration.note(.saveFailed(error))
        }
    }

    /// Writes down that the lock is ours.
    ///
    /// - Throws: `RemoteError.lost` where it is not.
    private func note(_ current: VersionedState) throws {
        guard current.state.lock?.id == lockID else {
            throw RemoteError.lost(url: url, holder: current.state.lock?.holder)
        }
        state.withLock { state in
            state.known = current
            state.validUntil = max(state.validUntil, current.validUntil(lease: configuration.lease))
        }
    }

    /// Changes the state for as long as the lock is ours and the current copy the one that is known.
    private func exchange(
        _ known: VersionedState, _ change: (inout RemoteState) -> Void
    ) async throws -> VersionedState {
        var current = known
        for _ in 0..<16 {
            do {
                let next = try await states.exchange(current, change)
                try note(next)
                return next
            } catch let conflict as StateStore.Conflict {
                // A renewal of another process of this machine.
                try note(conflict.now)
                current = conflict.now
            }
        }
        throw ExtractError(.unavailable, "writing \(url)\(RemoteState.name) was overtaken again and again")
    }

    // MARK: Saving

    /// Makes what the spool holds the store's current copy, if anything was changed since the last.
    ///
    /// - Returns: false where there was nothing to save.
    /// - Throws: `RemoteError`, `SpoolError`: the copy in the store is the one before, or this one if its answer was lost.
    @discardableResult
    package func save() async throws -> Bool {
        do {
            return try await Renewal.beside(
                every: configuration.lease / 4, sleep: configuration.retries.sleep,
                renew: { try await self.renewIfPossible() }
            ) { try await self.saveNow() }
        } catch let error as ExtractError {
            throw RemoteError.store(error)
        }
    }

    private func saveNow() async throws -> Bool {
        let begun = ContinuousClock.now
        let turn = try await share.lockSaving(holder: configuration.holder, sleep: configuration.retries.sleep)
        defer {
            withExtendedLifetime(turn) {}
            state.withLock { $0.lastSave = .now }
        }
        guard try await store.hasUnsavedChanges() else { return false }
        let current = try await states.load()
        try note(current)
        if try await isSavedAlready(current.state.copy), try await !store.hasUnsavedChanges() { return false }
        let copy = try await upload()
        CrashPoint.reached(.beforeSave)
        _ = try await exchange(current) { $0.copy = copy.copy }
        CrashPoint.reached(.afterSave)
        try await store.noteSaved(copy.copy.id, copy.state)
        CrashPoint.reached(.notedSave)
        configuration.note(.saved(bytes: copy.copy.bytes))
        state.withLock { state in
            state.attempts = [:]
            state.leftovers[copy.copy.id] = nil
            if let old = current.state.copy { state.leftovers[old.id] = old.parts }
            state.lastSaveTook = .now - begun
        }
        await removeLeftovers()
        return true
    }

    /// A save whose answer was lost may have arrived.
    private func isSavedAlready(_ copy: RemoteState.Copy?) async throws -> Bool {
        guard let copy, let attempt = state.withLock({ $0.attempts[copy.id] }) else { return false }
        try await store.noteSaved(copy.id, attempt)
        state.withLock { state in
            state.attempts = [:]
            state.leftovers[copy.id] = nil
        }
        return true
    }

    private func upload() async throws -> (copy: RemoteState.Copy, state: CopiedState) {
        let id = RandomName.make()
        let file = CopyTransfer.file(beside: configuration.path)
        defer { FileWork.remove(file) }
        let copied = try await store.makeCopy(id, at: file)
        CrashPoint.reached(.madeCopy)
        let transfer = CopyTransfer(store: states.store, retries: configuration.retries)
        let uploaded = try await transfer.upload(file, id: id) { parts in
            // For the case that it is given up.
            state.withLock { $0.leftovers[id] = parts }
        }
        try await store.noteAttempt(id)
        state.withLock { $0.attempts[id] = copied }
        let copy = RemoteState.Copy(
            id: id, parts: uploaded.parts, bytes: uploaded.bytes, unpackedBytes: copied.bytes, sha256: uploaded.sha256,
            savedAt: Timestamp.now().description, savedBy: configuration.holder)
        return (copy, copied)
    }

    /// Deletes what is not the current copy and was made or replaced by this process. What remains is for who takes the lock next.
    private func removeLeftovers() async {
        let leftovers = state.withLock { state in
            defer { state.leftovers = [:] }
            return state.leftovers
        }
        for (id, parts) in leftovers {
            for part in 0..<parts { try? await states.store.delete(RemoteState.Copy.name(id, part)) }
        }
    }
}
