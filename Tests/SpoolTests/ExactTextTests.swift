import TestSupport
import Testing

@testable import Spool

/// Texts with NUL, at which a C string ends, and texts that look alike and are made of other bytes: the spool keeps both as they are.
@Suite struct ExactTextTests {
    private static let composed = "\u{E9}"
    private static let decomposed = "e\u{301}"

    @Test func `fields keep their own columns, also where their names hold NUL or look alike`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            var page = PageCommit(run: run, rows: RowBatch([TestRow(0)]))
            page.newColumns = [
                ColumnName(field: "a", base: "a", column: "a"), ColumnName(field: "a\0b", base: "a_b", column: "a_b"),
                ColumnName(field: "a\0", base: "a_", column: "a_"), ColumnName(field: "\0", base: "_", column: "_"),
                ColumnName(field: .init(Self.composed), base: "__2", column: "__2"),
                ColumnName(field: .init(Self.decomposed), base: "e_", column: "e_"),
            ]
            try await spool.append(page)
            // Under other final names, as `rename` gives them.
            page = PageCommit(run: run, rows: RowBatch([TestRow(1)]))
            page.newColumns = [ColumnName(field: "a\0b", base: "a_b", column: "nul")]
            try await spool.append(page)

            let bases = try #require(try await spool.stream(named: "memos")).columns
            #expect(bases.count == 6)
            #expect(bases["a"] == "a" && bases["a\0b"] == "a_b" && bases["a\0"] == "a_" && bases["\0"] == "_")
            #expect(bases[.init(Self.composed)] == "__2" && bases[.init(Self.decomposed)] == "e_")
            let columns = try await spool.columnNames(stream: run.streamNumber)
            #expect(columns.count == 6)
            #expect(columns["a"] == "a" && columns["a\0b"] == "nul" && columns["a\0"] == "a_")
        }
    }

    @Test func `a watermark with NUL is kept whole, everywhere it stands`() async throws {
        try await withTemporarySpool { spool in
            let watermark = Watermark(value: "w\0b", key: "k\0", sortKey: Array("w\0b".utf8))
            let run = try await spool.beginTestRun()
            var page = PageCommit(run: run, rows: RowBatch([TestRow(0)]))
            page.watermark = watermark
            try await spool.append(page)
            try await spool.endRun(run, status: .complete, warnings: nil, error: nil)
            #expect(try await spool.stream(named: "memos")?.watermark == watermark)
            #expect(try await spool.streamsOnRecord().map(\.watermark) == [watermark])
            #expect(try await spool.lastRuns()["memos"]?.watermarkTo == "w\0b")
            #expect(try await spool.beginTestRun().watermarkFrom == "w\0b")
        }
    }

    @Test func `objects are told apart by their whole names`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            let names = ["a", "a\0b", "a\0c", Self.composed, Self.decomposed]
            func bytes(_ records: [ObjectRecord]) -> [[UInt8]] { records.map { Array($0.name.utf8) } }
            let opened = try await spool.openObjects(stream: run.streamNumber, names: names)
            #expect(Set(opened.map(\.number)).count == names.count)
            #expect(bytes(opened) == names.map { Array($0.utf8) })
            var page = PageCommit(run: run, rows: RowBatch())
            page.objectsRead = [ObjectRead(number: opened[1].number, version: "1", size: 3, rows: 0)]
            try await spool.append(page)

            let again = try await spool.openObjects(stream: run.streamNumber, names: names)
            #expect(again.map(\.number) == opened.map(\.number))
            #expect(bytes(again) == bytes(opened))
            #expect(again.map(\.version) == [nil, "1", nil, nil, nil])
            #expect(bytes(try await spool.objects(stream: run.streamNumber)) == [Array("a\0b".utf8)])
        }
    }

    @Test func `a row's id is shown whole`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            let rows = RowBatch()
            let row = TestRow(0)
            var attributes = row.attributes
            attributes.shape = rows.shapeNumber(for: RowBatch.testShape)
            let (payload, id, insertID) = (Array(row.payload.utf8), Array("m\00".utf8), Array(row.insertID.utf8))
            payload.withUnsafeBytes { payload in
                id.withUnsafeBytes { id in
                    insertID.withUnsafeBytes { rows.append(payload: payload, id: id, insertID: $0, attributes) }
                }
            }
            try await spool.append(PageCommit(run: run, rows: rows))
            #expect(try await spool.records().map(\.id) == ["m\00"])
        }
    }

    @Test func `what a server says of a row is kept whole`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            let rows = RowBatch()
            var row = TestRow(0)
            row.attributes.rejection = (reason: "bad_line", message: "it holds \0, which is no JSON")
            rows.append(row)
            try await spool.append(PageCommit(run: run, rows: rows))
            #expect(try await spool.records().map(\.message) == ["it holds \0, which is no JSON"])
            try await spool.endRun(run, status: .failed, warnings: nil, error: "\"a\0b\" is no name")
            #expect(try await spool.lastRuns()["memos"]?.error == "\"a\0b\" is no name")
        }
    }
}
