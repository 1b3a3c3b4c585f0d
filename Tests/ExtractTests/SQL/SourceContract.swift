import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

/// What every source with rows of a key promises, whatever it is: run by each source's tests against the real system.
struct SourceContract: Sendable {
    /// A stream over a table `orders (id, updated_at, note)` of 25 rows with many ties, in a mode, into a spool.
    var stream: @Sendable (SpoolStore, ReadMode) -> SQLExtraction
    /// Changes the notes of 5 rows, and their `updated_at` to a later moment that is not later than now.
    var changeFiveRows: @Sendable () async throws -> Void
    /// Removes the rows with the ids 1 and 2, and brings the same ones back.
    var removeTwoRows: @Sendable () async throws -> Void
    var restoreTwoRows: @Sendable () async throws -> Void

    func verifySecondRunSpoolsNothing() async throws {
        for mode in [ReadMode.incremental, .changes] {
            try await withTemporarySpool { spool in
                let stream = stream(spool, mode)
                let first = try await stream.complete()
                #expect(first.counters.rowsSpooled == 25, "\(mode)")
                let second = try await stream.complete()
                #expect(second.counters.rowsSpooled == 0, "\(mode)")
                #expect(second.status == .complete)
                try await expectSound(spool)
            }
        }
    }

    func verifyIDsAreStable() async throws {
        for mode in [ReadMode.incremental, .changes] {
            var ids: [Set<String>] = []
            for rowsPerPage in [2000, 3] {
                try await withTemporarySpool { spool in
                    let stream = stream(spool, mode).withOptions { $0.rowsPerPage = rowsPerPage }
                    try await stream.complete()
                    ids.append(Set(try await stream.rows().map(\.insertID)))
                }
            }
            #expect(ids[0] == ids[1] && ids[0].count == 25, "\(mode)")
        }
    }

