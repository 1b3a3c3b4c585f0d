internal import Spool

/// Writes settlements into the spool, as many as have come up in one commit: while one commit is under way, the next gathers.
actor SettlementWriter {
    private let spool: SpoolStore
    private var gathered: [Settlement] = []
    private var waiters: [CheckedContinuation<Void, any Error>] = []
    private var isWriting = false

    init(spool: SpoolStore) { self.spool = spool }

    /// Returns when the settlements are durable.
    ///
    /// - Throws: `SpoolError`; then none of the commit's settlements happened.
    func settle(_ settlements: [Settlement]) async throws {
        guard !settlements.isEmpty else { return }
        gathered += settlements
        guard !isWriting else {
            try await withCheckedThrowingContinuation { waiters.append($0) }
            return
        }
        isWriting = true
        defer { isWriting = false }
        var isFirst = true
        var failure: (any Error)?
        // The first caller writes its own and then what others brought meanwhile.
        while !gathered.isEmpty {
            let batch = gathered
            let waiting = waiters
            gathered = []
            waiters = []
            do {
                try await spool.settle(batch)
                for waiter in waiting { waiter.resume() }
            } catch {
                for waiter in waiting { waiter.resume(throwing: error) }
                if isFirst { failure = error }
            }
            isFirst = false
        }
        if let failure { throw failure }
    }
}
