import Foundation
import JSONBytes
import Spool
import Testing
import Transport

@testable import Extract

@Suite struct ColumnNamingTests {
    @Test(arguments: [
        ("title", "title"), ("last modified", "last_modified"), ("a.b-c", "a_b_c"), ("é", "_"), ("e\u{301}", "e_"),
        ("漢字", "__"), ("😀", "_"), ("👨‍👩‍👧", "_____"), ("1st", "_1st"), ("", "_"), ("_x", "_x"), ("²", "_"), ("٣", "_"),
        ("_TABLE_SUFFIX", "c__TABLE_SUFFIX"), ("_table_x", "c__table_x"), ("_Table_", "c__Table_"),
        ("_TABLE", "_TABLE"),
        ("_FILE_NAME", "c__FILE_NAME"), ("_PARTITIONTIME", "c__PARTITIONTIME"), ("_partition", "c__partition"),
        ("_ROW_TIMESTAMPx", "c__ROW_TIMESTAMPx"), ("__ROOT__", "c___ROOT__"), ("__root__a", "c___root__a"),
        ("_COLIDENTIFIER", "c__COLIDENTIFIER"), ("_CHANGE_SEQUENCE_NUMBER", "c__CHANGE_SEQUENCE_NUMBER"),
        ("_CHANGE_TYPE", "c__CHANGE_TYPE"), ("_CHANGE_TIMESTAMP", "c__CHANGE_TIMESTAMP"), (" table_x", "c__table_x"),
        ("_CHANGED", "_CHANGED"),
    ])
    func `a field's name becomes a column's`(_ field: String, _ column: String) {
        #expect(ColumnNaming.sanitized(field) == column)
    }

    @Test func `300 characters stay, 301 are cut to 291 and the hash of the field's own name`() {
        let longest = String(repeating: "x", count: 300)
        #expect(ColumnNaming.sanitized(longest) == longest)
        let field = String(repeating: "é", count: 301)
        let hash = Digest.hex(Digest.sha256(Array(field.utf8))).prefix(8)
        #expect(ColumnNaming.sanitized(field) == String(repeating: "_", count: 291) + "_" + hash)
        #expect(ColumnNaming.sanitized("1" + String(repeating: "x", count: 299)).count == 300)
    }

    private func table(
        known: [ColumnName] = [], renames: [String: String] = [:], columns: Set<ExactText>? = nil,
        exclude: Set<ExactText> = []
    ) -> FieldTable {
        FieldTable(
            known: known, selection: FieldSelection(columns: columns, exclude: exclude), renames: renames,
            metadataNames: RowFrame(runID: "r", renames: renames).allNames)
    }

    /// The columns after pages with these fields.
    private func columns(_ table: FieldTable, _ pages: [String]...) -> [String: String] {
        for page in pages {
            for field in page { _ = Array(field.utf8).withUnsafeBytes { table.number(of: $0) } }
            table.nameNewFields { _ in true }
        }
        var columns: [String: String] = [:]
        for field in table.fields { columns[String(decoding: field.name, as: UTF8.self)] = field.column }
        return columns
    }

