/// Finds out that no byte went in either direction for too long, from libcurl's counters: upload callbacks alone would
/// take a slow send of an already buffered block for silence.
struct SilenceWatch {
    private var lastProgress = ContinuousClock.now
    private var nextLook = ContinuousClock.now
    private var bytes: Int64 = -1

    mutating func restart(at now: ContinuousClock.Instant) {
        lastProgress = now
        nextLook = now
    }

    /// - Parameter count: bytes moved so far, asked for at most about four times per limit.
    /// - Returns: when to look again; nil: silent for longer than the limit.
    mutating func look(
        at now: ContinuousClock.Instant, limit: Duration, count: () -> Int64
    ) -> ContinuousClock.Instant? {
        guard now >= nextLook else { return nextLook }
        let current = count()
        if current != bytes {
            bytes = current
            lastProgress = now
        } else if now - lastProgress >= limit {
            return nil
        }
        nextLook = now + limit / 4
        return nextLook
    }
}
