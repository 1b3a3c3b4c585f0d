import TestSupport
import Testing

@testable import Spool

/// What later runs look up: recent ids, the temporary index, known versions and findings.
@Suite struct LookupTests {
    /// A page of rows whose sort key is their number.
    private func page(
        _ run: Run, _ numbers: [Int], floor: UInt8?, usesTemporaryIndex: Bool = false, repeats: Bool = true
    ) -> PageCommit {
        let rows = numbers.map { number in
            var row = TestRow(number)
            row.sortKey = [UInt8(number)]
            row.attributes.mayRepeat = repeats
            return row
        }
        var page = PageCommit(run: run, rows: RowBatch(rows))
        page.recentFloor = floor.map { [$0] }
        page.usesTemporaryIndex = usesTemporaryIndex
        return page
    }

    @Test func `a row version within the lookback is not spooled again`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            #expect(try await spool.append(page(run, [1, 2, 3, 4], floor: 3)).spooled == 4)
            #expect(try await spool.stream(named: "memos")?.recentFrom == [3])
            let again = try await spool.append(page(run, [3, 4, 5], floor: 3))
            #expect(again == AppendResult(spooled: 1, unchanged: 2, deletes: 0))
            #expect(try await spool.stream(named: "memos")?.unfinishedRun?.counters.rowsUnchanged == 2)
            // Below the floor nothing is looked up any more.
            #expect(try await spool.append(page(run, [1], floor: 5)).spooled == 1)
            #expect(try await spool.append(page(run, [4, 5], floor: 5)).unchanged == 1)
        }
    }

    @Test func `retention does not take away what later runs look up`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            try await spool.append(page(run, [1, 2, 3], floor: 1))
            let route = try await spool.route(run.route)
            try await spool.settle(try await spool.beginAll(of: route).map { Settlement($0, rest: .delivered) })
            #expect(try await spool.retire(deliveredBefore: .maximum) == 3)
            #expect(try await spool.append(page(run, [1, 2, 3], floor: 1)).unchanged == 3)
        }
    }

    @Test func `rows spooled before a reset are found in a temporary index`() async throws {
        try await withTemporarySpool { spool in
            let first = try await spool.beginTestRun()
            try await spool.append(page(first, Array(1...6), floor: 5))
            try await spool.endRun(first, status: .complete, warnings: nil, error: nil)
            try await spool.resetPosition(stream: first.streamNumber)
            #expect(try await spool.stream(named: "memos")?.recentFrom == nil)

            let run = try await spool.beginTestRun()
            #expect(try await spool.indexSpooledRows(stream: run.streamNumber) == false, "nothing was removed")
            let result = try await spool.append(page(run, [1, 2, 3, 7, 7], floor: 1, usesTemporaryIndex: true))
            #expect(result == AppendResult(spooled: 1, unchanged: 4, deletes: 0))
            // Cut off here, rows 4 to 6 have not been noted: the next run needs an index as well.
            #expect(try await spool.stream(named: "memos")?.recentFrom == nil)
            #expect(try await spool.append(page(run, [4, 5, 6], floor: 4, usesTemporaryIndex: true)).unchanged == 3)
            try await spool.endRun(run, status: .complete, warnings: nil, error: nil)
            #expect(try await spool.stream(named: "memos")?.recentFrom == [4])
            let later = try await spool.beginTestRun()
            #expect(try await spool.append(page(later, [4, 5, 6, 7], floor: 4)).unchanged == 4)
        }
    }

    @Test func `rows that retention removed are missed in the temporary index, and it says so`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<4)
            let requests = try await spool.beginAll(of: route, size: 2)
            try await spool.settle([Settlement(requests[0], rest: .delivered)])
            try await spool.retire(deliveredBefore: .maximum)
            #expect(try await spool.indexSpooledRows(stream: route.streamNumber) == true)
            let run = try await spool.beginTestRun()
            #expect(
                try await spool.append(page(run, [0, 1, 2, 3], floor: nil, usesTemporaryIndex: true))
                    == AppendResult(spooled: 2, unchanged: 2, deletes: 0))
        }
    }

    @Test func `another stream's rows are not taken for one's own`() async throws {
        try await withTemporarySpool { spool in
            let memos = try await spool.beginTestRun(.memos("memos"))
            let other = try await spool.beginTestRun(.memos("other"))
            try await spool.append(page(memos, [1], floor: 0))
            #expect(try await spool.indexSpooledRows(stream: other.streamNumber) == false)
            #expect(try await spool.append(page(other, [1], floor: 0, usesTemporaryIndex: true)).spooled == 1)
        }
    }

    @Test func `many rows are indexed in steps`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<45_000)
            _ = try await spool.indexSpooledRows(stream: route.streamNumber)
            let run = try await spool.beginTestRun()
            let rows = [0, 19_999, 20_000, 20_001, 40_000, 44_999, 45_000].map { number in
                var row = TestRow(number)
                row.attributes.mayRepeat = true
                return row
            }
            var commit = PageCommit(run: run, rows: RowBatch(rows))
            commit.usesTemporaryIndex = true
            #expect(try await spool.append(commit) == AppendResult(spooled: 1, unchanged: 6, deletes: 0))
        }
    }

    // MARK: Known versions

    private func row(_ number: Int, version: UInt8?, changes: Int? = nil) -> TestRow {
        var row = TestRow(number * 1000 + Int(version ?? 0) + (changes ?? 0) * 100)
        row.knownKey = [UInt8(number)]
        row.knownVersion = version.map { [$0] }
        row.attributes.knownChanges = changes
        if version == nil { row.attributes.operation = .delete }
        return row
    }

    @Test func `known versions are read in key order between bounds`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            try await spool.append(PageCommit(run: run, rows: RowBatch([5, 1, 3, 2, 4].map { row($0, version: 9) })))
            let result = try await spool.append(
                PageCommit(run: run, rows: RowBatch([row(2, version: 10), row(4, version: nil)])))
            #expect(result == AppendResult(spooled: 2, unchanged: 0, deletes: 1))
            func known(after: [UInt8]?, through: [UInt8]?, limit: Int = .max) async throws -> [[UInt8]] {
                try await spool.knownVersions(stream: run.streamNumber, after: after, through: through, limit: limit)
                    .map { $0.key + $0.version }
            }
            #expect(try await known(after: nil, through: nil) == [[1, 9], [2, 10], [3, 9], [5, 9]])
            #expect(try await known(after: [1], through: [3]) == [[2, 10], [3, 9]])
            #expect(try await known(after: nil, through: nil, limit: 1) == [[1, 9]])
            #expect(try await spool.stream(named: "memos")?.knownVersions == 4)
        }
    }

    @Test func `a counter of changes outlives the record it counts`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            try await spool.append(
                PageCommit(run: run, rows: RowBatch([row(1, version: 9, changes: 0), row(2, version: 9)])))
            try await spool.append(PageCommit(run: run, rows: RowBatch([row(1, version: nil, changes: 1)])))
            let gone = try await spool.knownRecords(stream: run.streamNumber, keys: [[1], [2], [3]])
            #expect(gone[[1]] == KnownRecord(key: [1], version: nil, changes: 1))
            #expect(gone[[2]] == KnownRecord(key: [2], version: [9], changes: 0))
            #expect(gone[[3]] == nil)
            #expect(
                try await spool.knownVersions(stream: run.streamNumber, after: nil, through: nil).map(\.key) == [[2]])
            try await spool.append(PageCommit(run: run, rows: RowBatch([row(1, version: 9, changes: 2)])))
            #expect(
                try await spool.knownRecords(stream: run.streamNumber, keys: [[1]])[[1]]
                    == KnownRecord(key: [1], version: [9], changes: 2))
        }
    }

    @Test func `findings of a scan are kept until they are settled or the run ends`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            var scan = PageCommit(run: run, rows: RowBatch())
            scan.findings = [
                ScanFinding(key: [2], kind: .changed), ScanFinding(key: [1], kind: .changed),
                ScanFinding(key: [3], kind: .gone, version: [7]),
            ]
            try await spool.append(scan)
            let number = run.streamNumber
            #expect(try await spool.countFindings(stream: number, kind: .changed) == 2)
            #expect(
                try await spool.findings(stream: number, kind: .changed, after: nil, limit: 10).map(\.key) == [
                    [1], [2],
                ])
            #expect(
                try await spool.findings(stream: number, kind: .changed, after: [1], limit: 10).map(\.key) == [[2]])
            #expect(try await spool.findings(stream: number, kind: .gone, after: nil, limit: 10) == [scan.findings[2]])
            var settled = PageCommit(run: run, rows: RowBatch([TestRow(1)]))
            settled.settledFindings = [[1]]
            try await spool.append(settled)
            #expect(try await spool.countFindings(stream: number, kind: .changed) == 1)
            try await spool.endRun(run, status: .interrupted, warnings: nil, error: nil)
            #expect(try await spool.countFindings(stream: number, kind: .changed) == 1)
            try await spool.clearFindings(stream: number)
            #expect(try await spool.countFindings(stream: number, kind: .gone) == 0)
        }
    }
}
