import Extract
import JSONBytes
import Sandbox
import Spool
import Synchronization
import TestSupport
import Testing

@Suite struct BigQueryReadTests {
    private static let schema =
        #"[{"name":"id","type":"INTEGER"},{"name":"name","type":"STRING"},{"name":"at","type":"TIMESTAMP"}]"#

    private func row(_ id: Int, _ name: String = "n", at: String = "2025-11-25T14:57:57Z") -> String {
        #"{"id":\#(id),"name":"\#(name)","at":"\#(at)"}"#
    }

    private func second(_ number: Int) -> String {
        "2025-11-25T14:\(number / 60 + 10):" + (number % 60 < 10 ? "0" : "") + "\(number % 60)Z"
    }

    private func withOrders<Value>(
        _ rows: [String], _ body: (Warehouse) async throws -> Value
    ) async throws -> Value {
        try await withWarehouse { warehouse in
            try await warehouse.makeTable(schema: Self.schema)
            if !rows.isEmpty { try await warehouse.insert(rows) }
            return try await body(warehouse)
        }
    }

    private func incremental(_ warehouse: Warehouse) -> Warehouse {
        warehouse.with {
            $0.mode = .incremental
            $0.watermark = "at"
            $0.key = ["id"]
        }
    }

    // MARK: incremental

    @Test func `a second run of unchanged data spools nothing, new and changed rows come once`() async throws {
        try await withOrders((0..<50).map { row($0, at: second($0)) }) { warehouse in
            let stream = incremental(warehouse)
            let first = try await stream.complete()
            #expect(first.counters.rowsSpooled == 50)
            #expect(first.watermark == "2025-11-25T14:10:49Z")
            let second = try await stream.complete()
            #expect(second.counters.rowsSpooled == 0)
            #expect(second.watermark == first.watermark)
            // Within the lookback, at the watermark, and beyond it.
            try await warehouse.insert([
                row(100, at: self.second(30)), row(101, at: self.second(49)), row(102, at: self.second(70)),
                row(5, "changed", at: self.second(71)),
            ])
            let third = try await stream.complete()
            #expect(third.counters.rowsSpooled == 4)
            #expect(third.watermark == "2025-11-25T14:11:11Z")
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            let ids = try await stream.rows().map(\.insertID)
            #expect(Set(ids).count == ids.count)
        }
    }

    @Test func `rows beyond the lookback are not read again`() async throws {
        try await withOrders((0..<50).map { row($0, at: second($0)) }) { warehouse in
            let stream = incremental(warehouse).with { $0.lookback = .duration(.seconds(10)) }
            try await stream.complete()
            try await warehouse.insert([row(100, at: second(20))])
            let next = try await stream.complete()
            #expect(next.counters.rowsSpooled == 0)
            #expect(next.counters.rowsRead == 11)
        }
    }

