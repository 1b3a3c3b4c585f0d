internal import Synchronization

/// How many requests and bytes may be under way, shared by all tables.
///
/// The number of requests follows what the service accepts: one more after as many successes as there are requests at once, half as many
/// after a refusal (at most one halving per round of requests). Every table that has work is sure of a share, so a slow one never holds up
/// another.
final class DeliveryBudget: Sendable {
    typealias Holder = Int

    private struct State {
        var limit: Double
        var inFlight: [Holder: Int] = [:]
        var bytes: [Holder: Int] = [:]
        var active: Set<Holder> = []
        var rounds: UInt64 = 0
        var lastDecrease: UInt64 = 0
        var waiters: [Holder: CheckedContinuation<Void, Never>] = [:]
        /// Counts what was given back, so that nothing given back between a vain attempt and the wait for room is missed.
        var returns: UInt64 = 0
    }

    let maximumInFlight: Int
    /// Bodies that exist at a time: those under way and two that are being prepared.
    let maximumBytes: Int
    private let state: Mutex<State>

    init(maximumInFlight: Int, maximumRequestBytes: Int) {
        self.maximumInFlight = max(maximumInFlight, 1)
        maximumBytes = (self.maximumInFlight + 2) * maximumRequestBytes
        state = Mutex(State(limit: Double(self.maximumInFlight)))
    }

    /// Requests at once at the moment.
    var limit: Int { state.withLock { Int($0.limit) } }

    /// A table that has something to send takes part in the sharing, until it says otherwise.
    func setActive(_ holder: Holder, _ isActive: Bool) {
        state.withLock { state in
            if isActive {
                state.active.insert(holder)
            } else if state.active.remove(holder) != nil {
                Self.wake(&state)
            }
        }
    }

    /// Room for bodies: at most `wanted` bytes, at least `least` unless nothing is granted.
    func reserve(_ wanted: Int, least: Int, for holder: Holder) -> Int {
        state.withLock { state in
            let used = state.bytes.values.reduce(0, +)
            let share = max(maximumBytes / max(state.active.count, 1), least)
            let own = state.bytes[holder] ?? 0
            let granted = min(wanted, maximumBytes - used, share - own)
            // A table without any body may always have one, else many tables could wait for each other.
            guard granted >= least || own == 0 && maximumBytes - used >= least else { return 0 }
            let amount = max(granted, least)
            state.bytes[holder] = own + amount
            return amount
        }
    }

    func release(_ bytes: Int, of holder: Holder) {
        guard bytes != 0 else { return }
        state.withLock { state in
            state.bytes[holder] = max(0, (state.bytes[holder] ?? 0) - bytes)
            Self.wake(&state)
        }
    }

    /// Takes one of the requests at once; the number tells rounds apart.
    func take(for holder: Holder) -> UInt64? {
        state.withLock { state in
            let total = state.inFlight.values.reduce(0, +)
            let limit = max(Int(state.limit), 1)
            let own = state.inFlight[holder] ?? 0
            let share = max((limit + state.active.count - 1) / max(state.active.count, 1), 1)
            guard total < limit, own < share else { return nil }
            state.inFlight[holder] = own + 1
            state.rounds += 1
            return state.rounds
        }
    }

    enum Result { case accepted, refused, neither }

    /// Gives a request back, with what became of it.
    func give(_ round: UInt64, of holder: Holder, _ result: Result) {
        state.withLock { state in
            state.inFlight[holder] = max(0, (state.inFlight[holder] ?? 0) - 1)
            switch result {
            case .accepted:
                state.limit = min(Double(maximumInFlight), state.limit + 1 / state.limit)
            case .refused where round > state.lastDecrease:
                state.limit = max(1, state.limit / 2)
                state.lastDecrease = state.rounds
            case .refused, .neither:
                break
            }
            Self.wake(&state)
        }
    }

    var returns: UInt64 { state.withLock { $0.returns } }

    /// Returns when a request or bytes were given back since `returns` was read, or the task is cancelled. One waiter a holder.
    func waitForRoom(_ holder: Holder, since returns: UInt64) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isLate = state.withLock { state in
                    guard state.returns == returns, state.waiters[holder] == nil else { return true }
                    state.waiters[holder] = continuation
                    return false
                }
                if isLate { continuation.resume() }
                if Task.isCancelled { wake(holder) }
            }
        } onCancel: {
            wake(holder)
        }
    }

    private func wake(_ holder: Holder) {
        let waiter = state.withLock { $0.waiters.removeValue(forKey: holder) }
        waiter?.resume()
    }

    private static func wake(_ state: inout State) {
        state.returns += 1
        let waiters = state.waiters
        state.waiters = [:]
        for waiter in waiters.values { waiter.resume() }
    }
}
