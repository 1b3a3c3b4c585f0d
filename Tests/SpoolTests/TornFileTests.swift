import Foundation
import GRDB
import TestSupport
import Testing

@testable import Spool

/// What a power cut may leave: the file and its WAL as they were at any moment, the last writes torn.
@Suite struct TornFileTests {
    private static let pageRows = 7

    /// Appends pages of rows whose watermark is the number of pages stored.
    private static func append(_ pages: Range<Int>, to run: Run, in spool: SpoolStore) async throws {
        for number in pages {
            let rows = number * pageRows..<(number + 1) * pageRows
            var page = PageCommit(run: run, rows: RowBatch(rows.map { TestRow($0, bytes: 150) }))
            page.watermark = Watermark(value: String(number + 1), key: nil, sortKey: [UInt8(number & 0xFF)])
            page.position = "page \(number + 1)"
            page.rowsRead = pageRows
            try await spool.append(page)
        }
    }

    /// A spool of which nothing reaches the main file on its own: all of it is in the WAL.
    private static func withWAL(_ body: (SpoolStore, Run) async throws -> Void) async throws {
        try await withTemporarySpool { spool in
            try await spool.writeWithoutTransaction { database in
                _ = try Row.fetchOne(database, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
                try database.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            }
            try await body(spool, try await spool.beginTestRun())
        }
    }

    /// Opens the copy and returns how many whole pages it holds, after checking that it holds nothing else.
    private static func wholePages(_ path: String, _ comment: Comment) async throws -> Int {
        let spool = try SpoolStore(path: path, creating: false)
        defer { try? spool.close() }
        guard let state = try await spool.stream(named: "memos") else { return 0 }
        let pages = Int(state.watermark?.value ?? "0") ?? -1
        #expect(state.unfinishedRun?.position == (pages == 0 ? nil : "page \(pages)"), comment)
        #expect(state.unfinishedRun?.counters.rowsRead ?? 0 == pages * pageRows, comment)
        let ids = try await spool.records().map(\.insertID)
        #expect(ids == (0..<pages * pageRows).map { TestRow($0).insertID }, comment)
        for route in try await spool.routes() {
            for check in try await spool.audit(route, payloadMatches: { _, _ in true }) + [spool.checkIntegrity()] {
                #expect(check.isOK, "\(comment): \(check)")
            }
        }
        return pages
    }

    private static func write(_ main: Data, _ wal: Data, as path: String) throws {
        try? FileManager.default.removeItem(atPath: path + "-shm")
        try main.write(to: URL(fileURLWithPath: path))
        try wal.write(to: URL(fileURLWithPath: path + "-wal"))
    }

    private static func read(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

    @Test func `a WAL cut anywhere holds whole pages with their watermark, never fewer for more bytes`() async throws {
        try await Self.withWAL { spool, run in
            try await Self.append(0..<12, to: run, in: spool)
            let (main, wal) = try (Self.read(spool.path), Self.read(spool.path + "-wal"))
            let copy = spool.path + ".copy"
            var last = 0
            // Frames are a page and a header of 24 bytes, after 32 bytes of the WAL's own (SQLite file format, section 4).
            var lengths: Set<Int> = [wal.count]
            lengths.formUnion(stride(from: 0, to: wal.count, by: 7001))
            for frame in stride(from: 32, to: wal.count, by: SpoolStore.pageSize + 24) {
                lengths.formUnion([frame - 1, frame, frame + 24])
            }
            for length in lengths.sorted() {
                try Self.write(main, wal.prefix(length), as: copy)
                let pages = try await Self.wholePages(copy, "cut at \(length)")
                #expect(pages >= last, "cut at \(length)")
                last = pages
            }
            #expect(last == 12, "the whole WAL holds what was committed")
        }
    }

    @Test func `a tail of the WAL that never reached the disk, or only in part, is as if it had not been written`()
        async throws
    {
        try await Self.withWAL { spool, run in
            try await Self.append(0..<10, to: run, in: spool)
            let committed = try Self.read(spool.path + "-wal").count
            try await Self.append(10..<16, to: run, in: spool)
            let (main, wal) = try (Self.read(spool.path), Self.read(spool.path + "-wal"))
            let copy = spool.path + ".copy"
            var random = SeededGenerator(seed: 7)
            for round in 0..<25 {
                // Sectors of 512 bytes after the last sync are written or not, in any order, and hold anything.
                var torn = wal
                for sector in stride(from: (committed + 511) / 512 * 512, to: wal.count - 512, by: 512)
                where random.isOnce(of: 3) {
                    let byte = random.isOnce(of: 2) ? 0 : UInt8.random(in: 0...255, using: &random)
                    torn.replaceSubrange(sector..<sector + 512, with: Data(repeating: byte, count: 512))
                }
                try Self.write(main, torn, as: copy)
                let pages = try await Self.wholePages(copy, "round \(round)")
                #expect(pages >= 10 && pages <= 16, "round \(round)")
            }
        }
    }

    @Test func `a WAL that was deleted takes whole transactions with it, rows and watermark together`() async throws {
        try await Self.withWAL { spool, run in
            try await Self.append(0..<5, to: run, in: spool)
            try await spool.writeWithoutTransaction { _ = try Row.fetchOne($0, sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
            try await Self.append(5..<9, to: run, in: spool)
            let copy = spool.path + ".copy"
            try Self.read(spool.path).write(to: URL(fileURLWithPath: copy))
            #expect(try await Self.wholePages(copy, "without its WAL") == 5)
            #expect(try await SpoolStore.verify(path: copy, payloadMatches: { _, _ in true }).isSound)
        }
    }

    @Test func `a checkpoint cut off in the middle loses nothing`() async throws {
        try await Self.withWAL { spool, run in
            try await Self.append(0..<12, to: run, in: spool)
            let (before, wal) = try (Self.read(spool.path), Self.read(spool.path + "-wal"))
            try await spool.writeWithoutTransaction { _ = try Row.fetchOne($0, sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
            let after = try Self.read(spool.path)
            let copy = spool.path + ".copy"
            var random = SeededGenerator(seed: 11)
            for round in 0..<12 {
                var mixed = before
                for page in stride(from: 0, to: after.count, by: SpoolStore.pageSize) where random.isOnce(of: 2) {
                    let end = page + SpoolStore.pageSize
                    if mixed.count < end { mixed.append(Data(count: end - mixed.count)) }
                    mixed.replaceSubrange(page..<end, with: after[page..<end])
                }
                try Self.write(mixed, wal, as: copy)
                #expect(try await Self.wholePages(copy, "round \(round)") == 12)
            }
        }
    }

    @Test func `a copy taken at any moment of a write load holds whole pages`() async throws {
        try await Self.withWAL { spool, run in
            let pages = 80
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await Self.append(0..<pages, to: run, in: spool) }
                group.addTask {
                    let copy = spool.path + ".copy"
                    var last = 0
                    while last < pages {
                        try Self.write(try Self.read(spool.path), try Self.read(spool.path + "-wal"), as: copy)
                        let found = try await Self.wholePages(copy, "while pages are written")
                        #expect(found >= last)
                        last = found
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