    @Test func `dates of the future wait and nulls are counted`() async throws {
        try await withOrders([row(1), row(2, at: "2999-01-01T00:00:00Z"), #"{"id":3,"name":"x"}"#]) { warehouse in
            let result = try await incremental(warehouse).complete()
            #expect(result.counters.rowsSpooled == 1)
            #expect(result.watermark == "2025-11-25T14:57:57Z")
            #expect(result.warning("watermark_future")?.count == 1)
            #expect(result.warning("watermark_unseen")?.count == 1)
            // The second figure is repeated, not counted again.
            warehouse.sandbox.state.clearRequests()
            let again = try await incremental(warehouse).complete()
            #expect(again.warning("watermark_unseen")?.count == 1)
            #expect(!warehouse.queries().contains { $0.contains("IS NULL)") })
        }
    }

    @Test(arguments: [
        ("INTEGER", ["1", #""9007199254740993""#, "-5"], "9007199254740993"),
        ("FLOAT", ["1.5", "-2", "1e300"], "1e+300"),
        ("NUMERIC", [#""1.10""#, #""-3""#, #""10""#], "10"),
        ("STRING", [#""a""#, #""é""#, #""b'\\\"""#], "é"),
        ("DATE", [#""2025-11-25""#, #""0001-01-01""#, #""2024-02-29""#], "2025-11-25"),
        (
            "DATETIME", [#""2025-11-25T14:57:57.425""#, #""2025-11-25T14:57:57""#, #""2024-01-01T00:00:00""#],
            "2025-11-25T14:57:57.425"
        ),
    ])
    func `every type that orders can be a watermark`(type: String, values: [String], last: String) async throws {
        try await withWarehouse { warehouse in
            try await warehouse.makeTable(
                schema: #"[{"name":"id","type":"INTEGER"},{"name":"w","type":"\#(type)"}]"#)
            try await warehouse.insert(values.enumerated().map { #"{"id":\#($0),"w":\#($1)}"# })
            let stream = warehouse.with {
                $0.mode = .incremental
                $0.watermark = "w"
                $0.key = ["id"]
            }
            let first = try await stream.complete()
            #expect(first.counters.rowsSpooled == 3)
            #expect(first.watermark == last)
            try await warehouse.insert([#"{"id":7,"w":\#(values[0])}"#, #"{"id":8,"w":\#(values[1])}"#])
            let second = try await stream.complete()
            let expected = ["INTEGER": 1, "FLOAT": 0, "NUMERIC": 0, "STRING": 1, "DATE": 1, "DATETIME": 2][type]
            #expect(second.counters.rowsSpooled == expected)
        }
    }

    @Test func `NaN and infinity are counted as unseen, never end a stream and are spooled by --full alone`()
        async throws
    {
        try await withWarehouse { warehouse in
            try await warehouse.makeTable(
                schema: #"[{"name":"id","type":"INTEGER"},{"name":"w","type":"FLOAT"}]"#)
            try await warehouse.insert([
                #"{"id":1,"w":1.5}"#, #"{"id":2,"w":"NaN"}"#, #"{"id":3,"w":"Infinity"}"#, #"{"id":4,"w":"-Infinity"}"#,
                #"{"id":5}"#,
            ])
            let stream = warehouse.with {
                $0.mode = .incremental
                $0.watermark = "w"
                $0.key = ["id"]
            }
            func at(_ offset: Int) -> Warehouse {
                stream.withOptions { $0.clock = { Timestamp.now().advanced(by: .seconds(offset)) } }
            }
            let first = try await at(-3600).complete()
            #expect(try await stream.rows().map(\.["id"]) == [4, 1])
            #expect(first.watermark == "1.5")
            #expect(first.warning("watermark_unseen")?.count == 3)
            #expect(first.warning("watermark_unseen")?.message.contains("NaN") == true)
            try await warehouse.insert([#"{"id":6,"w":1e300}"#, #"{"id":7,"w":"NaN"}"#])
            let second = try await stream.complete()
            #expect(second.counters.rowsSpooled == 1 && second.watermark == "1e+300")
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            // A day after the first count.
            #expect(try await at(86_400 - 3000).complete().warning("watermark_unseen")?.count == 4)
            let everything = try await stream.withOptions { $0.readsEverything = true }.complete()
            #expect(everything.counters.rowsSpooled == 4)
            let ids = try await stream.rows().map(\.insertID)
            #expect(Set(ids).count == ids.count)
        }
    }

    @Test func `a query is read like a table`() async throws {
        try await withOrders((0..<10).map { row($0, at: second($0)) }) { warehouse in
            let stream = incremental(warehouse).with {
                $0.from = nil
                $0.query = "SELECT id, name, at FROM shop.orders WHERE id < 5 -- the small ones\n;"
            }
            let (first, second) = (try await stream.complete(), try await stream.complete())
            #expect(first.counters.rowsSpooled == 5)
            #expect(second.counters.rowsSpooled == 0)
        }
    }

    @Test func `--full reads what the watermark can't see, and nothing twice`() async throws {
        try await withOrders([row(1), row(2), #"{"id":3,"name":"x"}"#]) { warehouse in
            let stream = incremental(warehouse)
            #expect(try await stream.complete().counters.rowsSpooled == 2)
            let full = try await stream.withOptions { $0.readsEverything = true }.complete()
            #expect(full.counters.rowsSpooled == 1)
            #expect(full.counters.rowsUnchanged == 2)
            #expect(full.watermark == "2025-11-25T14:57:57Z")
            #expect(try await stream.complete().counters.rowsSpooled == 0)
        }
    }

    @Test func `--full after a run that was cut off finishes that one and then reads everything`() async throws {
        try await withOrders((0..<20).map { row($0, at: second($0)) } + [#"{"id":100,"name":"x"}"#]) { warehouse in
            let stream = incremental(warehouse)
            let cut = try await stream.withOptions { $0.limit = 5 }.complete()
            #expect(cut.status == .interrupted)
            let full = try await stream.withOptions { $0.readsEverything = true }.complete()
            #expect(full.status == .complete && full.runID == cut.runID)
            let rows = try await stream.rows()
            #expect(rows.count == 21 && Set(rows.map(\.insertID)).count == 21)
        }
    }

    // MARK: full

    @Test func `rows without a key are told apart by count, equal rows with a key are one`() async throws {
        try await withOrders([row(1), row(1), row(2), row(1)]) { warehouse in
            #expect(try await warehouse.complete().counters.rowsSpooled == 4)
            let rows = try await warehouse.rows()
            #expect(Set(rows.map(\.insertID)).count == 4)
            #expect(rows.allSatisfy { $0["_id"] == .null })
            let keyed = warehouse.with {
                $0.key = ["id"]
                $0.name = "keyed"
            }
            let result = try await keyed.complete()
            #expect(result.counters.rowsSpooled == 2)
            #expect(result.counters.rowsUnchanged == 2)
        }
    }

    @Test func `every full run is a snapshot of its own`() async throws {
        try await withOrders([row(1), row(2)]) { warehouse in
            let (first, second) = (try await warehouse.complete(), try await warehouse.complete())
            #expect(first.counters.rowsSpooled == 2)
            #expect(second.counters.rowsSpooled == 2)
            #expect(Set(try await warehouse.rows().map(\.insertID)).count == 4)
        }
    }

    @Test func `an empty table is a complete run`() async throws {
        try await withOrders([]) { warehouse in
            let full = try await warehouse.complete()
            #expect(full.counters.rowsSpooled == 0)
            let part = try await incremental(warehouse).with { $0.name = "i" }.complete()
            #expect(part.watermark == nil)
        }
    }

    // MARK: changes

    @Test func `changes, deletes and returns are versions of their own`() async throws {
        try await withOrders((0..<10).map { row($0) }) { warehouse in
            let stream = warehouse.with {
                $0.mode = .changes
                $0.key = ["id"]
            }
            #expect(try await stream.complete().counters.rowsSpooled == 10)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
            var rows = (0..<10).map { row($0) }
            rows[3] = row(3, "changed")
            rows.remove(at: 7)
            try await warehouse.replace(rows)
            let second = try await stream.complete()
            #expect(second.counters.rowsSpooled == 2)
            #expect(second.counters.deletes == 1)
            let delete = try #require(try await stream.rows().last)
            #expect(delete["_op"] == "delete")
            #expect(delete["_id"] == "7")
            #expect(delete["name"] == nil)
            try await warehouse.replace((0..<10).map { row($0) })
            #expect(try await stream.complete().counters.rowsSpooled == 2)
            let ids = try await stream.rows().map(\.insertID)
            #expect(Set(ids).count == ids.count)
        }
    }

    @Test func `most rows gone is an error before any delete`() async throws {
        try await withOrders((0..<10).map { row($0) }) { warehouse in
            let stream = warehouse.with {
                $0.mode = .changes
                $0.key = ["id"]
            }
            try await stream.complete()
            try await warehouse.replace([row(1)])
            let refused = await stream.run()
            #expect(refused.kind == .massDelete)
            #expect(refused.counters.deletes == 0)
            let allowed = try await stream.withOptions { $0.allowsMassDelete = true }.complete()
            #expect(allowed.counters.deletes == 9)
        }
    }

    @Test func `a key that two rows share or that is null is refused`() async throws {
        try await withOrders([row(1), row(1, "other"), #"{"name":"x"}"#]) { warehouse in
            let stream = warehouse.with {
                $0.mode = .changes
                $0.key = ["id"]
            }
            #expect(await stream.run().kind == .configuration)
            // Once it is mended, the stream goes on by itself.
            try await warehouse.replace([row(1), row(2)])
            try await stream.complete()
            try await warehouse.replace([row(1), row(1, "other"), #"{"name":"x"}"#])
            #expect(await stream.with { $0.key = [] }.run().kind == .configuration)
        }
        try await withOrders([#"{"name":"x"}"#]) { warehouse in
            #expect(await warehouse.with { $0.key = ["id"] }.run().kind == .configuration)
        }
    }

    @Test func `several key parts are a JSON array`() async throws {
        try await withOrders([row(1, "a")]) { warehouse in
            let stream = warehouse.with {
                $0.mode = .changes
                $0.key = ["name", "id"]
            }
            try await stream.complete()
            #expect(try await stream.rows().first?["_id"]?.stringValue == #"["a",1]"#)
        }
    }
}
