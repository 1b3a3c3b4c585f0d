import Extract
import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

struct FilesModesTests {
    @Test func `csv values are typed only where their text is what the type prints`() async throws {
        try await withFiles("*.csv") { files in
            try files.write("a.csv", "id,amount,zip,ok,day,at\n7,1.5,0123,true,2024-02-29,2025-11-25T14:57:57.425Z\n")
            let result = try await files.complete()
            #expect(result.counters.rowsSpooled == 1)
            #expect(
                try await files.fields() == [
                    #"{"amount":1.5,"at":"2025-11-25T14:57:57.425Z","day":"2024-02-29","id":7,"ok":true,"zip":"0123"}"#
                ])
            let row = try #require(try await files.rows().first)
            #expect(row["_id"] == "a.csv#1")
            #expect(row["_path"] == .string("file://\(files.folder)/a.csv"))
        }
    }

    @Test func `a second run of unchanged objects spools nothing`() async throws {
        try await withFiles("**/*.{csv,jsonl}") { files in
            try files.write("a.csv", "id\n1\n2\n")
            try files.write("deep/b.jsonl", "{\"id\":1}\n{\"id\":2}")
            #expect(try await files.complete().counters.rowsSpooled == 4)
            let again = try await files.complete()
            #expect(again.counters.rowsSpooled == 0)
            #expect(again.counters.rowsRead == 0)
            #expect(try await files.rows().count == 4)
        }
    }

    @Test func `of an object that grew only the new rows are spooled, equal rows counted`() async throws {
        try await withFiles("*.csv") { files in
            try files.write("a.csv", "id\n1\n1\n2\n")
            #expect(try await files.complete().counters.rowsSpooled == 3)
            try files.write("a.csv", "id\n1\n1\n2\n1\n3\n")
            let grown = try await files.complete()
            #expect(grown.counters.rowsSpooled == 2)
            #expect(grown.counters.rowsUnchanged == 3)
            let rows = try await files.rows()
            #expect(rows.map(\.fields) == [#"{"id":1}"#, #"{"id":1}"#, #"{"id":2}"#, #"{"id":1}"#, #"{"id":3}"#])
            #expect(Set(rows.map(\.insertID)).count == 5)
            try files.write("a.csv", "id\n3\n2\n1\n")
            #expect(try await files.complete().counters.rowsSpooled == 0)
        }
    }

    @Test func `ids are the same in another spool`() async throws {
        try await withFiles("*.csv") { files in
            try files.write("a.csv", "id,name\n1,x\n1,x\n,\n")
            try await files.complete()
            let ids = try await files.rows().map(\.insertID)
            try await withTemporarySpool { other in
                let second = files.with { $0.spool = other }
                try await second.complete()
                #expect(try await second.rows().map(\.insertID) == ids)
            }
        }
    }

    @Test func `with a key a changed row is a new version and a known one is not spooled`() async throws {
        try await withFiles("*.csv") { base in
            let files = base.with { $0.request.key = ["id"] }
            try files.write("a.csv", "id,name\n1,x\n2,y\n")
            try await files.complete()
            try files.write("b.csv", "id,name\n1,z\n2,y\n")
            let result = try await files.complete()
            #expect(result.counters.rowsSpooled == 1)
            #expect(result.counters.rowsUnchanged == 1)
            try files.write("a.csv", "id,name\n1,x\n")
            #expect(try await files.complete().counters.rowsSpooled == 1)
            let rows = try await files.rows()
            #expect(rows.map(\.fields).last == #"{"id":1,"name":"x"}"#)
            #expect(Set(rows.map(\.insertID)).count == 4)
            #expect(rows.first?["_id"] == "1")
        }
    }

    @Test func `changes finds what is new, changed and gone`() async throws {
        try await withFiles("*.jsonl", mode: .changes) { base in
            let files = base.with { $0.request.key = ["id", "kind"] }
            try files.write(
                "a.jsonl",
                """
                {"id":1,"kind":"a","v":1}
                {"id":2,"kind":"a","v":1}
                {"id":3,"kind":"a","v":1}
                """)
            #expect(try await files.complete().counters.rowsSpooled == 3)
            try files.write(
                "a.jsonl",
                """
                {"id":1,"kind":"a","v":1}
                {"id":2,"kind":"a","v":2}
                """)
            let result = try await files.complete()
            #expect(result.counters.rowsSpooled == 2)
            #expect(result.counters.deletes == 1)
            let gone = try #require(try await files.rows().last)
            #expect(gone["_op"] == "delete")
            #expect(gone["_id"] == #"[3,"a"]"#)
            #expect(try await files.complete().counters.rowsSpooled == 0)
            try files.write("b.jsonl", #"{"id":3,"kind":"a","v":1}"#)
            try await files.complete()
            let rows = try await files.rows()
            #expect(Set(rows.map(\.insertID)).count == rows.count)
        }
    }

    @Test func `most rows gone at once needs consent`() async throws {
        try await withFiles("*.jsonl", mode: .changes) { base in
            let files = base.with { $0.request.key = ["id"] }
            try files.write("a.jsonl", (1...10).map { #"{"id":\#($0)}"# }.joined(separator: "\n"))
            try await files.complete()
            try files.write("a.jsonl", #"{"id":1}"#)
            #expect(await files.run().kind == .massDelete)
            #expect(try await files.rows().count == 10)
            let allowed = try await files.with { $0.options.allowsMassDelete = true }.complete()
            #expect(allowed.counters.deletes == 9)
        }
    }

    @Test func `a snapshot has all rows again under ids of its run`() async throws {
        try await withFiles("*.csv", mode: .full) { files in
            try files.write("a.csv", "id\n1\n1\n")
            try await files.complete()
            try await files.complete()
            let rows = try await files.rows()
            #expect(rows.count == 4)
            #expect(Set(rows.map(\.insertID)).count == 4)
            #expect(try await files.spool.objects(stream: 1).map(\.rows) == [2])
        }
    }

    @Test(arguments: [3, 100])
    func `equal rows are counted on disk as in memory, also over a reading that is cut off`(inMemory: Int) async throws
    {
        try await withFiles("*.csv") { base in
            let files = base.with {
                $0.options.rowsPerPage = 3
                $0.options.limit = 5
                $0.options.rowsCountedInMemory = inMemory
            }
            let rows = (1...20).map { "\($0 % 7)\n" }
            try files.write("a.csv", "id\n" + rows.joined())
            while try await files.complete().status != .complete {}
            try files.write("a.csv", "id\n8\n" + rows.reversed().joined() + "1\n9\n")
            while try await files.complete().status != .complete {}
            let spooled = try await files.rows()
            #expect(spooled.count == 23)
            #expect(Set(spooled.map(\.insertID)).count == 23)
            #expect(spooled.suffix(3).map(\.fields) == [#"{"id":8}"#, #"{"id":1}"#, #"{"id":9}"#])
        }
    }

    @Test func `a run that is cut off anywhere goes on where it stood`() async throws {
        let csv = "id,name\n" + (1...25).map { "\($0),\"line\n\($0)\"\n" }.joined() + "1,\"line\n1\"\n"
        for mode in [ReadMode.full, .incremental] {
            try await withFiles("*.csv", mode: mode) { base in
                let files = base.with {
                    $0.options.rowsPerPage = 4
                    $0.options.limit = 7
                }
                try files.write("a.csv", csv)
                try files.write("b.csv", "\u{FEFF}" + csv)
                var runs: Set<String> = []
                for _ in 0..<20 {
                    let result = try await files.complete()
                    runs.insert(result.runID ?? "")
                    if result.status == .complete { break }
                }
                #expect(runs.count == 1)
                let rows = try await files.rows()
                #expect(rows.count == 52)
                #expect(Set(rows.map(\.insertID)).count == 52)
                #expect(rows.map(\.fields).sorted() == rows.map(\.fields).sorted())
                #expect(Set(rows.map(\.fields)).count == 25)
            }
        }
    }

    @Test func `a line that can't be parsed is spooled as rejected and the rest is read`() async throws {
        try await withFiles("*") { files in
            try files.write("a.jsonl", "{\"id\":1}\n[1]\n{\"id\":}\n\n{\"id\":2}\n")
            try files.write("b.csv", Array("id,name\n1,\"a\"b\n2,".utf8) + [0xFF, 0x0A] + Array("3,c\n".utf8))
            let result = try await files.complete()
            #expect(result.warning("bad_lines")?.count == 4)
            #expect(result.rejected == 4)
            let records = try await files.spool.records()
            let bad = records.filter { $0.state == .rejected }
            #expect(bad.map(\.reason) == ["bad_line", "bad_line", "bad_line", "bad_line"])
            #expect(bad.map(\.id) == ["a.jsonl#2", "a.jsonl#3", "b.csv#2", "b.csv#3"])
            let fields = try bad.map { try SpooledRow($0).fields }
            #expect(
                fields == [
                    #"{"_rescued":"{\"_line\":\"[1]\"}"}"#, #"{"_rescued":"{\"_line\":\"{\\\"id\\\":}\"}"}"#,
                    #"{"_rescued":"{\"_line\":\"1,\\\"a\\\"b\"}"}"#, #"{"_rescued":"{\"_line_base64\":\"Miz/\"}"}"#,
                ])
            #expect(records.count == 7)
            #expect(try await files.complete().rejected == 0)
        }
    }

    @Test func `on request the first bad line stops the run`() async throws {
        try await withFiles("*.jsonl") { base in
            let files = base.with { $0.request.files.stopsAtBadRow = true }
            try files.write("a.jsonl", "{\"id\":1}\noops\n{\"id\":2}\n")
            let result = await files.run()
            #expect(result.kind == .malformed)
            #expect("\(String(describing: result.error))".contains("line 2"))
            #expect(try await files.rows().count == 1)
            try files.write("a.jsonl", "{\"id\":1}\n{\"id\":2}\n")
            #expect(try await files.complete().counters.rowsSpooled == 1)
        }
    }

    @Test func `a broken object is named and the others are read`() async throws {
        try await withFiles("*") { files in
            try files.write("a.csv.gz", "id\n1\n")
            try files.write("b.csv", "id\n1\n")
            try files.write("c.csv", [0x1F, 0x8B, 8, 0])
            let result = await files.run()
            #expect(result.status == .failed)
            #expect(result.kind == .malformed)
            let message = "\(String(describing: result.error))"
            #expect(message.contains("a.csv.gz") && message.contains("c.csv") && !message.contains("b.csv"))
            #expect(try await files.rows().count == 1)
            try FileManager.default.removeItem(atPath: files.folder + "/a.csv.gz")
            try files.write("c.csv", "id\n5\n")
            #expect(try await files.complete().counters.rowsSpooled == 1)
        }
    }

    @Test func `nothing to read is a warning, a missing folder an error`() async throws {
        try await withFiles("*.csv") { files in
            let result = try await files.complete()
            #expect(result.warning("no_objects") != nil)
            let missing = files.with { $0.store = LocalStore(folder: files.folder + "/missing") }
            #expect(await missing.run().kind == .configuration)
        }
    }

    @Test func `after a reset nothing is spooled twice`() async throws {
        try await withFiles("*.csv") { files in
            try files.write("a.csv", "id\n1\n1\n2\n")
            try await files.complete()
            try await files.spool.resetPosition(stream: 1)
            let result = try await files.complete()
            #expect(result.counters.rowsSpooled == 0)
            #expect(result.counters.rowsUnchanged == 3)
            try files.write("a.csv", "id\n1\n1\n2\n3\n")
            #expect(try await files.complete().counters.rowsSpooled == 1)
        }
    }

    @Test func `the mass-delete guard holds for a new generation`() async throws {
        try await withFiles("*.csv") { base in
            let files = base.with {
                $0.request.mode = .changes
                $0.request.key = ["id"]
            }
            try files.write("a.csv", "id\n1\n2\n3\n4\n")
            try await files.complete()
            try files.write("a.csv", "id\n1\n")
            let raised = files.with { $0.request.generation = 1 }
            #expect(await raised.run().kind == .massDelete)
            let allowed = try await raised.with { $0.options.allowsMassDelete = true }.complete()
            #expect(allowed.counters.deletes == 3)
        }
    }

    /// What the latest view would show: per key the last row.
    private func latest(_ rows: [SpooledRow]) -> [String: String] {
        Dictionary(rows.map { ($0.id ?? "", "\($0.operation) \($0.fields)") }, uniquingKeysWith: { $1 })
    }

    @Test(arguments: [ReadMode.incremental, .changes], [false, true])
    func `a reset forgets what was read, not which version a key is at`(mode: ReadMode, isRetired: Bool) async throws {
        try await withFiles("*.jsonl", mode: mode) { base in
            let files = base.with {
                $0.request.key = ["id"]
                $0.options.allowsMassDelete = true
            }
            func put(_ values: [Int: Int]) throws {
                let lines = values.sorted { $0.key < $1.key }.map { "{\"id\":\($0.key),\"a\":\($0.value)}\n" }
                try files.write("c.jsonl", lines.joined())
            }
            try put([1: 0, 2: 0, 3: 0, 4: 0, 5: 0])
            try await files.complete()
            try put([1: 9, 2: 0, 3: 9])
            try await files.complete()
            let before = try await files.rows()
            if isRetired {
                let route = try #require(try await files.spool.routes().first)
                for request in try await files.spool.beginAll(of: route) {
                    try await files.spool.settle([Settlement(request, rest: .delivered)])
                }
                #expect(try await files.spool.retire(deliveredBefore: .maximum) == before.count)
            }
            try await files.spool.resetPosition(stream: 1)
            // Again as it was, as it was all the time, as it is, and still gone.
            try put([1: 0, 2: 0, 3: 9, 4: 0])
            let result = try await files.complete()
            let after = try await files.rows().suffix(result.counters.rowsSpooled)
            let all = before + after
            #expect(latest(all)["1"] == #"upsert {"a":0,"id":1}"#)
            #expect(latest(all)["3"] == #"upsert {"a":9,"id":3}"#)
            #expect(latest(all)["4"] == #"upsert {"a":0,"id":4}"#)
            // What the spool still has is not spooled under another id; what it has not, under the id it had.
            let repeated = after.filter { row in before.contains { $0.insertID == row.insertID } }
            let again = isRetired ? (mode == .changes ? ["2", "3"] : ["2", "3", "4"]) : []
            #expect(repeated.compactMap(\.id) == again)
            let new = after.filter { row in !before.contains { $0.insertID == row.insertID } }
            #expect(new.compactMap(\.id) == (mode == .changes ? ["1", "4"] : ["1"]))
            #expect(result.counters.rowsUnchanged == 4 - after.count)

            #expect(try await files.complete().counters.rowsSpooled == 0)
            try put([1: 9, 2: 0, 3: 9, 4: 0])
            let changed = try await files.complete()
            #expect(changed.counters.rowsSpooled == 1)
            let ids = (all + (try await files.rows().suffix(1))).map(\.insertID)
            #expect(Set(ids).count == ids.count - again.count, "A, B, A, B are four versions")
        }
    }

    @Test func `a run after a reset that failed goes on with what the reset left`() async throws {
        try await withFiles("*.csv", mode: .changes) { base in
            let files = base.with {
                $0.request.key = ["id"]
                $0.options.rowsPerPage = 5
            }
            let lines = (0..<60).map { "\($0),x\n" }.joined()
            try files.write("a.csv", "id,v\n" + lines)
            try await files.complete()
            try await files.spool.resetPosition(stream: 1)
            // Some pages are known again when a key that comes twice ends the run.
            try files.write("a.csv", "id,v\n" + lines + "3,x\n")
            #expect(await files.run().kind == .configuration)
            #expect(try await files.spool.stream(named: "orders")?.hasForgottenVersions == true)
            try files.write("a.csv", "id,v\n" + lines)
            let result = try await files.with { $0.options.restarts = true }.complete()
            #expect(result.counters.rowsSpooled == 0 && result.counters.rowsUnchanged == 60)
            let state = try #require(try await files.spool.stream(named: "orders"))
            #expect(state.knownVersions == 60 && !state.hasForgottenVersions)
        }
    }

    @Test func `full reads unchanged objects again under the stream's own ids`() async throws {
        try await withFiles("*.csv") { files in
            try files.write("a.csv", "id\n1\n2\n")
            try await files.complete()
            let result = try await files.with { $0.options.readsEverything = true }.complete()
            #expect(result.counters.rowsRead == 2)
            #expect(result.counters.rowsUnchanged == 2)
            #expect(result.counters.rowsSpooled == 0)
        }
    }

    @Test func `a key that the header does not have is named`() async throws {
        try await withFiles("*.csv") { files in
            try files.write("a.csv", "number,name\n1,x\n")
            let result = await files.with { $0.request.key = ["id"] }.run()
            #expect(result.kind == .configuration)
            #expect("\(String(describing: result.error))".contains("no column id"))
        }
    }

    @Test func `a file that grows while it is read is left to the next run`() async throws {
        try await withFiles("*.csv") { base in
            let files = base.with { $0.options.rowsPerPage = 2 }
            // More pages than are stored beside the reading: the file grows before its end was seen.
            try files.write("a.csv", "id\n" + (1...20).map { "\($0)\n" }.joined())
            let path = files.folder + "/a.csv"
            let result = await files.run { _ in
                guard let handle = FileHandle(forWritingAtPath: path) else { return }
                handle.seekToEndOfFile()
                handle.write(Data("21\n".utf8))
                try? handle.close()
            }
            #expect(result.error == nil)
            #expect(result.warning("object_changed") != nil)
            #expect(try await files.spool.objects(stream: 1).isEmpty)
            try await files.complete()
            let rows = try await files.rows()
            #expect(rows.filter { $0["id"] == 1 }.count == 1)
            #expect(rows.contains { $0["id"] == 21 })
            #expect(Set(rows.map(\.insertID)).count == rows.count)
        }
    }

    @Test func `chosen columns, names and encodings are those of the configuration`() async throws {
        try await withFiles("*.csv") { base in
            let files = base.with {
                $0.request.exclude = ["secret"]
                $0.request.rename = ["_path": "file", "stra_e": "street"]
                $0.request.files.encoding = "latin1"
                $0.request.files.csv.delimiter = UInt8(ascii: ";")
            }
            try files.write("a.csv", Array("id;secret;stra".utf8) + [0xDF] + Array("e\n1;x;M".utf8) + [0xFC, 0x0A])
            try await files.complete()
            let row = try #require(try await files.rows().first)
            #expect(
                row.json.objectValue?.map(\.name) == [
                    "_id", "file", "_extracted_at", "_run_id", "_op", "_insert_id", "id", "street",
                ])
            #expect(row["street"] == "Mü")
        }
    }
}
