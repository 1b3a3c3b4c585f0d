internal import Spool

/// How often each row without a key occurs in one object: in memory as far as there is room, the rest in a temporary table on disk.
///
/// Rows that were put on disk are looked up there only when a filter in memory says that they may be there, which is rarely so for rows that
/// are new. What is counted here is in the spool's object log too, with the page that it was counted for; a process that goes on begins from
/// there.
final class ObjectRowCounts {
    /// Pages of a log that are held at once, of some 32 KiB each.
    private static let entriesAtOnce = 32
    /// Counts put on disk in one transaction.
    private static let countsAtOnce = 20_000

    private let store: SpoolStore
    private let object: ObjectReading
    private let memory: HashCounts
    /// Of the rows on disk; nil while there are none.
    private var onDisk: HashFilter?
    private let maximumInMemory: Int

    init(_ object: ObjectReading, _ store: SpoolStore, maximumInMemory: Int) {
        self.object = object
        self.store = store
        self.maximumInMemory = maximumInMemory
        memory = HashCounts(maximum: maximumInMemory)
    }

    var reading: Int64 { object.reading }

    /// Gives back what was counted on disk.
    func forget() async throws { if onDisk != nil { try await store.forgetCounts(of: object.number) } }

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
        try await bringIntoMemory(hashes)
        var result: [Count] = []
        result.reserveCapacity(hashes.count)
        for hash in hashes {
            memory.change(hash) { count in
                let isKnown = count.seen < count.spooled || (onlyOnce && count.seen > 0)
                result.append(Count(seen: count.seen, isKnown: isKnown))
                count.seen += 1
                if !isKnown { count.spooled = count.seen }
            }
        }
        return result
    }

    /// Makes room for these rows, and reads what the disk has of them.
    private func bringIntoMemory(_ hashes: [KnownHash]) async throws {
        if memory.count + hashes.count > maximumInMemory, memory.count > 0 { try await putOnDisk() }
        guard let onDisk else { return }
        let wanted = hashes.filter { onDisk.mayHold($0) && !memory.holds($0) }
        guard !wanted.isEmpty else { return }
        for (hash, count) in zip(wanted, try await store.counts(of: object.number, wanted)) {
            if let count { memory.change(hash) { $0 = count } }
        }
    }

    private func putOnDisk() async throws {
        let filter: HashFilter
        if let onDisk {
            filter = onDisk
        } else {
            try await store.forgetCounts(of: object.number)
            filter = HashFilter()
        }
        // Sorted, so that each of the table's pages is written once.
        let places = memory.sortedPlaces()
        for start in stride(from: 0, to: places.count, by: Self.countsAtOnce) {
            let part = places[start..<min(start + Self.countsAtOnce, places.count)].map { memory[place: $0] }
            for (hash, _) in part { filter.add(hash) }
            try await store.keepCounts(part, of: object.number)
        }
        onDisk = filter
        memory.removeAll()
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
        try await bringIntoMemory(hashes)
        for hash in hashes { memory.change(hash, change) }
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
