import Extract

/// The state with the version it was read in.
struct VersionedState: Sendable {
    var state: RemoteState
    /// nil: there is none yet.
    var version: String?
    /// Since it was written, by the store's clock; nil where the store doesn't tell.
    var age: Duration?
    /// When it was asked for.
    var askedAt: ContinuousClock.Instant
}

/// Reads the state, and writes it by compare-and-swap.
struct StateStore: Sendable {
    /// The state is another one than the caller knew.
    struct Conflict: Error {
        var now: VersionedState
    }

    let store: any WritableStore
    let retries: Retries

    var url: String { store.url }

    func load() async throws -> VersionedState {
        try await retries.run { try await loadOnce() }
    }

    private func loadOnce() async throws -> VersionedState {
        while true {
            let asked = ContinuousClock.now
            guard let found = try await store.find(RemoteState.name) else {
                return VersionedState(state: RemoteState(), version: nil, age: nil, askedAt: asked)
            }
            guard found.object.size <= 1 << 20 else {
                throw RemoteError.damaged(url: url, reason: "\(RemoteState.name) has \(found.object.size) bytes")
            }
            do {
                let bytes = try await store.read(found.object, range: 0..<found.object.size)
                return VersionedState(
                    state: try RemoteState(parsing: bytes, url: url), version: found.object.version, age: found.age,
                    askedAt: asked)
            } catch is ObjectStoreError {
                // Written meanwhile: look again.
                continue
            }
        }
    }

    /// Writes a state in the place of the one that was read.
    ///
    /// - Throws: `Conflict` when another one is there. Any error that is transient leaves open whether the write has arrived.
    func exchange(
        _ current: VersionedState, _ change: (inout RemoteState) -> Void
    ) async throws -> VersionedState {
        var next = current.state
        change(&next)
        next.write = RandomName.make()
        let bytes = next.bytes
        let condition = current.version.map { WriteCondition.version($0) } ?? .absent
        let written = next
        return try await retries.run {
            let asked = ContinuousClock.now
            do {
                let version = try await store.put(RemoteState.name, bytes, if: condition)
                return VersionedState(state: written, version: version, age: .zero, askedAt: asked)
            } catch is ObjectStoreError {
                // By somebody else, or by an earlier attempt of this very write whose answer was lost.
                let now = try await loadOnce()
                guard now.state.write == written.write else { throw Conflict(now: now) }
                return now
            }
        }
    }
}

/// How often a call on the store is tried again before its failure is the caller's.
package struct Retries: Sendable {
    package var pauses: [Duration]
    package var sleep: @Sendable (Duration) async throws -> Void

    package init(
        pauses: [Duration] = [.milliseconds(300), .seconds(1), .seconds(3)],
        sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) {
        self.pauses = pauses
        self.sleep = sleep
    }

    func run<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        for pause in pauses {
            do { return try await body() } catch let error as ExtractError where error.isTransient {
                try await sleep(max(pause, min(error.retryAfter ?? .zero, .seconds(20))))
            }
        }
        return try await body()
    }
}
