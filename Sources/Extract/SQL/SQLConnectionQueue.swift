internal import Dispatch

/// Runs a client library's blocking calls on a queue of their own, never on Swift's cooperative threads, one at a time.
final class SQLConnectionQueue: Sendable {
    private let queue: DispatchQueue

    init(label: String) { queue = DispatchQueue(label: label) }

    /// Runs the call; when the task is cancelled meanwhile, `interrupt` is called from elsewhere to make it return soon.
    func run<Value: Sendable>(
        interrupt: @escaping @Sendable () -> Void, _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        do {
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    queue.async { continuation.resume(with: Result { try body() }) }
                }
            } onCancel: {
                DispatchQueue.global().async(execute: interrupt)
            }
        } catch {
            try Task.checkCancellation()
            throw error
        }
    }

    /// Runs the call whether the task is cancelled or not.
    func finish(_ body: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { continuation in
            queue.async {
                body()
                continuation.resume()
            }
        }
    }
}
