import Synchronization

/// The body of a streamed response between libcurl's thread and its reader. At most ``limit`` bytes wait here; beyond
/// that the transfer is paused.
final class ChunkQueue: ResponseSink {
    /// Enough to keep a fast network busy while the reader works on the chunk before.
    static let limit = 1 << 20

    typealias Next = Result<[UInt8]?, HTTPError>

    private struct State {
        var head: Result<HTTPHead, HTTPError>?
        var headWaiter: CheckedContinuation<Result<HTTPHead, HTTPError>, Never>?
        var pending: [UInt8] = []
        var isPaused = false
        /// The end: `success(nil)`, or why the body is not complete.
        var end: Next?
        var waiter: CheckedContinuation<Next, Never>?

        /// What a reader gets now; nil: it has to wait.
        mutating func take() -> Next? {
            guard pending.isEmpty else {
                defer { pending = [] }
                return .success(pending)
            }
            return end
        }
    }

    private let state = Mutex(State())
    let canPause = true

    // MARK: On the loop's thread

    func head(_ head: HTTPHead) {
        settleHead(.success(head))
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> WriteVerdict {
        state.withLock { state in
            guard state.pending.isEmpty || state.pending.count + bytes.count <= Self.limit else {
                state.isPaused = true
                return .pause
            }
            state.pending.append(contentsOf: bytes)
            return .taken
        }
    }

    func flush() {
        let (waiter, next) = state.withLock { state -> (CheckedContinuation<Next, Never>?, Next?) in
            guard let waiter = state.waiter, let next = state.take() else { return (nil, nil) }
            state.waiter = nil
            return (waiter, next)
        }
        if let waiter, let next { waiter.resume(returning: next) }
    }

    func finish(_ failure: HTTPError?) {
        state.withLock { $0.end = failure.map(Next.failure) ?? .success(nil) }
        if let failure { settleHead(.failure(failure)) }
        flush()
    }

    /// The first one counts: a failure after the head belongs to the body.
    private func settleHead(_ head: Result<HTTPHead, HTTPError>) {
        let waiter = state.withLock { state in
            guard state.head == nil else { return nil as CheckedContinuation<Result<HTTPHead, HTTPError>, Never>? }
            state.head = head
            defer { state.headWaiter = nil }
            return state.headWaiter
        }
        waiter?.resume(returning: head)
    }

    // MARK: The reader

    func head() async -> Result<HTTPHead, HTTPError> {
        await withCheckedContinuation { continuation in
            let head = state.withLock { state in
                if state.head == nil { state.headWaiter = continuation }
                return state.head
            }
            if let head { continuation.resume(returning: head) }
        }
    }

    /// The next chunk, or the end.
    /// - Parameter resume: called when the transfer was paused for this reader and may go on.
    func next(resume: () -> Void) async -> Next {
        await withCheckedContinuation { continuation in
            let (next, displaced, wasPaused) = state.withLock { state in
                let next = state.take()
                var displaced: CheckedContinuation<Next, Never>?
                if next == nil {
                    // Two tasks reading one stream is a mistake of ours; the earlier one sees the end rather than hang.
                    displaced = state.waiter
                    state.waiter = continuation
                }
                defer { state.isPaused = false }
                return (next, displaced, state.isPaused)
            }
            displaced?.resume(returning: .success(nil))
            if wasPaused { resume() }
            if let next { continuation.resume(returning: next) }
        }
    }
}
