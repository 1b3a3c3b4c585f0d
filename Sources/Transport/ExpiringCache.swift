import FoundationEssentials
import Synchronization

/// Something that is good until a moment.
protocol Expiring: Sendable, Equatable {
    var expiresAt: Date { get }
}

/// Keeps a token until shortly before it expires, and lets one caller at a time fetch the next; the others wait for its result.
final class ExpiringCache<Value: Expiring>: Sendable {
    /// How long before its end a token is replaced: what Google's own libraries do (google-auth, REFRESH_THRESHOLD).
    private static var refreshThreshold: TimeInterval { 225 }
    /// After a failed early refresh the old token, while it lasts, is given out that long without asking again.
    private static var pauseAfterFailure: TimeInterval { 30 }
    /// A token is not given out in its last seconds: the request still has to arrive.
    private static var leastLifetime: TimeInterval { 10 }

    typealias Fetch = @Sendable () async throws(AuthError) -> Value
    private typealias Outcome = Result<Value, AuthError>

    private struct State {
        var token: Value?
        /// From then on a new token is fetched.
        var refreshAt = Date.distantPast
        var isFetching = false
        /// nil to a waiter: the caller that was fetching gave up, look again.
        var waiters: [Int: CheckedContinuation<Outcome?, Never>] = [:]
        var nextWaiter = 0
    }

    private enum Step {
        case use(Value)
        case fetch
        case wait(Int)
    }

    private let now: @Sendable () -> Date
    private let fetch: Fetch
    private let state = Mutex(State())

    init(now: @escaping @Sendable () -> Date, fetch: @escaping Fetch) {
        self.now = now
        self.fetch = fetch
    }

    /// The value was refused: it is not given out again. A newer one stays.
    func invalidate(_ token: Value) {
        state.withLock { state in
            if state.token == token { state.token = nil }
        }
    }

    func value() async throws(AuthError) -> Value {
        while true {
            switch nextStep() {
            case .use(let token): return token
            case .fetch: return try await fetchForAll()
            case .wait(let waiter):
                guard let outcome = await outcome(for: waiter) else {
                    if Task.isCancelled { throw .cancelled }
                    continue
                }
                return try outcome.get()
            }
        }
    }

    private func nextStep() -> Step {
        let now = now()
        return state.withLock { state in
            if let token = state.token {
                let isUsable = token.expiresAt.timeIntervalSince(now) > Self.leastLifetime
                // While somebody fetches the next one, the old one is good enough.
                if isUsable, now < state.refreshAt || state.isFetching { return .use(token) }
            }
            guard state.isFetching else {
                state.isFetching = true
                return .fetch
            }
            state.nextWaiter += 1
            return .wait(state.nextWaiter)
        }
    }

    private func fetchForAll() async throws(AuthError) -> Value {
        let outcome: Outcome
        do throws(AuthError) {
            outcome = .success(try await fetch())
        } catch {
            outcome = .failure(error)
        }
        let (result, waiters) = settle(outcome)
        for waiter in waiters { waiter.resume(returning: outcome == .failure(.cancelled) ? nil : result) }
        return try result.get()
    }

    private func settle(_ outcome: Outcome) -> (Outcome, [CheckedContinuation<Outcome?, Never>]) {
        let now = now()
        return state.withLock { state in
            defer { state.waiters = [:] }
            state.isFetching = false
            var result = outcome
            switch outcome {
            case .success(let token):
                state.token = token
                let lifetime = token.expiresAt.timeIntervalSince(now)
                // A token that is short-lived from the start is used for half its life, not fetched for every request.
                state.refreshAt = token.expiresAt - min(Self.refreshThreshold, max(lifetime, 0) / 2)
            case .failure(let error):
                if error.isTransient, let token = state.token,
                    token.expiresAt.timeIntervalSince(now) > Self.leastLifetime
                {
                    state.refreshAt = now + Self.pauseAfterFailure
                    result = .success(token)
                }
            }
            return (result, Array(state.waiters.values))
        }
    }

    private func outcome(for waiter: Int) async -> Outcome? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // The fetch may have ended meanwhile. A cancellation is asked for under the lock: it either shows here, or its handler finds the waiter.
                let isWaiting = state.withLock { state in
                    guard state.isFetching, !Task.isCancelled else { return false }
                    state.waiters[waiter] = continuation
                    return true
                }
                if !isWaiting { continuation.resume(returning: nil) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: waiter) }?.resume(returning: nil)
        }
    }
}
