import JSONBytes
import Sandbox
import Ship
import Spool
import Synchronization
import TestSupport
import Testing
import Transport

struct LatestViewTests {
    /// A column of what the view shows, sorted.
    private func shown(_ bench: ShipBench, _ column: String = "_id", view: String = "memos_latest") async throws
        -> [String]
    {
        let reply = try await bench.call(
            .post, "p/queries",
            .object([
                JSONMember("query", .string("SELECT `\(column)` FROM `p.d.\(view)`")),
                JSONMember("useLegacySql", false),
            ]))
        let rows = reply["rows"]?.arrayValue ?? []
        return rows.compactMap { $0["f"]?.arrayValue?.first?["v"]?.stringValue }.sorted()
    }

    @Test func `the view shows the newest version of every document and none that is gone`() async throws {
        try await withBench { bench in
            try await bench.spool(
                (0..<3).map { [TestField("n", "INT64", "\($0)")] }, from: 1, id: { "m\($0)" })
            try await bench.ship()
            #expect(try await shown(bench) == ["m1", "m2", "m3"])
            // m1 changes, m2 goes.
            try await bench.spool([[TestField("n", "INT64", "10")]], from: 100, id: { _ in "m1" })
            try await bench.spool([[]], from: 200, operation: .delete, id: { _ in "m2" })
            try await bench.ship()
            #expect(try await shown(bench) == ["m1", "m3"])
            #expect(try await shown(bench, "n") == ["10", "2"])
        }
    }

    @Test func `rows sent twice are shown once`() async throws {
        try await withBench({ $0.dedupeWindow = .zero }) { bench in
            try await bench.spool(count: 5)
            try await bench.ship()
            try await bench.insertBehind { $0 > 2 }
            #expect(try bench.ids().count == 8)
            #expect(try await shown(bench).count == 5)
        }
    }

