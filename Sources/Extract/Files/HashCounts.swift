internal import Spool

/// A hash table of counts by hash, open addressing: 24 bytes a place and nothing allocated per row.
final class HashCounts {
    private struct Place {
        var high: UInt64 = 0
        var low: UInt64 = 0
        var spooled: UInt32 = 0
        var seen: UInt32 = 0

        /// A place that is taken was met or spooled at least once.
        var isFree: Bool { spooled == 0 && seen == 0 }
    }

    private var places = [Place](repeating: Place(), count: 64)
    private(set) var count = 0

    func holds(_ hash: KnownHash) -> Bool { !places[index(of: hash)].isFree }

    /// Changes the count of a hash; 0 and 0 for one never met. It is not 0 and 0 afterwards.
    @inline(__always)
    func change(_ hash: KnownHash, _ body: (inout RowCount) -> Void) {
        var index = index(of: hash)
        if places[index].isFree {
            if (count + 1) * 8 > places.count * 7 {
                grow()
                index = self.index(of: hash)
            }
            count += 1
            places[index].high = hash.high
            places[index].low = hash.low
        }
        var now = RowCount(spooled: Int(places[index].spooled), seen: Int(places[index].seen))
        body(&now)
        places[index].spooled = UInt32(clamping: now.spooled)
        places[index].seen = UInt32(clamping: now.seen)
    }

    /// Where hashes are, in their order.
    func sortedPlaces() -> [Int32] {
        var taken: [Int32] = []
        taken.reserveCapacity(count)
        for index in places.indices where !places[index].isFree { taken.append(Int32(index)) }
        places.withUnsafeBufferPointer { places in
            taken.sort {
                let (one, other) = (places[Int($0)], places[Int($1)])
                return one.high == other.high ? one.low < other.low : one.high < other.high
            }
        }
        return taken
    }

    subscript(place index: Int32) -> (hash: KnownHash, count: RowCount) {
        let place = places[Int(index)]
        return (
            KnownHash(high: place.high, low: place.low), RowCount(spooled: Int(place.spooled), seen: Int(place.seen))
        )
    }

    /// Keeps the memory.
    func removeAll() {
        for index in places.indices { places[index] = Place() }
        count = 0
    }

    /// Where a hash is, or would be.
    @inline(__always)
    private func index(of hash: KnownHash) -> Int {
        places.withUnsafeBufferPointer { places in
            let mask = places.count - 1
            var index = Int(truncatingIfNeeded: hash.high) & mask
            while !places[index].isFree, places[index].high != hash.high || places[index].low != hash.low {
                index = (index + 1) & mask
            }
            return index
        }
    }

    private func grow() {
        let old = places
        places = [Place](repeating: Place(), count: old.count * 2)
        for place in old where !place.isFree {
            places[index(of: KnownHash(high: place.high, low: place.low))] = place
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
