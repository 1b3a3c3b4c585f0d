import Extract
import Foundation
import Spool
import TestSupport
import Testing

/// The promises of every source, for every format and compression in a folder and for every store.
@Suite(.needsPython) struct FilesContractTests {
    static let cases =
        TableWriter.forms.map { ("local", $0) }
        + TestPlace.kinds.dropFirst().flatMap { kind in ["csv.gz", "jsonl.zst", "snappy.parquet"].map { (kind, $0) } }

    private static func row(_ id: Int, _ note: String, minute: Int) -> TableWriter.Row {
        TableWriter.Row(id: id, updatedAt: "2025-11-25T14:\(minute):00Z", note: note)
    }

    private func withContract(_ kind: String, _ form: String, _ body: (SourceContract) async throws -> Void)
        async throws
    {
        try await withTemporaryFolder { folder in
            let place = try await TestPlace.make(kind, folder: folder)
            let write: @Sendable ([TableWriter.Row]) async throws -> Void = { rows in
                try await TableWriter.write(rows, [form], into: folder)
                if kind != "local" { try await place.put([("t." + form, try TableWriter.bytes(form, in: folder))]) }
            }
            let rows = (1...25).map { Self.row($0, "note \($0)", minute: 10 + $0 / 10) }
            let changed = rows.map { $0.id > 5 ? $0 : Self.row($0.id, "changed", minute: 30) }
            try await write(rows)
            try await body(
                SourceContract(
                    stream: { spool, mode in
                        SQLExtraction(FilesSource(store: place.store), spool, from: "t.*", mode: mode) {
                            $0.key = ["id"]
                        }
                    },
                    changeFiveRows: { try await write(changed) },
                    removeTwoRows: { try await write(Array(changed.dropFirst(2))) },
                    restoreTwoRows: { try await write(changed) }))
        }
    }

    @Test(arguments: cases)
    func `a second run of unchanged data spools nothing`(kind: String, form: String) async throws {
        try await withContract(kind, form) { try await $0.verifySecondRunSpoolsNothing() }
    }

    @Test(arguments: cases)
    func `ids are the same in another spool`(kind: String, form: String) async throws {
        try await withContract(kind, form) { try await $0.verifyIDsAreStable() }
    }

    @Test(arguments: cases)
    func `a run cut off between any two pages gives the rows of an undisturbed one`(kind: String, form: String)
        async throws
    {
        try await withContract(kind, form) { try await $0.verifyResume() }
    }

    @Test(arguments: cases)
    func `changes, deletes and returns are found`(kind: String, form: String) async throws {
        try await withContract(kind, form) { try await $0.verifyChanges() }
    }

    @Test(arguments: cases)
    func `rows of a rewritten object are found`(kind: String, form: String) async throws {
        try await withContract(kind, form) { try await $0.verifyIncrementalFindsChanges() }
    }

    @Test(arguments: cases)
    func `a raised generation sends everything and still finds what is gone`(kind: String, form: String) async throws {
        try await withContract(kind, form) { try await $0.verifyGeneration() }
    }
}
