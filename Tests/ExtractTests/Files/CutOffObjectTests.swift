import Extract
import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

/// Objects that are replaced, deleted or mended while a run that has read a part of them is cut off.
struct CutOffObjectTests {
    private func lines(_ rows: [(String, Int)]) -> String {
        rows.map { #"{"id":"\#($0)","v":\#($1)}"# + "\n" }.joined()
    }

    private static let letters = ["a", "b", "c", "d", "e"]

    /// Five rows of one object, of which a run that is then cut off has stored three.
    private func withCutRun(
        _ mode: ReadMode, key: [String] = ["id"], name: String = "m.jsonl",
        _ body: (FilesExtraction) async throws -> Void
    ) async throws {
        try await withFiles("*.jsonl", mode: mode) { base in
            let files = base.with {
                $0.request.key = key
                $0.options.rowsPerPage = 1
            }
            try files.write(name, lines(Self.letters.map { ($0, 1) }))
            let cut = try await files.with { $0.options.limit = 3 }.complete()
            #expect(cut.status == .interrupted && cut.counters.rowsSpooled == 3)
            try await body(files)
        }
    }

    private func rewrite(_ files: FilesExtraction) throws {
        try files.write("m.jsonl", lines([("a", 2), ("b", 1), ("d", 1), ("e", 100)]))
    }

    private func rows(_ files: FilesExtraction, of run: String?) async throws -> [String] {
        try await files.rows().filter { $0["_run_id"]?.stringValue == run }.map(\.fields)
    }

    // MARK: full

    @Test(arguments: [["id"], []])
    func `a snapshot is never of two versions: it is given up, and the next run reads everything`(
        key: [String]
    ) async throws {
        try await withCutRun(.full, key: key) { files in
            try rewrite(files)
            let given = await files.run()
            #expect(given.kind == .unavailable && given.status == .failed)
            #expect(given.warning("object_changed")?.message.contains("m.jsonl was replaced") == true)
            #expect(given.counters.rowsSpooled == 0)
            let whole = try await files.complete()
            #expect(whole.status == .complete && whole.runID != given.runID)
            #expect(
                try await rows(files, of: whole.runID) == [
                    #"{"id":"a","v":2}"#, #"{"id":"b","v":1}"#, #"{"id":"d","v":1}"#, #"{"id":"e","v":100}"#,
                ])
            // The other one never counts as a snapshot.
            let route = try await files.spool.route(1)
            #expect(try await files.spool.snapshotHeldUp(route)?.runID == whole.runID)
            #expect(try await files.spool.runIsFullyDelivered(given.runID ?? "") == false)
        }
    }

    @Test func `a snapshot of which an object is gone in the middle is given up`() async throws {
        try await withCutRun(.full) { files in
            try FileManager.default.removeItem(atPath: files.folder + "/m.jsonl")
            try files.write("n.jsonl", lines([("n", 1)]))
            let given = await files.run()
            #expect(given.kind == .unavailable)
            #expect(given.warning("object_changed")?.message.contains("m.jsonl was deleted") == true)
            let whole = try await files.complete()
            #expect(try await rows(files, of: whole.runID) == [#"{"id":"n","v":1}"#])
        }
    }

    @Test func `an object that was read whole before the cut may be replaced`() async throws {
        try await withCutRun(.full) { files in
            try files.write("z.jsonl", lines([("y", 1), ("z", 1)]))
            let cut = try await files.with { $0.options.limit = 3 }.complete()
            #expect(cut.status == .interrupted)
            try rewrite(files)
            let rest = try await files.complete()
            #expect(rest.runID == cut.runID && rest.warning("object_changed") == nil)
            #expect(try await rows(files, of: rest.runID).count == 7)
        }
    }

    @Test func `an object of which no row is stored is read again in the same snapshot`() async throws {
        try await withFiles("*.jsonl", mode: .full) { base in
            var files = base
            files.options.patience = .seconds(20)
            try files.write("m.jsonl", lines(Self.letters.map { ($0, 1) }))
            let folder = files
            files.store = GrowingStore(base.store) { try folder.write("m.jsonl", lines([("f", 1)])) }
            let result = try await files.complete()
            #expect(try await rows(files, of: result.runID) == [#"{"id":"f","v":1}"#])
        }
    }