    @Test func `new columns show in the view`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 1)
            try await bench.ship()
            try await bench.spool([[TestField("later", "INT64", "5")]], from: 10)
            try await bench.ship()
            #expect(try await shown(bench, "later") == ["5"])
        }
    }

    @Test func `an edited view is left alone and the user is told`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 1)
            try await bench.ship()
            let own = "SELECT _id, 1 AS mine FROM `p.d.memos`"
            try await bench.call(
                .patch, "p/datasets/d/tables/memos_latest",
                .object([
                    JSONMember(
                        "view", .object([JSONMember("query", .string(own)), JSONMember("useLegacySql", false)]))
                ]))
            try await bench.spool([[TestField("later", "INT64", "5")]], from: 10)
            #expect(try await bench.ship().status == .drained)
            #expect(bench.warnings.contains("view_edited"))
            #expect(try bench.sandbox.state.resource(of: "p.d.memos_latest")["view"]?["query"]?.stringValue == own)
        }
    }

    @Test func `latest_views false makes none`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 1)
            try await bench.ship { $0.latestViews = false }
            #expect(bench.sandbox.state.tables == ["p.d.memos"])
        }
    }

    @Test func `another spool writes the same view and does not take it for edited`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 1)
            try await bench.ship()
            try await withTemporarySpool { other in
                let second = ShipBench(other, bench.sandbox, bench.clock)
                try await second.spool([[TestField("later", "INT64", "5")]], from: 10)
                try await second.ship()
                #expect(second.warnings.isEmpty)
                #expect(try await shown(bench, "later") == ["5"])
            }
        }
    }

    // MARK: Snapshots

    private static var snapshot: StreamDelivery {
        var delivery = StreamDelivery(name: "memos")
        delivery.isSnapshot = true
        return delivery
    }

    @Test func `a full-mode view switches to a snapshot only when it was delivered whole`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 3, from: 1)
            try await bench.ship(streams: [Self.snapshot])
            #expect(try await shown(bench) == ["m1", "m2", "m3"])
            try await bench.spool(count: 4, from: 11)
            try await bench.ship(streams: [Self.snapshot]) { $0.rowLimit = 2 }
            #expect(try await shown(bench) == ["m1", "m2", "m3"])
            try await bench.ship(streams: [Self.snapshot])
            #expect(try await shown(bench) == ["m11", "m12", "m13", "m14"])
        }
    }

    @Test func `an empty snapshot is shown only when that was allowed`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 3, from: 1)
            try await bench.ship(streams: [Self.snapshot])
            try await bench.spool(count: 0, from: 11)
            try await bench.ship(streams: [Self.snapshot])
            #expect(try await shown(bench).count == 3)
            #expect(bench.warnings.contains("snapshot_empty"))
            try await bench.ship(streams: [Self.snapshot]) { $0.allowEmptySnapshot = true }
            #expect(try await shown(bench).isEmpty)
            // It never goes back: also for one that knows of no such leave.
            try await bench.ship(streams: [Self.snapshot])
            try await bench.spool(count: 0, from: 21)
            try await bench.ship(streams: [Self.snapshot])
            #expect(try await shown(bench).isEmpty)
            try await bench.spool(count: 2, from: 31)
            try await bench.ship(streams: [Self.snapshot])
            #expect(try await shown(bench) == ["m31", "m32"])
        }
    }

    @Test func `a source's own column may be named as the view ranks rows`() async throws {
        try await withBench { bench in
            try await bench.spool((1...4).map { [TestField("etlctl_rank", "INT64", "\($0)")] })
            try await bench.ship()
            #expect(try await shown(bench, "etlctl_rank") == ["1", "2", "3", "4"])
        }
    }

    /// Rows of before the renaming have the value under the old name.
    @Test(arguments: [["_op": "operation"], ["_path": "where"], ["_insert_id": "iid", "_extracted_at": "at"]])
    func `metadata that was renamed is looked for under both names`(names: [String: String]) async throws {
        try await withBench({ $0.dedupeWindow = .zero }) { bench in
            let row: (Int) -> [TestField] = { [TestField("n", "INT64", "\($0)")] }
            try await bench.spool((1...3).map(row), id: { "m\($0)" })
            try await bench.shipSettled()
            bench.renames.withLock { $0 = names }
            var memos = StreamDelivery(name: "memos")
            memos.isFirestore = true
            memos.renamedMetadata = names
            try await bench.spool([row(20)], from: 100, id: { _ in "m2" })
            try await bench.spool([[]], from: 200, operation: .delete, id: { _ in "m3" })
            try await bench.ship(streams: [memos])
            #expect(try await shown(bench, "n") == ["1", "20"])
            let route = try #require(try await bench.spool.routes().first)
            let audit = DestinationAudit(
                spool: bench.spool, client: bench.client, configuration: bench.configuration(), streams: [memos])
            let finding = try await audit.run(route)
            #expect(finding.isBalanced && finding.delivered == 5 && finding.duplicatedCount + finding.unknownCount == 0)
            // Rows in doubt are found under either.
            let doubted = try await bench.spool.doubtDelivered(
                to: ShipBench.table, endpoint: ShipBench.endpoint, since: .minimum)
            #expect(doubted == 5)
            #expect(try await bench.ship(streams: [memos]).status == .drained)
            #expect(try bench.rows().count == 5)
        }
    }

    @Test func `a rejected row holds a snapshot up until it is discarded`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 3, from: 1)
            try await bench.ship(streams: [Self.snapshot])
            try await bench.spool(count: 3, from: 11)
            try await bench.damageRow(12)
            try await bench.ship(streams: [Self.snapshot])
            #expect(bench.warnings.contains("snapshot_held"))
            #expect(try await shown(bench) == ["m1", "m2", "m3"])
            var filter = RowFilter()
            filter.state = .rejected
            _ = try await bench.spool.discard(filter, why: "damaged")
            try await bench.ship(streams: [Self.snapshot])
            #expect(try await shown(bench) == ["m11", "m13"])
        }
    }
}
