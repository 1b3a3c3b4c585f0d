import Foundation
import TestSupport
import Testing

@testable import Spool

/// What a spool knows of the copy that is kept of it elsewhere, and which rows it hands out then.
@Suite struct RemoteNotesTests {
    private func copy(_ spool: SpoolStore, _ id: String) async throws -> (path: String, state: CopiedState) {
        let path = spool.path + "-remote-copy"
        return (path, try await spool.makeCopy(id, at: path))
    }

    @Test func `rows are handed out for sending when the copy that holds them is the current one`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<10)
            let fresh = RowSelection.fresh(route: route.number, after: nil)
            #expect(try await spool.rowIDs(fresh).count == 10)
            spool.sendOnlyWhatIsCopied()
            #expect(try await spool.rowIDs(fresh).isEmpty)
            let first = try await copy(spool, "a")
            try await spool.spool(10..<15)
            try await spool.noteAttempt("a")
            #expect(try await spool.rowIDs(fresh).isEmpty, "it may become the current one, it is not yet")
            try await spool.noteSaved("a", first.state)
            #expect(try await spool.rowIDs(fresh).count == 10)
            // Left over: sent, refused for a while, and a row that came rejected and was retried before it was saved.
            let rows = try await spool.rowIDs(.all(route: route.number))
            let request = try await spool.begin([
                NewRequest(route: route.number, rows: .range(first: rows[0], last: rows[9], count: 10), bytes: 1)
            ])
            try await spool.settle([
                Settlement(
                    request[0], rest: .delivered,
                    exceptions: [
                        RowSettlement(rows[3], .pending(reason: "x", message: "", counts: true, transient: false))
                    ])
            ])
            #expect(try await spool.rowIDs(.leftOver(route: route.number, after: nil)) == [rows[3]])
            #expect(try await spool.rowIDs(fresh).isEmpty)
            let second = try await copy(spool, "b")
            try await spool.noteSaved("b", second.state)
            #expect(try await spool.rowIDs(fresh) == Array(rows[10...]))
        }
    }

    @Test
    func `only what changes the spool has to be saved, and a copy that was made before a change does not hold it`()
        async throws
    {
        try await withTemporarySpool { spool in
            try await spool.spool(0..<3)
            spool.sendOnlyWhatIsCopied()
            #expect(try await spool.hasUnsavedChanges())
            let first = try await copy(spool, "a")
            try await spool.noteSaved("a", first.state)
            #expect(try await !spool.hasUnsavedChanges())
            try await spool.setLineage("here")
            try await spool.noteAttempt("z")
            try await spool.retire(deliveredBefore: .now())
            #expect(try await !spool.hasUnsavedChanges(), "a note, and what found nothing to do")
            let second = try await copy(spool, "b")
            try await spool.spool(3..<4)
            try await spool.noteSaved("b", second.state)
            #expect(try await spool.hasUnsavedChanges())
            // Nobody remembers what it held.
            try await spool.noteSaved("c", nil)
            #expect(try await spool.hasUnsavedChanges())
            #expect(try await spool.remoteMark().copy == "c")
        }
    }

    @Test func `a copy knows itself, begins another life, and starts in doubt with all its rows saved`() async throws {
        try await withTemporaryFolder { folder in
            let spool = try SpoolStore(path: folder + "/spool.sqlite")
            let route = try await spool.spool(0..<20)
            try await spool.setLineage("first")
            spool.sendOnlyWhatIsCopied()
            let made = try await copy(spool, "a")
            let path = folder + "/other.sqlite"
            // What a lost spool left.
            try Data("rubbish".utf8).write(to: URL(fileURLWithPath: path + "-wal"))
            try await SpoolStore.takeOver(copy: made.path, as: path, lineage: "second")
            #expect(!FileManager.default.fileExists(atPath: made.path))
            let restored = try SpoolStore(path: path)
            restored.sendOnlyWhatIsCopied()
            let mark = try await restored.remoteMark()
            #expect(mark.copy == "a" && mark.lineage == "second" && mark.attempts.isEmpty)
            #expect(try await !restored.hasUnsavedChanges())
            #expect(try await restored.ledger().first?.inDoubt == 20)
            try await expectSoundBooks(restored, route)
            try restored.close()
            try spool.close()
        }
    }

    @Test func `a damaged copy does not become the spool`() async throws {
        try await withTemporaryFolder { folder in
            let spool = try SpoolStore(path: folder + "/spool.sqlite")
            try await spool.spool(0..<2000)
            let made = try await copy(spool, "a")
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: made.path))
            try file.seek(toOffset: UInt64(SpoolStore.pageSize * 12))
            try file.write(contentsOf: Data(repeating: 0xA5, count: SpoolStore.pageSize * 4))
            try file.close()
            let path = folder + "/other.sqlite"
            await #expect(throws: SpoolError.self) {
                try await SpoolStore.takeOver(copy: made.path, as: path, lineage: "x")
            }
            #expect(!SpoolStore.exists(at: path))
            try spool.close()
        }
    }
}
