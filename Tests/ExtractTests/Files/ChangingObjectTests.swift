import Extract
import JSONBytes
import Spool
import Synchronization
import TestSupport
import Testing

/// A store in which something happens before the n-th time that bytes are asked for.
private final class EventfulStore: ObjectStore {
    static let kind = "eventful"

    private let base: any ObjectStore
    private let event: @Sendable () async throws -> Void
    private let moment: Int
    private let asked = Mutex(0)

    init(_ base: any ObjectStore, at moment: Int, _ event: @escaping @Sendable () async throws -> Void) {
        self.base = base
        self.moment = moment
        self.event = event
    }

    var url: String { base.url }
    var hasHappened: Bool { asked.withLock { $0 >= moment } }

    private func pass() async throws {
        let number = asked.withLock { asked in
            asked += 1
            return asked
        }
        if number == moment { try await event() }
    }

    func list(prefix: String, after token: String?) async throws -> ObjectListing {
        try await base.list(prefix: prefix, after: token)
    }

    func open(_ object: StoredObject, from offset: Int64) async throws -> ObjectBody {
        try await pass()
        return try await base.open(object, from: offset)
    }

    func read(_ object: StoredObject, range: Range<Int64>) async throws -> [UInt8] {
        try await pass()
        return try await base.read(object, range: range)
    }
}

/// An object that is replaced or deleted while it is read, in every store.
@Suite(.needsPython) struct ChangingObjectTests {
    private static let cases = TestPlace.kinds.flatMap { kind in [(kind, false), (kind, true)] }

    private static func rows(_ note: String) -> [TableWriter.Row] {
        (1...30).map { TableWriter.Row(id: $0, updatedAt: "2025-11-25T14:57:00Z", note: "\(note) \($0)") }
    }

    /// - Parameter moment: of what is asked for: 1 is the footer or the whole text, later ones are column chunks.
    private func withChange(
        _ kind: String, _ form: String, isDeleted: Bool, at moment: Int, mode: ReadMode = .incremental,
        _ body: (FilesExtraction, EventfulStore, TestPlace) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            try await withTemporaryFolder { other in
                try await TableWriter.write(Self.rows("old"), [form], into: folder)
                try await TableWriter.write(Self.rows("new, and of another length"), [form], into: other)
                let (old, new) = (
                    try TableWriter.bytes(form, in: folder), try TableWriter.bytes(form, in: other)
                )
                let place = try await TestPlace.make(kind, folder: folder)
                try await place.put([("t." + form, old)])
                let store = EventfulStore(place.store, at: moment) {
                    if isDeleted {
                        try await place.delete("t." + form)
                    } else {
                        try await place.put([("t." + form, new)])
                    }
                }
                try await withTemporarySpool { spool in
                    var files = FilesExtraction(folder, spool, from: "t.*", mode: mode)
                    files.store = store
                    files.request.key = ["id"]
                    files.options.rowsPerPage = 4
                    try await body(files, store, place)
                }
            }
        }
    }

    private func verify(_ kind: String, _ form: String, isDeleted: Bool, at moment: Int) async throws {
        try await withChange(kind, form, isDeleted: isDeleted, at: moment) { files, store, _ in
            let result = try await files.complete()
            #expect(store.hasHappened)
            #expect(result.warning("object_changed")?.count == 1, "\(result.warnings)")
            #expect(try await files.spool.objects(stream: 1).isEmpty)
            let first = try await files.fields()
            // Rows of one version alone: what stood behind the change was not read.
            #expect(first.count < 30 && first.allSatisfy { $0.contains("old") }, "\(first.count)")
            let next = try await files.complete()
            #expect(next.warning("object_changed") == nil)
            #expect((next.warning("no_objects") != nil) == isDeleted)
            let rows = try await files.rows()
            #expect(rows.count == first.count + (isDeleted ? 0 : 30))
            #expect(rows.dropFirst(first.count).allSatisfy { $0.fields.contains("new") })
            #expect(Set(rows.map(\.insertID)).count == rows.count)
        }
    }

    /// Before its second row group: rows of the first one are spooled.
    @Test(arguments: cases)
    func `in the middle of a Parquet file`(kind: String, isDeleted: Bool) async throws {
        // The footer and three columns of the first row group come before.
        try await verify(kind, "none.parquet", isDeleted: isDeleted, at: 5)
    }

    @Test(arguments: cases)
    func `between the listing and the reading`(kind: String, isDeleted: Bool) async throws {
        try await verify(kind, "csv", isDeleted: isDeleted, at: 1)
    }

    @Test(arguments: TestPlace.kinds, [ReadMode.full, .changes])
    func `a snapshot without it is not complete, and no row counts as gone`(kind: String, mode: ReadMode) async throws {
        let isFull = mode == .full
        try await withChange(kind, "none.parquet", isDeleted: true, at: 5, mode: mode) { files, _, place in
            let result = await files.run()
            #expect(result.kind == .unavailable)
            #expect("\(String(describing: result.error))".contains("t.none.parquet was deleted"))
            #expect(result.warning("object_changed")?.count == 1)
            #expect(result.counters.deletes == 0)
            let rows = try await files.rows()
            #expect(rows.allSatisfy { $0["_op"] == "upsert" })
            // Where it comes back, the same run goes on; a snapshot begins anew, for it would be of two versions.
            try await TableWriter.write(Self.rows("back"), ["none.parquet"], into: files.folder)
            try await place.put([("t.none.parquet", try TableWriter.bytes("none.parquet", in: files.folder))])
            let next = try await files.complete()
            #expect((next.runID == result.runID) == !isFull)
            #expect(try await files.rows().filter { $0.fields.contains("back") }.count == 30)
        }
    }
}