    // MARK: changes

    @Test func `changes goes on with what the object is now: no key counts as repeated, no row as gone`() async throws {
        try await withCutRun(.changes) { files in
            try rewrite(files)
            let rest = try await files.complete()
            #expect(rest.status == .complete && rest.counters.deletes == 0)
            #expect(rest.warning("object_changed")?.count == 1)
            #expect(
                try await files.fields().suffix(3) == [
                    #"{"id":"a","v":2}"#, #"{"id":"d","v":1}"#, #"{"id":"e","v":100}"#,
                ])
            // What only the old version had is gone in the next run.
            let next = try await files.complete()
            #expect(next.counters.rowsSpooled == 1 && next.counters.deletes == 1)
            #expect(next.warning("object_changed") == nil)
            #expect(try await files.rows().last?["_id"] == "c")
            #expect(try await files.complete().counters.rowsSpooled == 0)
            let ids = try await files.rows().map(\.insertID)
            #expect(Set(ids).count == ids.count)
        }
    }

    @Test func `changes goes on where the object was deleted`() async throws {
        try await withCutRun(.changes) { files in
            try FileManager.default.removeItem(atPath: files.folder + "/m.jsonl")
            try files.write("n.jsonl", lines(Self.letters.map { ($0, 3) }))
            let rest = try await files.complete()
            #expect(rest.status == .complete && rest.counters.deletes == 0)
            #expect(rest.counters.rowsSpooled == 5)
            #expect(try await files.complete().counters.rowsSpooled == 0)
        }
    }

    @Test(arguments: [ReadMode.changes, .full, .incremental])
    func `a new object in front of the one that was cut off changes nothing`(mode: ReadMode) async throws {
        try await withCutRun(mode) { files in
            try files.write("c.jsonl", lines([("n", 1)]))
            let rest = try await files.complete()
            #expect(rest.status == .complete)
            #expect(rest.warning("object_changed") == nil)
            let rows = try await files.rows()
            #expect(rows.count == 6 && Set(rows.map(\.insertID)).count == 6)
        }
    }

    @Test func `a key that really repeats is found, and once it is mended the stream goes on`() async throws {
        try await withFiles("*.jsonl", mode: .changes) { base in
            let files = base.with {
                $0.request.key = ["id"]
                $0.options.rowsPerPage = 1
            }
            try files.write("a.jsonl", lines([("a", 1), ("b", 1)]))
            try files.write("b.jsonl", lines([("c", 1), ("b", 1)]))
            for _ in 0..<2 {
                let refused = await files.run()
                #expect(refused.kind == .configuration)
                #expect("\(String(describing: refused.error))".contains("the key b"))
            }
            try files.write("a.jsonl", lines([("a", 1)]))
            try await files.complete()
            #expect(try await files.complete().counters.rowsSpooled == 0)
            #expect(try await files.rows().count == 3)
        }
    }

    // MARK: incremental

    @Test func `incremental reads what is there now, and says so`() async throws {
        try await withCutRun(.incremental) { files in
            try rewrite(files)
            let rest = try await files.complete()
            #expect(rest.status == .complete)
            #expect(rest.warning("object_changed")?.count == 1)
            #expect(rest.counters.rowsSpooled == 3)
            #expect(try await files.complete().counters.rowsSpooled == 0)
        }
    }
}

/// A store whose object is replaced when the first piece of it has been read.
private struct GrowingStore: ObjectStore {
    static let kind = "growing"

    let base: any ObjectStore
    let event: @Sendable () throws -> Void
    private let happened = Gathered<Bool>()

    init(_ base: any ObjectStore, _ event: @escaping @Sendable () throws -> Void) {
        self.base = base
        self.event = event
    }

    var url: String { base.url }

    func list(prefix: String, after token: String?) async throws -> ObjectListing {
        try await base.list(prefix: prefix, after: token)
    }

    func open(_ object: StoredObject, from offset: Int64) async throws -> ObjectBody {
        let body = try await base.open(object, from: offset)
        return ObjectBody {
            let piece = try await body.next()
            if happened.items.isEmpty {
                happened.add(true)
                try event()
            }
            return piece
        }
    }

    func read(_ object: StoredObject, range: Range<Int64>) async throws -> [UInt8] {
        try await base.read(object, range: range)
    }
}
