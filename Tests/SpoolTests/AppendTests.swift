import GRDB
import TestSupport
import Testing

@testable import Spool

@Suite struct AppendTests {
    private let watermark = Watermark(value: "2025-11-25T14:57:57Z", key: "memos/m5", sortKey: [1, 2, 3])

    @Test func `a page's rows, its watermark and the run's position are stored together`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            var page = PageCommit(run: run, rows: RowBatch((0..<6).map { TestRow($0) }))
            page.position = "after m5"
            page.watermark = watermark
            page.rowsRead = 7
            page.sourceReads = 9
            page.newColumns = [ColumnName(field: "ti tle", base: "ti_tle", column: "title")]
            page.lastExtractedAt = Timestamp(microseconds: 77)
            let result = try await spool.append(page)
            #expect(result == AppendResult(spooled: 6, unchanged: 0, deletes: 0))

            let state = try #require(try await spool.stream(named: "memos"))
            #expect(state.watermark == watermark)
            #expect(state.lastExtractedAt.microseconds == 77)
            #expect(state.columns == ["ti tle": "ti_tle"])
            let unfinished = try #require(state.unfinishedRun)
            #expect(unfinished.position == "after m5")
            #expect(unfinished.counters.rowsRead == 7)
            #expect(unfinished.counters.rowsSpooled == 6)
            #expect(unfinished.counters.sourceReads == 9)
            let records = try await spool.records()
            #expect(records.map(\.id) == (0..<6).map { "m\($0)" })
            #expect(records.map { String(decoding: $0.payload, as: UTF8.self) } == (0..<6).map { TestRow($0).payload })
            #expect(records.allSatisfy { $0.state == .pending && $0.runID == run.id && $0.operation == "upsert" })
            #expect(try await spool.columnNames(stream: run.streamNumber) == ["ti tle": "title"])
        }
    }

    @Test func `an error in the middle of a page leaves nothing of it`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            try await spool.append(PageCommit(run: run, rows: RowBatch([TestRow(0)])))
            // The fourth row of the next page meets an error of the database, after three rows were inserted.
            try await spool.write {
                try $0.execute(
                    sql: """
                        CREATE TRIGGER fails BEFORE INSERT ON row_data WHEN NEW.id = 'm4'
                        BEGIN SELECT raise(ABORT, 'as the test wants it'); END
                        """)
            }
            var page = PageCommit(run: run, rows: RowBatch((1..<6).map { TestRow($0) }))
            page.watermark = watermark
            page.position = "later"
            page.rowsRead = 5
            await #expect(throws: SpoolError.self) { try await spool.append(page) }

            #expect(try await spool.records().map(\.id) == ["m0"])
            let state = try #require(try await spool.stream(named: "memos"))
            #expect(state.watermark == nil)
            #expect(state.unfinishedRun?.position == nil)
            #expect(state.unfinishedRun?.counters.rowsRead == 0)
            #expect(try await spool.ledger().map(\.spooled) == [1])
            try await spool.write { try $0.execute(sql: "DROP TRIGGER fails") }
            #expect(try await spool.append(page).spooled == 5)
            let route = try await spool.route(run.route)
            for check in try await spool.audit(route, payloadMatches: { _, _ in true }) {
                #expect(check.isOK, "\(check)")
            }
        }
    }

    @Test func `a full disk is named, leaves no half page, and the same page fits after room was made`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            try await spool.append(PageCommit(run: run, rows: RowBatch([TestRow(0)])))
            let pages = try await spool.writeWithoutTransaction { database in
                let pages = try Int.fetchOne(database, sql: "PRAGMA page_count") ?? 0
                _ = try Int.fetchOne(database, sql: "PRAGMA max_page_count = \(pages + 10)")
                return pages
            }
            let page = PageCommit(run: run, rows: RowBatch((1..<200).map { TestRow($0, bytes: 1000) }))
            await #expect {
                try await spool.append(page)
            } throws: {
                guard case SpoolError.full(spool.path) = $0 else { return false }
                return true
            }
            #expect(try await spool.ledger().map(\.spooled) == [1])
            try await spool.writeWithoutTransaction {
                _ = try Int.fetchOne($0, sql: "PRAGMA max_page_count = \(pages + 1000)")
            }
            #expect(try await spool.append(page).spooled == 199)
            #expect(try await spool.ledger().map(\.pending) == [200])
        }
    }

    @Test func `rows that can't be parsed are spooled as rejected, and stay so`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            var bad = TestRow(1)
            bad.attributes.rejection = (reason: "bad_line", message: "line 2 is no JSON object")
            try await spool.append(PageCommit(run: run, rows: RowBatch([TestRow(0), bad, TestRow(2)])))
            let entry = try #require(try await spool.ledger().first)
            #expect(entry.pending == 2 && entry.rejected == 1 && entry.isBalanced)
            let record = try #require(try await spool.records().first { $0.state == .rejected })
            #expect(record.id == "m1" && record.reason == "bad_line" && record.message == "line 2 is no JSON object")
            #expect(record.attempts == 0)
            #expect(
                try await spool.rowIDs(.fresh(route: run.route, after: nil)).count == 2, "the shipper steps over it")
        }
    }

    @Test func `every shape is kept once per route with the number of its rows`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            for page in 0..<3 {
                let batch = RowBatch()
                for number in 0..<4 {
                    batch.append(TestRow(page * 4 + number), shape: number % 2 == 0 ? "a\tINT64\t" : "b\tSTRING\t")
                }
                try await spool.append(PageCommit(run: run, rows: batch))
            }
            let shapes = try await spool.shapes(of: try await spool.route(run.route))
            #expect(shapes.map(\.definition) == ["a\tINT64\t", "b\tSTRING\t"])
            #expect(shapes.map(\.rows) == [6, 6])
        }
    }

    @Test func `a batch that is emptied and filled again carries nothing over`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            let batch = RowBatch()
            var bad = TestRow(0)
            bad.attributes.rejection = (reason: "bad_line", message: "no")
            batch.append(bad)
            try await spool.append(PageCommit(run: run, rows: batch))
            batch.removeAll()
            batch.append(TestRow(1), shape: "other")
            try await spool.append(PageCommit(run: run, rows: batch))
            let records = try await spool.records()
            #expect(records.map(\.state) == [.rejected, .pending])
            #expect(records[1].payload == Array(TestRow(1).payload.utf8))
        }
    }

    @Test func `rows of any bytes come back as they were, down to an empty one`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            let payloads = ["", "{}", String(repeating: "ä€😀", count: 400_000), #"{"a":"\u0000"}"#]
            let rows = payloads.enumerated().map { index, payload in
                var row = TestRow(index)
                row.payload = payload
                return row
            }
            try await spool.append(PageCommit(run: run, rows: RowBatch(rows)))
            #expect(try await spool.records().map { String(decoding: $0.payload, as: UTF8.self) } == payloads)
            let intact = Gathered<Bool>()
            try await spool.readRows(.all(route: run.route), limit: .max) { row in
                intact.add(row.isIntact)
                return true
            }
            #expect(intact.items == [true, true, true, true])
        }
    }
}
