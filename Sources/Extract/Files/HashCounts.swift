internal import Spool

/// A hash table of counts by hash, open addressing: 18 bytes a place and nothing allocated per row.
final class HashCounts {
    /// A place's two counts, a byte each.
    private struct Tally {
        private var bits: UInt16

        /// Its counts are in `large`.
        static let large = Tally(bits: .max)
        /// A place that is taken was met or spooled at least once.
        var isFree: Bool { bits == 0 }
        var isLarge: Bool { bits == .max }

        init(bits: UInt16 = 0) { self.bits = bits }

        /// Nil for what does not fit.
        init?(_ count: RowCount) {
            guard count.spooled < 0xFF, count.seen < 0xFF else { return nil }
            bits = UInt16(count.spooled) << 8 | UInt16(count.seen)
        }

        var count: RowCount { RowCount(spooled: Int(bits >> 8), seen: Int(bits & 0xFF)) }
    }

    private var hashes: [KnownHash]
    private var tallies: [Tally]
    /// Of rows that are there more often than a byte counts.
    private var large: [KnownHash: RowCount] = [:]
    private var taken = 0

    /// What each step of growth multiplies the places by: the old ones, held beside the new for a moment, are few.
    private static let growth = 4

    /// - Parameter maximum: so many hashes it will hold at the most: the last step of growth makes room for just them.
    init(maximum: Int) {
        var places = maximum / 7 * 8 + 8
        while places > 64 * Self.growth { places = places / Self.growth + 1 }
        hashes = [KnownHash](repeating: KnownHash(high: 0, low: 0), count: places)
        tallies = [Tally](repeating: Tally(), count: places)
    }

    /// Hashes held, by the memory they take: a large count has some four times a small one's.
    var count: Int { taken + large.count * 3 }

    func holds(_ hash: KnownHash) -> Bool { !tallies[index(of: hash)].isFree }

    /// Changes the count of a hash; 0 and 0 for one never met. It is not 0 and 0 afterwards.
    @inline(__always)
    func change(_ hash: KnownHash, _ body: (inout RowCount) -> Void) {
        var index = index(of: hash)
        if tallies[index].isFree {
            if (taken + 1) * 8 > tallies.count * 7 {
                grow()
                index = self.index(of: hash)
            }
            taken += 1
            hashes[index] = hash
        }
        var now = tallies[index].isLarge ? large[hash] ?? RowCount(spooled: 0, seen: 0) : tallies[index].count
        body(&now)
        if let tally = Tally(now) {
            if tallies[index].isLarge { large[hash] = nil }
            tallies[index] = tally
        } else {
            tallies[index] = .large
            large[hash] = now
        }
    }

    /// Where hashes are, in their order.
    func sortedPlaces() -> [Int32] {
        var places: [Int32] = []
        places.reserveCapacity(taken)
        for index in tallies.indices where !tallies[index].isFree { places.append(Int32(index)) }
        hashes.withUnsafeBufferPointer { hashes in
            places.sort {
                let (one, other) = (hashes[Int($0)], hashes[Int($1)])
                return one.high == other.high ? one.low < other.low : one.high < other.high
            }
        }
        return places
    }

    subscript(place index: Int32) -> (hash: KnownHash, count: RowCount) {
        let (hash, tally) = (hashes[Int(index)], tallies[Int(index)])
        return (hash, tally.isLarge ? large[hash] ?? tally.count : tally.count)
    }

    /// Keeps the memory.
    func removeAll() {
        for index in tallies.indices { tallies[index] = Tally() }
        large.removeAll()
        taken = 0
    }

    /// Where a hash is, or would be.
    @inline(__always)
    private func index(of hash: KnownHash) -> Int {
        hashes.withUnsafeBufferPointer { hashes in
            tallies.withUnsafeBufferPointer { tallies in
                var index = Int(hash.high.multipliedFullWidth(by: UInt64(tallies.count)).high)
                while !tallies[index].isFree, hashes[index].high != hash.high || hashes[index].low != hash.low {
                    index = index + 1 == tallies.count ? 0 : index + 1
                }
                return index
            }
        }
    }

    private func grow() {
        let (oldHashes, oldTallies) = (hashes, tallies)
        hashes = [KnownHash](repeating: KnownHash(high: 0, low: 0), count: oldTallies.count * Self.growth)
        tallies = [Tally](repeating: Tally(), count: oldTallies.count * Self.growth)
        for old in oldTallies.indices where !oldTallies[old].isFree {
            let index = index(of: oldHashes[old])
            hashes[index] = oldHashes[old]
            tallies[index] = oldTallies[old]
        }
    }
}

/// Says of a hash that it was never added, or that it may have been (a Bloom filter of two bits a hash): wrongly of one in a thousand at a million
/// hashes, of one in five at twenty million.
final class HashFilter {
    /// 8 MiB.
    private static let bitCount = 1 << 26
    private var words = [UInt64](repeating: 0, count: bitCount / 64)

    func add(_ hash: KnownHash) {
        for bit in [Self.bit(hash.low), Self.bit(hash.low >> 32)] { words[bit >> 6] |= 1 << UInt64(bit & 63) }
    }

    func mayHold(_ hash: KnownHash) -> Bool {
        let (one, other) = (Self.bit(hash.low), Self.bit(hash.low >> 32))
        return words[one >> 6] >> UInt64(one & 63) & 1 == 1 && words[other >> 6] >> UInt64(other & 63) & 1 == 1
    }

    private static func bit(_ number: UInt64) -> Int { Int(truncatingIfNeeded: number) & (bitCount - 1) }
}
