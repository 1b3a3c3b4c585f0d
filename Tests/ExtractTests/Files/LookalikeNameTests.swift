import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

/// Names that print alike and are made of other characters (`é` as one, and as `e` with an accent), and names with NUL: each is a name of
/// its own, whatever Swift's `String` says.
struct LookalikeNameTests {
    static let composed = "\u{E9}"
    static let decomposed = "e\u{301}"

    /// Pairs that are canonically equivalent, and pairs that differ behind a NUL alone.
    static let pairs = [
        (composed, decomposed), ("\u{212A}", "K"), ("\u{2126}", "\u{3A9}"), ("\u{F900}", "\u{8C48}"), ("a", "a\0b"),
        ("x\0", "x"), ("\0", "\0\0"),
    ]

    private static func line(_ members: (String, Int)...) -> String {
        JSONValue.object(members.map { JSONMember($0.0, .number(String($0.1))) }).text + "\n"
    }

    @Test(arguments: pairs)
    func `fields keep their columns from run to run`(_ left: String, _ right: String) async throws {
        try await withFiles("*.jsonl") { files in
            try files.write("1.jsonl", Self.line((left, 1)))
            try await files.complete()
            try files.write("2.jsonl", Self.line((right, 2)))
            try await files.complete()
            try files.write("3.jsonl", Self.line((left, 3), (right, 4)) + Self.line((right, 2)))
            try await files.complete()
            // A changed object is read again; its rows are known.
            try files.write("1.jsonl", Self.line((left, 1)) + Self.line((right, 5)))
            #expect(try await files.complete().counters.rowsUnchanged == 1)

            let rows = try await files.rows().map { row in
                Dictionary(uniqueKeysWithValues: (row.json.objectValue ?? []).map { ($0.name, $0.value) })
            }
            #expect(rows.count == 5)
            func column(of value: Int64, _ row: Int) -> String? { rows[row].first { $0.value.intValue == value }?.key }
            let (first, second) = (try #require(column(of: 1, 0)), try #require(column(of: 2, 1)))
            #expect(first != second)
            #expect(column(of: 3, 2) == first && column(of: 4, 2) == second)
            #expect(column(of: 2, 3) == second && column(of: 5, 4) == second)
        }
    }

    @Test(arguments: pairs)
    func `columns and exclude mean the field they name`(_ left: String, _ right: String) async throws {
        for excludes in [false, true] {
            try await withFiles("*.jsonl") { files in
                try files.write("1.jsonl", Self.line((left, 1), (right, 2)))
                let chosen = files.with {
                    if excludes { $0.request.exclude = [right] } else { $0.request.columns = [left] }
                }
                try await chosen.complete()
                let values = try await files.rows().map { ($0.json.objectValue ?? []).compactMap(\.value.intValue) }
                #expect(values == [[1]])
            }
        }
    }

    @Test func `both may be parts of a key`() async throws {
        try await withFiles("*.jsonl", mode: .changes) { files in
            let keyed = files.with { $0.request.key = [Self.decomposed, Self.composed] }
            try files.write("1.jsonl", Self.line((Self.composed, 1), (Self.decomposed, 2)))
            try await keyed.complete()
            #expect(try await files.rows().map { $0["_id"]?.stringValue } == ["[2,1]"])
        }
    }

    @Test func `a CSV header names both, in either order`() throws {
        let (composed, decomposed) = (Self.composed, Self.decomposed)
        #expect(try TextReaderFixture.csv("\(composed),\(decomposed)\n1,2\n") == [#"{"_":1,"e_":2}"#])
        #expect(try TextReaderFixture.csv("\(decomposed),\(composed)\n2,1\n") == [#"{"_":1,"e_":2}"#])
        // The same name again still gets a number.
        let again = try TextReaderFixture.csv("\(composed),\(decomposed),\(composed)\n1,2,3\n")
        #expect(again == [#"{"_":1,"__2":3,"e_":2}"#])
    }

    @Test func `a CSV key that only looks like a column is not there`() async throws {
        try await withFiles("*.csv", mode: .changes) { files in
            try files.write("1.csv", "\(Self.composed)\n1\n")
            let result = await files.with { $0.request.key = [Self.decomposed] }.run()
            #expect(result.kind == .configuration)
        }
    }

    @Test func `in a line with a repeated member both stay`() throws {
        let line = #"{"\#(Self.composed)":1,"\#(Self.decomposed)":2,"x":0,"x":3}"# + "\n"
        #expect(try TextReaderFixture.json(line) == [#"{"_":1,"e_":2,"x":3}"#])
    }

    @Test func `an object that was cut off is not continued with one whose name only looks alike`() async throws {
        try await withFiles("*.jsonl") { base in
            let files = base.with { $0.options.limit = 2 }
            let moment = Date(timeIntervalSince1970: 1_764_082_677)
            func write(_ name: String) throws {
                try files.write(name, (0..<4).map { Self.line(("n", $0)) }.joined())
                try FileManager.default.setAttributes(
                    [.modificationDate: moment], ofItemAtPath: files.folder + "/" + name)
            }
            try write(Self.decomposed + ".jsonl")
            #expect(await files.run().status == .interrupted)
            try FileManager.default.removeItem(atPath: files.folder + "/" + Self.decomposed + ".jsonl")
            try write(Self.composed + ".jsonl")
            try await base.complete()
            #expect(try await base.rows().compactMap { $0["n"]?.intValue } == [0, 1, 0, 1, 2, 3])
        }
    }

    @Test func `a position kept for one is not gone on from for the other`() async throws {
        try await withFiles("*.jsonl") { files in
            try files.write("1.jsonl", Self.line(("a", 1)))
            try await files.with { $0.request.identity = Self.composed }.complete()
            let other = await files.with { $0.request.identity = Self.decomposed }.run()
            #expect(other.error is PositionMismatch)
        }
    }

    @Test func `a BigQuery column is found by its own name`() throws {
        let fields = [Self.decomposed, Self.composed, "\u{C9}"].map { name in
            BigQueryField(.object([JSONMember("name", .string(name)), JSONMember("type", .string("STRING"))]))
        }
        #expect(BigQueryNormalizer.place(of: Self.composed, in: fields) == 1)
        #expect(BigQueryNormalizer.place(of: Self.decomposed, in: fields) == 0)
        #expect(BigQueryNormalizer.place(of: "E\u{301}", in: fields) == 0)
    }

    @Test(.needsPython) func `two columns of a Parquet file are two columns`() async throws {
        try await withFiles("names.parquet", mode: .changes) { base in
            _ = try await PythonPeer.run("odd_parquet", arguments: [base.folder])
            let files = base.with { $0.request.key = [Self.decomposed] }
            try await files.complete()
            #expect(try await files.fields() == [#"{"_":1,"e_":2}"#])
            #expect(try await files.rows().map { $0["_id"]?.stringValue } == ["2"])
        }
    }
}
