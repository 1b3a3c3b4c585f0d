internal import Spool

/// Back-pressure: holds an extraction while the spool is at its size limit, until delivery and retention have made room.
struct SpoolRoom {
    let store: SpoolStore
    let options: ExtractOptions

    /// How large a page may be: small enough for the disk, which has to hold it twice until the write-ahead log is moved into the file.
    var bytesPerPage: Int {
        let least: Int64 = 64 << 10
        guard let free = SpoolStore.freeBytes(beside: store.path) else { return options.bytesPerPage }
        return min(options.bytesPerPage, Int(max(least, free / 8)))
    }

    /// Returns when the spool is below its limit. Delivered rows go first, before their time.
    ///
    /// - Throws: `ExtractError.noRoom` after the patience is over; `.spoolFull` if nothing that is left can make room.
    func wait() async throws {
        guard options.maximumSpoolBytes > 0 else { return }
        let clock = ContinuousClock()
        let start = clock.now
        while try await !store.makeRoom(maximumBytes: options.maximumSpoolBytes) {
            let ledgers = try await store.ledger()
            let full = "the spool \(store.path) has reached spool.max_size (\(options.maximumSpoolBytes) bytes)"
            // Delivered rows go too, though not before a look at their table has agreed.
            guard ledgers.contains(where: { $0.undelivered > 0 || $0.delivered > 0 }) else {
                let rejected = ledgers.reduce(0) { $0 + $1.rejected }
                let discarded = ledgers.reduce(0) { $0 + $1.discarded }
                throw ExtractError(
                    .spoolFull,
                    "\(full) and holds no row that delivery could take away: \(rejected) rejected and \(discarded) discarded rows, and what the streams know of their sources",
                    hint: "raise spool.max_size, or see to the rejected rows (etlctl audit rows --state rejected)")
            }
            let patienceIsOver = options.patience.map { clock.now - start >= $0 } ?? false
            if isOver(ledgers, patienceIsOver: patienceIsOver) {
                let waiting = ledgers.reduce(0) { $0 + $1.undelivered }
                throw ExtractError(
                    .noRoom, "\(full) with \(waiting) rows that are not delivered yet",
                    hint: "run etlctl ship to make room, or raise spool.max_size; then extract goes on where it stopped"
                )
            }
            try await clock.sleep(for: .milliseconds(200))
        }
    }

    /// Whether to wait no more.
    private func isOver(_ ledgers: [LedgerEntry], patienceIsOver: Bool) -> Bool {
        guard let stopped = options.stoppedTables?() else { return patienceIsOver }
        let waiting = ledgers.filter { $0.undelivered > 0 }
        if waiting.isEmpty { return patienceIsOver }
        return waiting.allSatisfy { stopped.contains($0.route.table) }
    }
}
