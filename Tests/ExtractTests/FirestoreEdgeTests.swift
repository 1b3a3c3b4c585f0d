import Extract
import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

/// Documents at Firestore's limits, as the emulator keeps and tells them.
@Suite(.firestoreEmulator) struct FirestoreEdgeTests {
    /// The largest text that Firestore takes as one value (quotas page), of characters that JSON writes in every way.
    static let longestText: String = {
        let piece = "é\u{1}漢\"\\\n😀/\u{7f}xyz"
        let room = 1_048_487
        let whole = String(repeating: piece, count: room / piece.utf8.count)
        return whole + String(repeating: "x", count: room - whole.utf8.count)
    }()

    /// What a document's fields must have become.
    private func check(_ row: SpooledRow, against document: JSONValue, root: String) {
        let fields = document["fields"]?.objectValue ?? []
        let values = (row.json.objectValue ?? []).filter { !ExpectedRow.metadata.contains($0.name) }
        let columns = Dictionary(values.map { ($0.name, $0.value) }) { first, _ in first }
        #expect(columns.count == fields.count && values.count == fields.count)
        let expected = ExpectedRow(root: root)
        let wrong = fields.filter { columns[$0.name] != expected.column($0.value) }
        #expect(wrong.isEmpty, "\(wrong.prefix(3).map(\.name))")
    }

