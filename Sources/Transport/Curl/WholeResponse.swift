import Synchronization

/// Gathers a response in memory, up to a limit.
final class WholeResponse: ResponseSink {
    typealias Outcome = Result<HTTPResponse, HTTPError>

    private struct State {
        var response = HTTPResponse(status: 0)
        var outcome: Outcome?
        var waiter: CheckedContinuation<Outcome, Never>?
    }

    private let limit: Int
    private let state = Mutex(State())
    let canPause = false

    init(limit: Int) {
        self.limit = limit
    }

    func head(_ head: HTTPHead) {
        state.withLock { state in
            state.response.status = head.status
            state.response.headers = head.headers
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> WriteVerdict {
        state.withLock { state in
            guard state.response.body.count + bytes.count <= limit else { return .tooLarge(limit: limit) }
            state.response.body.append(contentsOf: bytes)
            return .taken
        }
    }

    func flush() {}

    func finish(_ failure: HTTPError?) {
        let (waiter, outcome) = state.withLock { state in
            let outcome = failure.map(Outcome.failure) ?? .success(state.response)
            state.outcome = outcome
            state.response = HTTPResponse(status: 0)
            defer { state.waiter = nil }
            return (state.waiter, outcome)
        }
        waiter?.resume(returning: outcome)
    }

    /// Waits for `finish`. Cancellation is the loop's business: it finishes a cancelled transfer.
    func outcome() async -> Outcome {
        await withCheckedContinuation { continuation in
            let outcome = state.withLock { state in
                if state.outcome == nil { state.waiter = continuation }
                return state.outcome
            }
            if let outcome { continuation.resume(returning: outcome) }
        }
    }
}
