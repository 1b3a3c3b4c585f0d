/// Which insertIds a table has taken lately: BigQuery's best-effort de-duplication (streaming page), here exact within the window.
///
/// Kept by a 128-bit hash, so that a minute of fast loading stays small. Times are microseconds of the sandbox's clock.
struct DedupeWindow: Sendable {
    struct Key: Hashable, Sendable {
        var high: Int
        var low: Int

        init(_ insertID: UnsafeRawBufferPointer) {
            var first = Hasher()
            first.combine(bytes: insertID)
            high = first.finalize()
            var second = Hasher()
            second.combine(UInt8(0x5A))
            second.combine(bytes: insertID)
            low = second.finalize()
        }
    }

    private var taken: [Key: Int64] = [:]
    /// In order of time; `first` is where those begin that are still in `taken`.
    private var order: [(key: Key, time: Int64)] = []
    private var first = 0

    /// True if the id is new, and then it is kept; false if a row with it was taken within `window`, counted from that row.
    mutating func admit(_ key: Key, at now: Int64, window: Int64) -> Bool {
        guard window > 0 else { return true }
        prune(before: now - window)
        if taken[key] != nil { return false }
        taken[key] = now
        order.append((key, now))
        return true
    }

    /// Forgets an id that was admitted but whose row was not stored after all.
    mutating func forget(_ key: Key) { taken[key] = nil }

    private mutating func prune(before limit: Int64) {
        while first < order.count, order[first].time <= limit {
            let entry = order[first]
            if taken[entry.key] == entry.time { taken[entry.key] = nil }
            first += 1
        }
        if first > 4096, first * 2 > order.count {
            order.removeFirst(first)
            first = 0
        }
    }
}
