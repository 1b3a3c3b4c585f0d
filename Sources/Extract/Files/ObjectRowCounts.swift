internal import Spool

/// How often each row without a key occurs in one object: in memory while they are few enough, else in a temporary table on disk.
///
/// What is counted here is in the spool's object log too, with the page that it was counted for; a process that goes on begins from there.
final class ObjectRowCounts {
    /// Pages of a log that are held at once, of some 32 KiB each.
    private static let entriesAtOnce = 32

    private let store: SpoolStore
    private let object: ObjectReading
    private var memory = HashCounts()
    private var isOnDisk = false
    private let maximumInMemory: Int

    init(_ object: ObjectReading, _ store: SpoolStore, maximumInMemory: Int) {
        self.object = object
        self.store = store
        self.maximumInMemory = maximumInMemory
    }

    var reading: Int64 { object.reading }

    /// Gives back what was counted on disk.
    func forget() async throws { if isOnDisk { try await store.forgetCounts(of: object.number) } }

    struct Count {
        /// Equal rows before this one in this reading.
        var seen: Int
        /// True if an earlier reading has spooled it.
        var isKnown: Bool
    }

    /// Counts rows in their order.
    ///
    /// - Parameter onlyOnce: a row that was met before is known, whoever spooled it.
    func count(_ hashes: [KnownHash], onlyOnce: Bool) async throws -> [Count] {
        try await makeRoom(for: hashes.count)
        let counted = isOnDisk ? HashCounts(try await onDisk(hashes)) : memory
        var result: [Count] = []
        result.reserveCapacity(hashes.count)
        for hash in hashes {
            var count = counted[hash]
            let isKnown = count.seen < count.spooled || (onlyOnce && count.seen > 0)
            result.append(Count(seen: count.seen, isKnown: isKnown))
            count.seen += 1
            if !isKnown { count.spooled = count.seen }
            counted[hash] = count
        }
        if isOnDisk { try await store.keepCounts(counted.all, of: object.number) }
        return result
    }

    private func onDisk(_ hashes: [KnownHash]) async throws -> [(hash: KnownHash, count: RowCount)] {
        let counts = try await store.counts(of: object.number, hashes)
        return zip(hashes, counts).compactMap { hash, count in count.map { (hash, $0) } }
    }

    private func makeRoom(for more: Int) async throws {
        guard !isOnDisk, memory.count + more > maximumInMemory else { return }
        isOnDisk = true
        try await store.forgetCounts(of: object.number)
        // Sorted, so that each of the table's pages is written once.
        try await store.keepCounts(
            memory.all.sorted { ($0.hash.high, $0.hash.low) < ($1.hash.high, $1.hash.low) }, of: object.number)
        memory = HashCounts()
    }

    /// Takes in what the spool has logged.
    ///
    /// - Parameter counts: whether rows that a reading spooled count for the present one.
    func load(where counts: (Int64) -> Bool) async throws {
        var last: Int64 = 0
        while true {
            let log = try await store.objectLog(object.number, after: last, limit: Self.entriesAtOnce)
            guard !log.entries.isEmpty else { return }
            last = log.last
            for entry in log.entries where counts(entry.reading) {
                let isOurs = entry.reading == object.reading
                try await add(entry.spooled) {
                    $0.spooled += 1
                    if isOurs { $0.seen += 1 }
                }
                if isOurs { try await add(entry.unchanged) { $0.seen += 1 } }
            }
        }
    }

    private func add(_ bytes: [UInt8], _ change: (inout RowCount) -> Void) async throws {
        let hashes = stride(from: 0, to: bytes.count, by: ObjectLogEntry.hashLength).compactMap { start in
            bytes[start..<min(start + ObjectLogEntry.hashLength, bytes.count)].withUnsafeBytes { KnownHash($0) }
        }
        try await makeRoom(for: hashes.count)
        let counted = isOnDisk ? HashCounts(try await onDisk(hashes)) : memory
        for hash in hashes {
            var count = counted[hash]
            change(&count)
            counted[hash] = count
        }
        if isOnDisk { try await store.keepCounts(counted.all, of: object.number) }
    }
}

/// A hash table of counts by hash, open addressing: 24 bytes a place and nothing allocated per row.
final class HashCounts {
    private var highs: [UInt64]
    private var lows: [UInt64]
    private var spooled: [UInt32]
    private var seen: [UInt32]
    private(set) var count = 0

    init() {
        highs = [UInt64](repeating: 0, count: 64)
        lows = highs
        spooled = [UInt32](repeating: 0, count: 64)
        seen = spooled
    }

    convenience init(_ counts: [(hash: KnownHash, count: RowCount)]) {
        self.init()
        for (hash, count) in counts { self[hash] = count }
    }

    /// 0 and 0 for a hash never met.
    subscript(_ hash: KnownHash) -> RowCount {
        get {
            let place = place(hash)
            return RowCount(spooled: Int(spooled[place]), seen: Int(seen[place]))
        }
        set {
            var place = place(hash)
            if isFree(place) {
                if (count + 1) * 8 > highs.count * 7 {
                    grow()
                    place = self.place(hash)
                }
                count += 1
                (highs[place], lows[place]) = (hash.high, hash.low)
            }
            spooled[place] = UInt32(clamping: newValue.spooled)
            seen[place] = UInt32(clamping: newValue.seen)
        }
    }

    var all: [(hash: KnownHash, count: RowCount)] {
        highs.indices.lazy.filter { !self.isFree($0) }.map { place in
            (
                KnownHash(high: self.highs[place], low: self.lows[place]),
                RowCount(spooled: Int(self.spooled[place]), seen: Int(self.seen[place]))
            )
        }
    }

    /// A place that is taken was met or spooled at least once.
    private func isFree(_ place: Int) -> Bool { spooled[place] == 0 && seen[place] == 0 }

    /// Where a hash is, or would be.
    private func place(_ hash: KnownHash) -> Int {
        let mask = highs.count - 1
        var place = Int(truncatingIfNeeded: hash.high) & mask
        while !isFree(place), highs[place] != hash.high || lows[place] != hash.low { place = (place + 1) & mask }
        return place
    }

    private func grow() {
        let old = all
        let size = highs.count * 2
        highs = [UInt64](repeating: 0, count: size)
        lows = highs
        spooled = [UInt32](repeating: 0, count: size)
        seen = spooled
        count = 0
        for (hash, count) in old { self[hash] = count }
    }
}

extension RunContext {
    /// The counts of an object's rows, made from the spool's log where this process has none.
    func rowCounts(of object: ObjectReading) async throws -> ObjectRowCounts {
        if let counts = rowCounts[object.number], counts.reading == object.reading { return counts }
        let counts = ObjectRowCounts(object, store, maximumInMemory: options.rowsCountedInMemory)
        // A snapshot's ids carry its run: what earlier ones spooled says nothing about it.
        try await counts.load { stream.mode != .full || owns($0) }
        rowCounts[object.number] = counts
        return counts
    }

    func forgetRowCounts(of number: Int64) async throws {
        guard let counts = rowCounts.removeValue(forKey: number) else { return }
        try await counts.forget()
    }
}
