import Spool
import TestSupport
import Testing

@testable import Extract

struct HashCountsTests {
    @Test(arguments: [1, 1000, 100_000])
    func `counts are those of a dictionary, whatever the maximum`(maximum: Int) {
        var random = SeededRandom(seed: UInt64(maximum))
        let counts = HashCounts(maximum: maximum)
        var wanted: [KnownHash: RowCount] = [:]
        // Few high halves: hashes that differ in the low half alone stand beside each other, also around the table's end.
        let hashes = (0..<3000).map { _ in
            KnownHash(high: UInt64.max - random.next() % 40, low: random.next() % 100)
        }
        for _ in 0..<50_000 {
            guard let hash = hashes.randomElement(using: &random) else { continue }
            let spooled = Int.random(in: 0...1, using: &random)
            counts.change(hash) { count in
                count.spooled += spooled
                count.seen += 1
            }
            wanted[hash, default: RowCount(spooled: 0, seen: 0)].spooled += spooled
            wanted[hash, default: RowCount(spooled: 0, seen: 0)].seen += 1
        }
        let places = counts.sortedPlaces().map { counts[place: $0] }
        #expect(places.count == wanted.count)
        #expect(places.allSatisfy { wanted[$0.hash] == $0.count })
        #expect(
            zip(places, places.dropFirst()).allSatisfy { ($0.hash.high, $0.hash.low) < ($1.hash.high, $1.hash.low) })
        #expect(!counts.holds(KnownHash(high: 1, low: 1)))
        counts.removeAll()
        #expect(counts.count == 0)
        #expect(hashes.allSatisfy { !counts.holds($0) })
    }

    @Test func `a row may be there more often than a byte counts`() {
        let counts = HashCounts(maximum: 100)
        let hash = KnownHash(high: 5, low: 6)
        for expected in 0..<1000 {
            counts.change(hash) { count in
                #expect(count == RowCount(spooled: expected, seen: expected))
                count = RowCount(spooled: expected + 1, seen: expected + 1)
            }
        }
        #expect(counts.holds(hash))
        #expect(counts.count > 1, "it takes more memory, which counts")
        counts.change(hash) { $0 = RowCount(spooled: 3, seen: 4) }
        #expect(counts[place: counts.sortedPlaces()[0]].count == RowCount(spooled: 3, seen: 4))
        #expect(counts.count == 1)
    }
}
