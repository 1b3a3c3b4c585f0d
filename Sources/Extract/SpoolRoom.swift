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
            let waiting = ledgers.reduce(0) { $0 + $1.pending + $1.sending + $1.inDoubt }
            let full = "the spool \(store.path) has reached spool.max_size (\(options.maximumSpoolBytes) bytes)"
            guard waiting > 0 else {
                let rejected = ledgers.reduce(0) { $0 + $1.rejected }
                let discarded = ledgers.reduce(0) { $0 + $1.discarded }
                throw ExtractError(
                    .spoolFull,
                    "\(full) and holds no row that delivery could take away: \(rejected) rejected and \(discarded) discarded rows, and what the streams know of their sources",
                    hint: "raise spool.max_size, or see to the rejected rows (etlctl audit rows --state rejected)")
            }
            if !options.waitsForRoom, let patience = options.patience, clock.now - start >= patience {
                throw ExtractError(
                    .noRoom, "\(full) with \(waiting) rows that are not delivered yet",
                    hint: "run etlctl ship to make room, or raise spool.max_size; then extract goes on where it stopped"
                )
            }
            try await clock.sleep(for: .milliseconds(200))
        }
    }
}
