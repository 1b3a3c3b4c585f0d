import Foundation
import JSONBytes
import TestSupport
import Testing

@testable import Extract

struct ParquetTests {
    @Test(.needsPython) func `what pyarrow writes in any form is read value by value`() async throws {
        try await withFiles("*.parquet", mode: .full) { files in
            let printed = try await PythonPeer.run("parquet_writer", arguments: [files.folder])
            let expected = try String(decoding: printed, as: UTF8.self).split(separator: "\n").map {
                try JSONValue(parsing: String($0))
            }
            #expect(expected.count == 1200)
            let forms = try FileManager.default.contentsOfDirectory(atPath: files.folder)
                .filter { $0.hasSuffix(".parquet") }
            #expect(forms.count >= 14)
            try await files.complete()
            let rows = try await files.rows()
            #expect(rows.count == forms.count * expected.count)
            let byPath = Dictionary(grouping: rows, by: \.path)
            for (path, rows) in byPath {
                for (row, wanted) in zip(rows, expected) {
                    for member in wanted.objectValue ?? [] where !same(row[member.name], member.value) {
                        Issue.record(
                            "\(path) row \(row["_id"]?.stringValue ?? ""), \(member.name): \(row[member.name]?.text ?? "absent") instead of \(member.value.text)"
                        )
                        return
                    }
                }
            }
            try await checkSpecial(files)
        }
    }

    /// Numbers by value, since two languages print doubles in two ways.
    private func same(_ found: JSONValue?, _ wanted: JSONValue) -> Bool {
        if case .number(let left)? = found, case .number(let right) = wanted { return Double(left) == Double(right) }
        return found == wanted
    }

