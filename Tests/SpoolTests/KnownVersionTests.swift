import GRDB
import TestSupport
import Testing

@testable import Spool

/// What `changes` mode keeps of every document.
@Suite struct KnownVersionTests {
    /// Keys of documents with ids as Firestore makes them, and two times as their version.
    private func rows(_ count: Int, inOrder: Bool) -> [TestRow] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
        var random = SeededRandom(seed: 3)
        var keys = (0..<count).map { _ in [2] + (0..<20).map { _ in alphabet[random.next(below: 62)] } + [0, 1] }
        if inOrder { keys.sort { $0.lexicographicallyPrecedes($1) } }
        return keys.enumerated().map { number, key in
            var row = TestRow(number)
            row.payload = "{}"
            row.knownKey = key
            row.knownVersion = [UInt8](repeating: UInt8(number & 0xFF), count: 16)
            return row
        }
    }

    /// In the order of names, as one reader brings them; and in none, the worst that many readers and later changes can do.
    @Test(arguments: [true, false])
    func `a known version takes less than 60 bytes, pages and all`(_ inOrder: Bool) async throws {
        try await withTemporarySpool { spool in
            let count = 100_000
            let rows = rows(count, inOrder: inOrder)
            _ = try await spool.openStream(.memos(mode: "changes"))
            let run = try await spool.beginRun(
                .memos(mode: "changes"), id: "run", fingerprint: "plain", generation: 0, position: nil)
            for start in stride(from: 0, to: count, by: 2000) {
                try await spool.append(PageCommit(run: run, rows: RowBatch(Array(rows[start..<start + 2000]))))
            }
            let bytes = try await spool.read { database in
                try Int.fetchOne(database, sql: "SELECT sum(pgsize) FROM dbstat WHERE name = 'known_versions'")
            }
            let each = Double(try #require(bytes)) / Double(count)
            #expect(each < 60, "\(each) bytes")
            #expect(each > 40, "nothing was measured")
        }
    }
}