    @Test func `names that clash, also only in case or with metadata, get numbers in byte order within a page`() {
        #expect(
            columns(table(), ["a b", "a_b", "a-b", "A_B"]) == [
                "a b": "a_b_2", "a-b": "a_b_3", "a_b": "a_b_4", "A_B": "A_B",
            ])
        #expect(
            columns(table(), ["_id", "_ID", "_Op", "_rescued"]) == [
                "_id": "_id_3", "_ID": "_ID_2", "_Op": "_Op_2", "_rescued": "_rescued_2",
            ])
    }

    @Test func `names already mapped keep theirs, page for page and run for run`() {
        let first = columns(table(), ["b b"], ["b_b", "b-b"])
        #expect(first == ["b b": "b_b", "b-b": "b_b_2", "b_b": "b_b_3"])
        let known = first.map { ColumnName(field: $0.exact, base: $1, column: $1) }
        #expect(columns(table(known: known), ["b*b", "b b"]) == first.merging(["b*b": "b_b_4"]) { $1 })
    }

    @Test func `a suffix that does not fit cuts the name before it`() {
        let long = String(repeating: "x", count: 300)
        let result = columns(table(), [long, String(repeating: "X", count: 300)])
        #expect(result[String(repeating: "X", count: 300)] == String(repeating: "X", count: 300))
        #expect(result[long] == String(repeating: "x", count: 298) + "_2")
    }

    @Test func `rename goes by the sanitised name, also of numbered ones and of metadata`() {
        #expect(columns(table(renames: ["last_modified": "at"]), ["last modified"]) == ["last modified": "at"])
        #expect(columns(table(renames: ["a_b_2": "other"]), ["a b", "a_b"]) == ["a b": "a_b", "a_b": "other"])
        let renamed = table(renames: ["_id": "id"])
        #expect(columns(renamed, ["id", "_id"]) == ["id": "id_2", "_id": "_id_2"])
        #expect(RowFrame(runID: "r", renames: ["_id": "id"]).allNames.contains("id"))
    }

    @Test func `a rename of a clashing name moves the first of them alone`() {
        #expect(columns(table(renames: ["a_b": "x"]), ["a b", "a-b"]) == ["a b": "x", "a-b": "a_b_2"])
    }

    @Test func `a rename to a field's name gives way to names that are known`() {
        let known = [ColumnName(field: "a", base: "a", column: "a"), ColumnName(field: "b", base: "b", column: "b")]
        #expect(columns(table(known: known, renames: ["a": "b"]), []) == ["a": "b_2", "b": "b"])
        let kept = [ColumnName(field: "a", base: "a", column: "b"), ColumnName(field: "b", base: "b", column: "b_2")]
        #expect(columns(table(known: kept, renames: ["a": "b"]), []) == ["a": "b", "b": "b_2"])
        #expect(columns(table(known: kept), []) == ["a": "a", "b": "b_2"])
    }

    @Test func `a changed rename is told to the spool, an unchanged name is not`() {
        let known = [ColumnName(field: "a", base: "a", column: "a"), ColumnName(field: "b", base: "b", column: "b")]
        let table = table(known: known, renames: ["a": "title"])
        #expect(table.takeNewColumns() == [ColumnName(field: "a", base: "a", column: "title")])
        #expect(table.takeNewColumns().isEmpty)
    }

    @Test func `columns and exclude go by the field's own name`() throws {
        let fields =
            #"{"a b":{"integerValue":"1"},"c":{"integerValue":"2"},"d":{"mapValue":{"fields":{"c":{"integerValue":"3"}}}}}"#
        let answer = Normalized.answer([fields])
        let only = Normalized(selection: FieldSelection(columns: ["a b", "d"], exclude: []))
        #expect(try only.fields(answer) == [#"{"a_b":1,"d":"{\"c\":3}"}"#])
        let without = Normalized(selection: FieldSelection(columns: nil, exclude: ["a b", "d"]))
        #expect(try without.fields(answer) == [#"{"c":2}"#])
    }

    @Test func `10000 distinct fields are told apart`() throws {
        let fields = (0..<10_000).map { #""f\#($0)":{"integerValue":"\#($0)"}"# }.joined(separator: ",")
        let row = try #require(try Normalized().fields(Normalized.answer(["{\(fields)}"])).first)
        let values = try JSONValue(parsing: row)
        #expect(values.objectValue?.count == 10_000)
        #expect(values["f9999"] == .number("9999"))
    }

    /// CPU time of this thread in seconds: other tests run beside.
    private func cpuTime(_ body: () throws -> Void) rethrows -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
        let start = now()
        try body()
        return now() - start
    }

    @Test func `four times as many names that clash take about four times as long`() {
        func names(_ count: Int) -> [String] {
            (0..<count).map { number in
                let scalars = [number / 100, number % 100].map { UnicodeScalar(0x4E00 + UInt16($0)) ?? "x" }
                return String(String.UnicodeScalarView(scalars))
            }
        }
        func time(_ count: Int) -> Double {
            let names = names(count)
            return cpuTime {
                let columns = columns(table(), names)
                #expect(Set(columns.values).count == count)
            }
        }
        _ = time(500)
        let (few, many) = (time(2000), time(8000))
        #expect(many < few * 9, "\(few) and \(many) s")
    }

    @Test func `a document whose fields come in no order takes no time that grows with their square`() throws {
        func time(_ count: Int) throws -> Double {
            let fields = (0..<count).reversed().map { #""\#(String(format: "f%06d", $0))":{"nullValue":null}"# }
            let answer = Array(Normalized.answer(["{\(fields.joined(separator: ","))}"]).utf8)
            return try cpuTime {
                let row = try #require(try Normalized().payloads(answer).first)
                #expect(row.hasSuffix(String(format: "\"f%06d\":null}", count - 1)))
            }
        }
        _ = try time(500)
        let (few, many) = (try time(3000), try time(12_000))
        #expect(many < few * 9, "\(few) and \(many) s")
    }
}