    /// A run that ends after every single page, at each of its commits, brings the rows of an undisturbed one.
    func verifyResume() async throws {
        for mode in ReadMode.allCases {
            let whole = try await withTemporarySpool { spool in
                let stream = stream(spool, mode)
                try await stream.complete()
                return try await stream.rows()
            }
            for stop in [1, 2, 3, 5, 8] {
                try await withTemporarySpool { spool in
                    let stream = stream(spool, mode).withOptions { $0.rowsPerPage = 4 }
                    let cut = await Self.cut(stream, afterCommits: stop)
                    // A source of few pages was at its end by then: another full run would be another snapshot.
                    if cut == nil, mode == .full { return }
                    let result = try await stream.complete()
                    if let cut { #expect(cut == result.runID, "\(mode) \(stop)") }
                    let rows = try await stream.rows()
                    #expect(rows.map(\.fields).sorted() == whole.map(\.fields).sorted(), "\(mode) \(stop)")
                    #expect(Set(rows.map(\.insertID)).count == 25, "\(mode) \(stop)")
                    try await expectSound(spool)
                }
            }
        }
    }

    /// Any number of readers brings the same rows, also when the run is cut and goes on with another number.
    func verifyParallel() async throws {
        for mode in [ReadMode.full, .changes] {
            var whole: [String] = []
            for readers in [1, 2, 3, 8] {
                try await withTemporarySpool { spool in
                    let stream = stream(spool, mode).withReaders(readers)
                    let result = try await stream.complete()
                    #expect(result.counters.rowsSpooled == 25 && result.counters.rowsRead == 25)
                    #expect(result.warning("one_reader") == nil)
                    let rows = try await stream.rows().map(\.fields).sorted()
                    if readers == 1 { whole = rows }
                    #expect(rows == whole, "\(mode) \(readers)")
                }
            }
            for stop in 1...7 {
                try await withTemporarySpool { spool in
                    let stream = stream(spool, mode).withOptions { $0.rowsPerPage = 4 }
                    var cuts = 0
                    for readers in [4, 2, 3] {
                        guard await Self.cut(stream.withReaders(readers), afterCommits: stop) != nil else { break }
                        cuts += 1
                    }
                    if cuts == 3 { try await stream.withReaders(2).complete() }
                    let rows = try await stream.rows()
                    #expect(rows.map(\.fields).sorted() == whole, "\(mode) \(stop)")
                    #expect(Set(rows.map(\.insertID)).count == 25, "\(mode) \(stop)")
                    try await expectSound(spool)
                }
            }
        }
    }

    /// Cancels a run at its commit of that number, and returns its id if it did not complete.
    static func cut(_ stream: SQLExtraction, afterCommits stop: Int) async -> String? {
        let commits = Gathered<Int>()
        let result = await Task {
            await stream.run { _ in
                commits.add(0)
                if commits.items.count == stop { withUnsafeCurrentTask { $0?.cancel() } }
            }
        }.value
        return result.status == .complete ? nil : result.runID
    }

    func verifyChanges() async throws {
        try await withTemporarySpool { spool in
            let stream = stream(spool, .changes)
            try await stream.complete()
            try await changeFiveRows()
            let changed = try await stream.complete()
            #expect(changed.counters.rowsSpooled == 5)
            #expect(changed.counters.deletes == 0)
            try await removeTwoRows()
            let removed = try await stream.complete()
            #expect(removed.counters.rowsSpooled == 2)
            #expect(removed.counters.deletes == 2)
            // A reset does not make what comes back the row it was before it went.
            try await spool.resetPosition(stream: 1)
            try await restoreTwoRows()
            let restored = try await stream.complete()
            #expect(restored.counters.rowsSpooled == 2)
            #expect(restored.counters.deletes == 0)
            let rows = try await stream.rows()
            #expect(Set(rows.map(\.insertID)).count == rows.count)
            let deletes = rows.filter { $0.operation == "delete" }
            #expect(deletes.map(\.id).sorted { ($0 ?? "") < ($1 ?? "") } == ["1", "2"])
            #expect(deletes.allSatisfy { $0.fields == "{}" })
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            try await spool.resetPosition(stream: 1)
            let again = try await stream.complete()
            #expect(again.counters.rowsSpooled == 0 && again.counters.rowsUnchanged == again.counters.rowsRead)
            try await expectSound(spool)
        }
    }

    /// Rows that change and go while a run is cut off are found by it and the next one: no key counts as repeated, no row as gone too early.
    func verifyChangesOverACut() async throws {
        try await withTemporarySpool { spool in
            let stream = stream(spool, .changes).withOptions {
                $0.rowsPerPage = 4
                $0.rowsPerQuery = 5
            }
            let cut = await Self.cut(stream, afterCommits: 4)
            #expect(cut != nil)
            try await changeFiveRows()
            try await removeTwoRows()
            let rest = try await stream.complete()
            #expect(rest.runID == cut && rest.counters.deletes == 0)
            #expect(try await stream.complete().counters.deletes == 2)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            var latest: [String?: SpooledRow] = [:]
            for row in try await stream.rows() { latest[row.id] = row }
            #expect(latest.count == 25 && latest.values.count { $0.operation == "delete" } == 2)
            try await expectSound(spool)
        }
    }

    func verifyIncrementalFindsChanges() async throws {
        try await withTemporarySpool { spool in
            let stream = stream(spool, .incremental)
            try await stream.complete()
            try await changeFiveRows()
            let result = try await stream.complete()
            #expect(result.counters.rowsSpooled == 5)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            // Everything once: nothing new.
            let everything = try await stream.withOptions { $0.readsEverything = true }.complete()
            #expect(everything.counters.rowsRead == 25)
            #expect(everything.counters.rowsSpooled == 0)
            try await expectSound(spool)
        }
    }

    /// What `--full` has read beyond the watermark is not spooled again when the watermark gets there.
    func verifyFullAheadOfIncremental() async throws {
        try await withTemporarySpool { spool in
            let stream = stream(spool, .incremental)
            let first = try await stream.complete()
            try await changeFiveRows()
            let everything = try await stream.withOptions { $0.readsEverything = true }.complete()
            #expect(everything.counters.rowsSpooled == 5 && everything.watermark == first.watermark)
            let second = try await stream.complete()
            #expect(second.counters.rowsSpooled == 0 && second.watermark != first.watermark)
            try await expectSound(spool)
        }
    }

    /// Everything is sent again, and what is gone is still found to be.
    func verifyGeneration() async throws {
        try await withTemporarySpool { spool in
            let stream = stream(spool, .changes)
            try await stream.complete()
            try await removeTwoRows()
            let raised = stream.with { $0.generation = 1 }
            let cut = await Self.cut(raised.withOptions { $0.rowsPerPage = 4 }, afterCommits: 3)
            let result = try await raised.complete()
            #expect(cut == nil || cut == result.runID)
            let anew = try await stream.rows().dropFirst(25)
            #expect(anew.count { $0.operation == "upsert" } == 23)
            #expect(Set(anew.filter { $0.operation == "delete" }.map(\.id)) == ["1", "2"])
            #expect(try await raised.complete().counters.rowsSpooled == 0)
            try await expectSound(spool)
            // Back in an earlier one, rows are known by the ids they had.
            try await stream.complete()
            try await expectSound(spool)
            try await restoreTwoRows()
        }
    }

    private func expectSound(_ spool: SpoolStore) async throws {
        let ledger = try await spool.ledger()
        #expect(ledger.filter { !$0.isBalanced }.isEmpty)
        let rows = try await spool.records()
        #expect(Set(rows.map(\.insertID)).count == rows.count)
    }
}
