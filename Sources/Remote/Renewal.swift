/// Work that may take longer than a lease: downloads, uploads.
enum Renewal {
    /// Runs the work while the lock is renewed beside it. An error of `renew` ends the work and is the outcome.
    static func beside<Value: Sendable>(
        every pause: Duration, sleep: @escaping @Sendable (Duration) async throws -> Void,
        renew: @escaping @Sendable () async throws -> Void, _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                while !Task.isCancelled {
                    do { try await sleep(pause) } catch { return nil }
                    try await renew()
                }
                return nil
            }
            while let ended = try await group.next() {
                guard let value = ended else { continue }
                group.cancelAll()
                return value
            }
            throw CancellationError()
        }
    }
}
