internal import Synchronization

/// What all tables of one run share besides the budget: the wish to stop, whether to wait for more rows, and the limits on rows.
final class ShipControl: Sendable {
    private struct State {
        var isStopping = false
        var follows: Bool
        var rowsLeft: Int?
        /// When the next rows may go out, by `ShipClock.uptime`.
        var nextSend: Duration = .zero
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
    }

    private let state: Mutex<State>
    private let rowsPerSecond: Int

    init(follows: Bool, rowLimit: Int?, rowsPerSecond: Int) {
        state = Mutex(State(follows: follows, rowsLeft: rowLimit))
        self.rowsPerSecond = rowsPerSecond
    }

    // MARK: Stopping

    var isStopping: Bool { state.withLock { $0.isStopping } }
    var follows: Bool { state.withLock { $0.follows } }

    func stop() {
        let waiters = state.withLock { state in
            state.isStopping = true
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    /// From now on the run ends when everything is delivered.
    func endFollowing() { state.withLock { $0.follows = false } }

    /// Returns when `stop` was called or the task is cancelled.
    func waitForStop() async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isLate = state.withLock { state in
                    guard !state.isStopping else { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isLate { continuation.resume() }
                if Task.isCancelled { wake(id) }
            }
        } onCancel: {
            wake(id)
        }
    }

    private func wake(_ id: Int) {
        state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
    }

    // MARK: Rows

    /// Takes rows out of `--limit`; fewer than wanted, or none, when it is used up.
    func takeRows(upTo wanted: Int) -> Int {
        state.withLock { state in
            guard let left = state.rowsLeft else { return wanted }
            let taken = min(wanted, left)
            state.rowsLeft = left - taken
            return taken
        }
    }

    func giveBackRows(_ count: Int) {
        state.withLock { state in
            if let left = state.rowsLeft { state.rowsLeft = left + count }
        }
    }

    var isAtLimit: Bool { state.withLock { $0.rowsLeft == 0 } }

    /// How long to wait before so many rows may be sent; zero books them.
    func delay(toSend rows: Int, at now: Duration) -> Duration {
        guard rowsPerSecond > 0 else { return .zero }
        return state.withLock { state in
            guard state.nextSend <= now else { return state.nextSend - now }
            state.nextSend = now + .seconds(1) * (Double(rows) / Double(rowsPerSecond))
            return .zero
        }
    }
}