    @Test(arguments: FirestoreRunTests.modes)
    func `documents at the limit of 1 MiB come through exactly, in one text and in 18,000 fields`(_ mode: ReadMode)
        async throws
    {
        try await withDatabase { database, spool in
            let at = JSONValue.time("2025-01-01T00:00:00Z")
            // 57 bytes a field as Firestore counts: 1,026,000 of 1,048,576, and two index entries each of 40,000.
            let value = JSONValue.text(String(repeating: "v", count: 49))
            var many = Dictionary(uniqueKeysWithValues: (0..<18_000).map { (String(format: "f%05d", $0), value) })
            many["at"] = at
            try await database.set("memos/many", many)
            try await database.set("memos/text", ["at": at, "s": .text(Self.longestText.dropLast(40).description)])
            try await database.set("memos/text2", ["s": .text(Self.longestText)])
            for number in 0..<6 {
                let text = String(repeating: "\(number)", count: 1_000_000)
                try await database.set("memos/x\(number)", ["at": at, "s": .text(text)])
            }
            let stream = Extraction(database, spool, mode: mode, watermark: mode == .incremental ? "at" : nil)
            try await stream.complete()
            let source = try await database.documents(of: "memos")
            let rows = try await stream.rows()
            #expect(rows.count == (mode == .incremental ? 8 : 9))
            for row in rows { check(row, against: try #require(source[row.path]), root: database.root) }
            if mode != .full { #expect(try await stream.complete().counters.rowsSpooled == 0) }
        }
    }

    @Test func `10,000 field names keep their columns from run to run, whatever order they come in`() async throws {
        try await withDatabase { database, spool in
            // Half of the names are made of characters that no column's name may have: they clash by thousands.
            func name(_ number: Int) -> String {
                guard number.isMultiple(of: 2) else { return "field \(number)" }
                return [0, 1, 2].map { place in
                    String(UnicodeScalar(UInt32(0x4E00 + number / [1, 100, 10_000][place] % 100)) ?? "x")
                }.joined()
            }
            func documents(_ numbers: [Int], revision: Int) -> [FirestoreDatabase.Write] {
                numbers.map { document in
                    let fields = (document * 20..<document * 20 + 20).map { field in
                        (name(field), JSONValue.integer(Int64(revision * 100_000 + field)))
                    }
                    return .set("memos/\(String(format: "m%04d", document))", Dictionary(uniqueKeysWithValues: fields))
                }
            }
            let stream = Extraction(database, spool).withOptions { $0.rowsPerPage = 50 }
            try await database.write(documents(Array(0..<400), revision: 0))
            try await stream.complete()
            let number = try #require(try await spool.stream(named: "memos")).number
            let first = try await spool.columnNames(stream: number)
            #expect(first.count == 8000)
            // All of them again, from the end, with a hundred new ones.
            try await database.write(documents(Array((0..<500).reversed()), revision: 1))
            try await stream.complete()
            let second = try await spool.columnNames(stream: number)
            #expect(second.count == 10_000)
            #expect(Set(second.values.map { $0.lowercased() }).count == 10_000)
            #expect(first.allSatisfy { second[$0.key] == $0.value })
            let rows = try await stream.rows()
            #expect(rows.count == 900)
            for (index, row) in rows.enumerated() {
                let document = Int(row.path.dropFirst("memos/m".count)) ?? -1
                let wrong = (document * 20..<document * 20 + 20).filter { field in
                    let value = (index < 400 ? 0 : 100_000) + field
                    return row[second[name(field).exact] ?? ""] != .number("\(value)")
                }
                #expect(wrong.isEmpty, "\(row.path) \(wrong)")
            }
        }
    }

    @Test func `fields, ids and collections whose names look alike are told apart`() async throws {
        let (composed, decomposed) = ("\u{E9}", "e\u{301}")
        try await withDatabase { database, spool in
            func fields(_ members: (String, Int64)...) -> JSONValue {
                .object(members.map { JSONMember($0.0, .integer($0.1)) })
            }
            try await database.write([
                .put("\(composed)/\(composed)", fields((composed, 1), (decomposed, 2))),
                .put("\(composed)/\(decomposed)", fields((decomposed, 3))),
                .put("\(decomposed)/x", fields((composed, 4))),
            ])
            func values(_ change: (inout ExtractRequest) -> Void) async throws -> [[String?]] {
                try await withTemporarySpool { spool in
                    let stream = Extraction(database, spool, from: composed).with(change)
                    try await stream.complete()
                    #expect(try await stream.complete().counters.rowsSpooled == 0)
                    return try await stream.rows().map { [$0["_"]?.text, $0["e_"]?.text] }
                }
            }
            // In the order of the names' bytes.
            #expect(try await values { _ in } == [[nil, "3"], ["1", "2"]])
            #expect(try await values { $0.exclude = [composed] } == [[nil, "3"], [nil, "2"]])
            #expect(try await values { $0.columns = [composed] } == [[nil, nil], ["1", nil]])
            #expect(try await values { $0.parallel = 2 } == [[nil, "3"], ["1", "2"]])
            // One of the two goes, the other stays.
            let stream = Extraction(database, spool, from: composed)
            try await stream.complete()
            try await database.delete("\(composed)/\(composed)")
            try await stream.complete()
            let gone = try #require(try await stream.rows().last)
            #expect(gone.operation == "delete" && Array(gone.path.utf8) == Array("\(composed)/\(composed)".utf8))
            #expect(try await stream.rows().count == 3)
        }
    }

    @Test func `maps and arrays nest 20 deep, and no fields at all are a row`() async throws {
        try await withDatabase { database, spool in
            func nested(_ depth: Int) -> JSONValue {
                if depth == 0 { return .integer(1) }
                return depth.isMultiple(of: 2) ? .map(["k": nested(depth - 1)]) : .list(nested(depth - 1))
            }
            func text(_ depth: Int) -> String {
                if depth == 0 { return "1" }
                return depth.isMultiple(of: 2) ? #"{"k":\#(text(depth - 1))}"# : "[\(text(depth - 1))]"
            }
            try await database.set("memos/deep", ["f": nested(20)])
            try await database.set("memos/empty", [:])
            try await database.set("memos/hollow", ["list": .list(), "map": .map([:]), "none": .none])
            let stream = Extraction(database, spool)
            try await stream.complete()
            let rows = try await stream.rows()
            #expect(rows.map(\.path) == ["memos/deep", "memos/empty", "memos/hollow"])
            #expect(rows[0]["f"] == .string(text(20)))
            #expect(rows[1].json.objectValue?.allSatisfy { ExpectedRow.metadata.contains($0.name) } == true)
            #expect(rows[2]["list"] == "[]" && rows[2]["map"] == "{}" && rows[2]["none"] == JSONValue.null)
        }
    }
}
