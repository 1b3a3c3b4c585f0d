import TestSupport
import Testing

@testable import Spool

@Suite struct SnapshotTests {
    private func deliver(_ spool: SpoolStore, _ route: Route) async throws {
        try await spool.settle(try await spool.beginAll(of: route).map { Settlement($0, rest: .delivered) })
    }

    @Test func `a snapshot is shown when its run is complete and each row has arrived`() async throws {
        try await withTemporarySpool { spool in
            let definition = StreamDefinition.memos(mode: "full")
            let run = try await spool.beginTestRun(definition, id: "first")
            try await spool.append(PageCommit(run: run, rows: RowBatch((0..<6).map { TestRow($0) })))
            let route = try await spool.route(run.route)
            try await deliver(spool, route)
            #expect(try await spool.snapshotToShow(route) == nil, "the run goes on")
            #expect(try await spool.runIsFullyDelivered("first") == false)
            try await spool.endRun(run, status: .complete, warnings: nil, error: nil)
            #expect(try await spool.snapshotToShow(route) == Snapshot(runID: "first", rows: 6))
            #expect(try await spool.runIsFullyDelivered("first"))
            #expect(try await spool.snapshotHeldUp(route) == nil)

            try await spool.spool(10..<14, to: definition, run: "second")
            #expect(try await spool.snapshotToShow(route)?.runID == "first", "half of the next is not seen")
            #expect(
                try await spool.snapshotHeldUp(route)
                    == HeldSnapshot(runID: "second", rows: 4, rejected: 0, isUnderWay: true))
            try await deliver(spool, route)
            #expect(try await spool.snapshotToShow(route) == Snapshot(runID: "second", rows: 4))
            try await spool.retire(deliveredBefore: .maximum)
            #expect(try await spool.snapshotToShow(route) == Snapshot(runID: "second", rows: 4))
        }
    }

    @Test(arguments: RowState.allCases)
    func `a row that has not arrived holds its snapshot up unless it was discarded`(state: RowState) async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<4, to: .memos(mode: "full"), run: "run")
            let rows = try await spool.rowIDs(.all(route: route.number))
            let request = try await spool.beginAll(of: route)[0]
            var answer = Settlement(request, rest: .delivered)
            switch state {
            case .delivered: break
            case .rejected: answer.exceptions = [RowSettlement(rows[2], .rejected(reason: "invalid", message: ""))]
            case .inDoubt: answer.exceptions = [RowSettlement(rows[2], .inDoubt(.settling))]
            case .pending, .sending, .discarded:
                answer.exceptions = [
                    RowSettlement(rows[2], .pending(reason: "x", message: "", counts: true, transient: false))
                ]
            }
            try await spool.settle([answer])
            if state == .discarded { _ = try await spool.discard(RowFilter(), why: "not needed") }
            if state == .sending {
                _ = try await spool.begin([NewRequest(route: route.number, rows: .list([rows[2]]), bytes: 1)])
            }
            #expect(try await spool.records()[2].state == state)
            let isShown = state == .delivered || state == .discarded
            #expect(try await spool.snapshotToShow(route)?.runID == (isShown ? "run" : nil))
            #expect(try await spool.runIsFullyDelivered("run") == isShown)
            let held = try await spool.snapshotHeldUp(route)
            #expect(held?.rejected == (isShown ? nil : state == .rejected ? 1 : 0))
            #expect(held?.isUnderWay == (isShown ? nil : state != .rejected))
        }
    }

    @Test func `a line that can't be parsed holds nothing up, before and after the others are sent`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun(.memos(mode: "full"), id: "run")
            var bad = TestRow(0)
            bad.attributes.rejection = (reason: "bad_line", message: "")
            try await spool.append(PageCommit(run: run, rows: RowBatch([bad, TestRow(1)])))
            try await spool.endRun(run, status: .complete, warnings: nil, error: nil)
            let route = try await spool.route(run.route)
            #expect(try await spool.snapshotToShow(route) == nil, "a row was never claimed")
            try await deliver(spool, route)
            #expect(try await spool.snapshotToShow(route) == Snapshot(runID: "run", rows: 2))
        }
    }

    @Test func `an empty snapshot can be stepped over`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<2, to: .memos(mode: "full"), run: "first")
            try await deliver(spool, route)
            try await spool.spool(0..<0, to: .memos(mode: "full"), run: "empty")
            #expect(try await spool.snapshotToShow(route) == Snapshot(runID: "empty", rows: 0))
            #expect(
                try await spool.snapshotToShow(route, allowingEmpty: false) == Snapshot(runID: "first", rows: 2))
        }
    }
}
