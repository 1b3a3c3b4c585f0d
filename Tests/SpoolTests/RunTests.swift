import TestSupport
import Testing

@testable import Spool

@Suite struct RunTests {
    @Test func `a run that was cut off goes on under its id from its last page`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            let spool = try SpoolStore(path: path)
            let run = try await spool.beginTestRun(id: "run-1")
            var page = PageCommit(run: run, rows: RowBatch([TestRow(0)]))
            page.position = "after m0"
            page.rowsRead = 1
            try await spool.append(page)
            try spool.close()

            let again = try SpoolStore(path: path)
            let unfinished = try #require(try await again.stream(named: "memos")?.unfinishedRun)
            #expect(unfinished.id == "run-1" && unfinished.position == "after m0" && unfinished.status == .running)
            #expect(
                try await again.unfinishedRuns() == [
                    UnfinishedRun(id: "run-1", stream: "memos", status: .running)
                ])
            let resumed = try await again.resumeRun(unfinished)
            var next = PageCommit(run: resumed, rows: RowBatch([TestRow(1)]))
            next.rowsRead = 1
            next.watermark = Watermark(value: "7", key: nil, sortKey: [7])
            try await again.append(next)
            try await again.endRun(resumed, status: .complete, warnings: "[]", error: nil)
            let last = try #require(try await again.lastRuns()["memos"])
            #expect(last.run.id == "run-1" && last.run.status == .complete && last.run.counters.rowsSpooled == 2)
            #expect(last.watermarkTo == "7" && last.warnings == "[]" && last.error == nil && last.finishedAt != nil)
            #expect(try await again.unfinishedRuns().isEmpty)
            #expect(try await again.records().map(\.runID) == ["run-1", "run-1"])
            try again.close()
        }
    }

    @Test(arguments: [(Run.Status.interrupted, true), (.failed, false), (.complete, false)])
    func `only an interrupted run is continued`(status: Run.Status, isContinued: Bool) async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            try await spool.endRun(run, status: status, warnings: nil, error: "the network is gone")
            #expect(try await spool.lastRuns()["memos"]?.error == "the network is gone")
            #expect((try await spool.stream(named: "memos")?.unfinishedRun != nil) == isContinued)
            if isContinued {
                #expect(try await spool.resumeRun(run).status == .running)
                #expect(try await spool.lastRuns()["memos"]?.error == nil)
                #expect(try await spool.lastRuns()["memos"]?.finishedAt == nil)
            } else {
                await #expect(throws: SpoolError.self) { try await spool.resumeRun(run) }
            }
        }
    }

    @Test func `a new run abandons the one that was cut off, and nothing revives it`() async throws {
        try await withTemporarySpool { spool in
            let first = try await spool.beginTestRun(id: "first")
            let second = try await spool.beginTestRun(id: "second")
            await #expect(throws: SpoolError.self) {
                try await spool.append(PageCommit(run: first, rows: RowBatch([TestRow(0)])))
            }
            try await spool.endRun(first, status: .interrupted, warnings: nil, error: nil)
            #expect(try await spool.unfinishedRuns().map(\.id) == ["second"])
            #expect(try await spool.append(PageCommit(run: second, rows: RowBatch([TestRow(0)]))).spooled == 1)
        }
    }

    @Test func `another generation forgets the position and keeps the rows and their keys`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            var row = TestRow(0)
            row.knownKey = [1]
            row.knownVersion = [2]
            var page = PageCommit(run: run, rows: RowBatch([row]))
            page.watermark = Watermark(value: "7", key: nil, sortKey: [7])
            page.newColumns = [ColumnName(field: "a", base: "a", column: "a")]
            try await spool.append(page)
            try await spool.endRun(run, status: .complete, warnings: nil, error: nil)
            #expect(try await spool.stream(named: "memos")?.hasPosition == true)
            _ = try await spool.beginRun(.memos(), id: "next", fingerprint: "1", generation: 1, position: nil)
            let state = try #require(try await spool.stream(named: "memos"))
            #expect(state.watermark == nil && state.knownVersions == 1 && state.generation == 1)
            let known = try await spool.knownRecords(stream: state.number, keys: [[1]])
            #expect(known[[1]]?.version == [2, 0], "what is gone is still found; no version equals it")
            #expect(state.columns == ["a": "a"], "a column never changes its meaning")
            #expect(try await spool.records().count == 1)
        }
    }

    @Test func `rows stay on the way to the table they were spooled for`() async throws {
        try await withTemporarySpool { spool in
            try await spool.spool(0..<2)
            try await spool.spool(2..<5, to: .memos(table: "project.raw.other"))
            try await spool.spool(5..<6)
            let ledger = try await spool.ledger()
            #expect(ledger.map(\.route.table) == ["project.raw.memos", "project.raw.other"])
            #expect(ledger.map(\.spooled) == [3, 3])
            let streams = try await spool.streamsOnRecord()
            #expect(streams.map(\.route.table) == ["project.raw.memos"])
        }
    }

    @Test func `a watermark set by hand is where the next run starts`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            try await spool.setWatermark(
                Watermark(value: "42", key: "k", sortKey: [42]), stream: run.streamNumber, identity: "another")
            let state = try #require(try await spool.stream(named: "memos"))
            #expect(state.watermark == Watermark(value: "42", key: "k", sortKey: [42]))
            #expect(state.identity == "another" && state.unfinishedRun == nil && state.recentFrom == nil)
            let record = try #require(try await spool.streamsOnRecord().first)
            #expect(record.watermark?.value == "42" && record.watermarkUpdatedAt != nil)
            try await spool.resetPosition(stream: run.streamNumber)
            #expect(try await spool.stream(named: "memos")?.hasPosition == false)
            #expect(try await spool.streamsOnRecord().first?.watermark == nil)
        }
    }

    @Test func `notes of the source are kept until the position is reset`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            try await spool.setNotes("counted today", stream: run.streamNumber)
            #expect(try await spool.stream(named: "memos")?.notes == "counted today")
            try await spool.resetPosition(stream: run.streamNumber)
            #expect(try await spool.stream(named: "memos")?.notes == nil)
        }
    }
}
