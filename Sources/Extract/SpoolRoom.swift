internal import Spool

/// Back-pressure: holds an extraction while the spool is at its size limit, until delivery and retention have made room.
struct SpoolRoom {
    let store: SpoolStore
    let options: ExtractOptions

    /// Returns when the spool is below its limit.
    ///
    /// - Throws: `ExtractError.noRoom` after the patience is over.
    func wait() async throws {
        guard options.maximumSpoolBytes > 0 else { return }
        let clock = ContinuousClock()
        let start = clock.now
        while try await store.usedBytes() >= options.maximumSpoolBytes {
            // Delivered rows go first, before their time.
            if try await store.retire(deliveredBefore: .maximum) > 0 { continue }
            if let patience = options.patience, clock.now - start >= patience {
                throw ExtractError(
                    .noRoom,
                    "the spool \(store.path) has reached spool.max_size (\(options.maximumSpoolBytes) bytes) with rows that are not delivered yet",
                    hint: "run etlctl ship to make room, or raise spool.max_size; then extract goes on where it stopped"
                )
            }
            try await clock.sleep(for: .milliseconds(200))
        }
    }
}
