import Dispatch
import Foundation
import Synchronization

/// Turns SIGINT and SIGTERM into cancellation of the command's work; a second signal ends the process at once.
final class Interruption: Sendable {
    private let received = Mutex<Int32?>(nil)

    /// The first signal, if one came.
    var signal: Int32? { received.withLock { $0 } }

    /// The failure to end with, if a signal came.
    func failure(_ message: String) -> Failure? {
        signal.map {
            .interrupted(
                signal: $0, message, hint: "Everything committed is safe; the same command goes on from there.")
        }
    }

    /// Runs work that the first signal cancels.
    func run<Result: Sendable>(_ work: @escaping @Sendable () async throws -> Result) async throws -> Result {
        let (signals, continuation) = AsyncStream.makeStream(of: Int32.self)
        let sources = [SIGINT, SIGTERM].map { number in
            Foundation.signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [self] in
                let isSecond = received.withLock { first in
                    defer { first = first ?? number }
                    return first != nil
                }
                if isSecond { _exit(number == SIGTERM ? 143 : 130) }
                continuation.yield(number)
            }
            source.resume()
            return source
        }
        defer {
            sources.forEach { $0.cancel() }
            continuation.finish()
        }
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                for await _ in signals { return nil }
                return nil
            }
            while let finished = try await group.next() {
                group.cancelAll()
                if let result = finished { return result }
            }
            throw CancellationError()
        }
    }
}