    private func checkSpecial(_ files: FilesExtraction) async throws {
        try await withTemporarySpool { spool in
            let special = files.with {
                $0.spool = spool
                $0.request.from = "special.parq"
                $0.request.files.format = .parquet
            }
            try await special.complete()
            #expect(
                try await special.fields() == [
                    #"{"_rescued":"{\"late\":\"4611686018427387904\",\"nanos\":\"1970-01-01T00:00:00.000000001Z\"}","float":"NaN","half":1.5,"id":"00000000-0000-0000-0000-000000000000","json":"{\"a\":[1.50],\"b\":1}","late":null,"nanos":"1970-01-01T00:00:00Z"}"#,
                    #"{"_rescued":"{\"late\":\"-4611686018427387904\",\"nanos\":\"2023-11-14T22:13:20.123456789Z\"}","float":"Infinity","half":65504.0,"id":"00000000-0000-0000-0000-000000000001","json":"nonsense","late":null,"nanos":"2023-11-14T22:13:20.123456Z"}"#,
                    #"{"float":"-Infinity","half":null,"id":"00000000-0000-0000-0000-000000000002","json":null,"late":"1970-01-01T00:00:00","nanos":null}"#,
                    #"{"float":-0.0,"half":6.103515625e-05,"id":"00000000-0000-0000-0000-000000000003","json":"\"x\"","late":null,"nanos":"1970-01-01T00:00:00.000001Z"}"#,
                ])
        }
        try await withTemporarySpool { spool in
            let old = files.with {
                $0.spool = spool
                $0.request.from = "{int96,empty}.parq"
                $0.request.files.format = .parquet
            }
            try await old.complete()
            #expect(
                try await old.fields() == [
                    #"{"old":"1970-01-01T00:00:00Z"}"#, #"{"old":"2023-11-14T22:13:20.123456Z"}"#, #"{"old":null}"#,
                    #"{"old":"1969-12-31T23:59:59.999999Z"}"#,
                ])
        }
    }

    @Test(.needsPython) func `the members of a map stand in the order of their keys' bytes`() async throws {
        try await withFiles("maps.parquet") { files in
            _ = try await PythonPeer.run("odd_parquet", arguments: [files.folder])
            try await files.complete()
            let maps = try await files.rows().map { Array(($0["m"]?.stringValue ?? "").utf8) }
            #expect(
                maps
                    == [
                        // A control, a line feed, a quote and a backslash stand where their bytes are, not their escapes.
                        #"{"":7,"\u0001":1,"\n":2,"\"":8,"A":3,"G":4,"\\":5,"a":6}"#,
                        "{\"e\u{301}\":2,\"\u{E9}\":1}",
                    ].map { Array($0.utf8) })
        }
    }

    @Test(.needsPython) func `a decimal is rescued only where BIGNUMERIC can't hold its value, whatever its scale`()
        async throws
    {
        try await withFiles("d*.parquet") { files in
            let printed = try await PythonPeer.run("odd_parquet", arguments: [files.folder])
            let wanted = try String(decoding: printed, as: UTF8.self).split(separator: "\n").map {
                try JSONValue(parsing: String($0))
            }
            #expect(Set(wanted.map { $0["fits"]?.boolValue }).count == 2)
            try await files.complete()
            let rows = try await files.rows()
            #expect(rows.count == wanted.count)
            for (row, wanted) in zip(rows, wanted) {
                #expect(row.path.hasSuffix(wanted["file"]?.stringValue ?? ""))
                let text = wanted["text"]?.stringValue ?? ""
                let fits = wanted["fits"]?.boolValue == true
                #expect(row.fields == (fits ? #"{"d":"\#(text)"}"# : #"{"_rescued":"{\"d\":\"\#(text)\"}","d":null}"#))
            }
        }
    }

    @Test(.needsPython) func `a run that is cut off in a row group goes on at its row, and columns are chosen`()
        async throws
    {
        try await withFiles("pages-*.parquet", mode: .incremental) { base in
            _ = try await PythonPeer.run("parquet_writer", arguments: [base.folder])
            let files = base.with {
                $0.options.rowsPerPage = 190
                $0.options.limit = 190
                $0.request.columns = ["lists", "text"]
                $0.request.key = ["required"]
            }
            var commands = 0
            while try await files.complete().status != .complete { commands += 1 }
            #expect(commands > 10)
            let rows = try await files.rows()
            // The second file has the same rows under the same keys.
            #expect(rows.count == 1200)
            #expect(Set(rows.map { $0["_id"] ?? .null }.map(\.text)).count == 1200)
            #expect(rows.allSatisfy { $0["lists"] != nil && $0["text"] != nil && $0["i64"] == nil })
        }
    }

    @Test(.needsPython, arguments: ["codec-none", "pages-2.0", "bare-1.0", "bare-2.0"])
    func `a damaged file is named and never harms`(form: String) async throws {
        try await withTemporaryFolder { folder in
            _ = try await PythonPeer.run("parquet_writer", arguments: [folder])
            let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(form).parquet")))
            var random = SeededRandom(seed: 20_251_125)
            var broken = 0
            for round in 0..<80 {
                var bytes = original
                switch round % 4 {
                case 0: bytes.removeSubrange(Int.random(in: 0..<bytes.count, using: &random)...)
                case 1:
                    // The footer, where the lengths are.
                    for _ in 0..<3 {
                        let at = Int.random(in: bytes.count - 6000..<bytes.count - 8, using: &random)
                        bytes[at] = UInt8.random(in: 0...255, using: &random)
                    }
                case 2:
                    // Levels, widths and lengths at their ends.
                    for _ in 0..<6 {
                        let at = Int.random(in: 4..<bytes.count - 6000, using: &random)
                        bytes[at] = [0, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
                    }
                default:
                    for _ in 0..<20 {
                        let at = Int.random(in: 4..<bytes.count - 6000, using: &random)
                        bytes[at] = UInt8.random(in: 0...255, using: &random)
                    }
                }
                do {
                    try await ParquetFixture.read(bytes, atMost: 400)
                } catch is BrokenObject {
                    broken += 1
                }
            }
            #expect(broken > 30)
        }
    }
}
