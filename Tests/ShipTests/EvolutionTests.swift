import JSONBytes
import Sandbox
import Ship
import Spool
import TestSupport
import Testing

/// Schemas that follow the source, and conflicts that cost no row (contract section 5).
struct EvolutionTests {
    @Test func `mixed types of one field: the type of most values wins and the others are rescued`() async throws {
        try await withBench { bench in
            let stamp = #""2025-11-25T14:57:57.425Z""#
            try await bench.spool(
                (0..<20).map { _ in [TestField("at", "TIMESTAMP", stamp)] }
                    + [
                        [TestField("at", "STRING", #""2025-11-25T15:57:57.425+01:00""#)],
                        [TestField("at", "STRING", #""yesterday""#)], [TestField("at", "INT64", "7")],
                        [TestField("at", "JSON_TEXT", #""{\"a\":1}""#)], [TestField("at", "NULL", "null")], [],
                    ])
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(summary.rejected == 0)
            let rows = try bench.rows()
            #expect(rows.filter { $0["at"] == .string("2025-11-25T14:57:57.425Z") }.count == 21)
            let rescued = rows.compactMap { $0["_rescued"]?.stringValue }
            #expect(rescued.sorted() == [#"{"at":"yesterday"}"#, #"{"at":"{\"a\":1}"}"#, #"{"at":7}"#])
        }
    }

    @Test func `new fields become columns, described by their field`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 5)
            try await bench.ship()
            try await bench.spool([[TestField("extra", "INT64", "1")]], from: 50)
            try await bench.ship()
            let fields = try bench.sandbox.state.resource(of: ShipBench.table)["schema"]?["fields"]?.arrayValue ?? []
            let extra = try #require(fields.first { $0["name"]?.stringValue == "extra" })
            #expect(extra["description"]?.stringValue == "extra")
            #expect(try bench.rows().contains { $0["extra"] == 1 })
        }
    }

    @Test func `with freeze new fields are rescued and the table stays as it is`() async throws {
        try await withBench { bench in
            try await bench.createDataset()
            try await bench.createTable(ShipBench.metadataFields + [ShipBench.field("n INT64")])
            try await bench.spool([[TestField("n", "INT64", "1"), TestField("new", "STRING", #""x""#)]])
            let summary = try await bench.ship { $0.evolveSchema = false }
            #expect(summary.status == .drained)
            let row = try #require(try bench.rows().first)
            #expect(row["n"] == 1)
            #expect(row["_rescued"]?.stringValue == #"{"new":"x"}"#)
            #expect(row["new"] == nil)
        }
    }

    @Test func `a table with other types than ours is filled as far as nothing is lost`() async throws {
        try await withBench { bench in
            try await bench.createDataset()
            let fields = [
                "amount NUMERIC", "at DATETIME", "day DATE", "doc JSON", "tags STRING REPEATED", "flag BOOLEAN",
                "raw BYTES", "n FLOAT64", "place GEOGRAPHY",
            ].map { ShipBench.field($0) }
            let address = JSONValue.object([
                JSONMember("name", "address"), JSONMember("type", "RECORD"),
                JSONMember("fields", .array([ShipBench.field("city STRING"), ShipBench.field("zip INT64")])),
            ])
            try await bench.createTable(ShipBench.metadataFields + fields + [address])
            try await bench.spool([
                [
                    TestField("address", "JSON_TEXT", #""{\"city\":\"Bonn\",\"zip\":53111}""#),
                    TestField("amount", "INT64", "12"), TestField("at", "TIMESTAMP", #""2025-11-25T14:57:57.425Z""#),
                    TestField("day", "STRING", #""2025-11-25""#), TestField("doc", "JSON_TEXT", #""{\"a\":[1,2]}""#),
                    TestField("flag", "STRING", #""true""#), TestField("n", "INT64", "3"),
                    TestField("place", "GEOGRAPHY", #""POINT(7.0 50.7)""#), TestField("raw", "BYTES", #""aGk=""#),
                    TestField("tags", "JSON_TEXT", #""[\"a\",\"b\"]""#),
                ],
                [
                    TestField("address", "JSON_TEXT", #""{\"land\":\"DE\"}""#),
                    TestField("amount", "STRING", #""many""#),
                    TestField("day", "STRING", #""soon""#), TestField("tags", "JSON_TEXT", #""[\"a\",null]""#),
                ],
            ])
            let summary = try await bench.ship()
            #expect(summary.status == .drained)
            #expect(summary.rejected == 0)
            let rows = try bench.rows()
            let first = try #require(rows.first)
            #expect(first["amount"] == "12")
            #expect(first["at"] == "2025-11-25T14:57:57.425")
            #expect(first["day"] == "2025-11-25")
            #expect(first["flag"] == true)
            #expect(first["tags"] == ["a", "b"])
            #expect(first["address"]?["city"] == "Bonn")
            #expect(first["_rescued"] == .null)
            let rescued = try #require(rows.last?["_rescued"]?.stringValue)
            #expect(
                rescued
                    == #"{"address":"{\"land\":\"DE\"}","amount":"many","day":"soon","tags":"[\"a\",null]"}"#)
        }
    }

    @Test func `a REQUIRED column without a value rejects the row and says so`() async throws {
        try await withBench { bench in
            try await bench.createDataset()
            try await bench.createTable(ShipBench.metadataFields + [ShipBench.field("must STRING REQUIRED")])
            try await bench.spool([[TestField("must", "STRING", #""x""#)], [TestField("n", "INT64", "1")]])
            let summary = try await bench.ship()
            #expect(summary.rejected == 1)
            #expect(try await bench.ledger().delivered == 1)
            var filter = RowFilter()
            filter.state = .rejected
            #expect(try await bench.spool.records(filter).first?.message?.contains("must is REQUIRED") == true)
        }
    }

    @Test func `a column that holds another field stops the table and names both`() async throws {
        try await withBench { bench in
            try await bench.createDataset()
            try await bench.createTable(ShipBench.metadataFields + [ShipBench.field("a_b STRING", description: "a b")])
            let run = try await bench.spool.beginTestRun(ShipBench.definition("memos"))
            var page = PageCommit(run: run, rows: RowBatch())
            page.newColumns = [ColumnName(field: "a-b", base: "a_b", column: "a_b")]
            try await bench.spool.append(page)
            try await bench.spool([[TestField("a_b", "STRING", #""x""#)]])
            let summary = try await bench.ship()
            #expect(summary.status == .refused)
            #expect(summary.stop?.kind == .configuration)
            #expect(summary.stop?.message.contains("\"a b\"") == true)
            #expect(summary.stop?.message.contains("\"a-b\"") == true)
            #expect(try await bench.ledger().pending == 1)
        }
    }

    @Test func `create false makes nothing and says what is missing`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 3)
            let summary = try await bench.ship { $0.create = false }
            #expect(summary.status == .refused)
            #expect(summary.stop?.kind == .configuration)
            #expect(bench.sandbox.state.tables.isEmpty)
        }
    }

    @Test func `a view in the table's place stops it`() async throws {
        try await withBench { bench in
            try await bench.spool(count: 3)
            try await bench.ship()
            try await bench.spool(count: 3, stream: "other", table: "p.d.memos_latest")
            let summary = try await bench.ship()
            #expect(summary.status == .refused)
            #expect(summary.stop?.message.contains("view") == true)
        }
    }

    @Test func `two shippers of different spools into one table do not fight`() async throws {
        try await withBench { bench in
            try await withTemporarySpool { other in
                let second = ShipBench(other, bench.sandbox, bench.clock)
                try await bench.spool((0..<50).map { [TestField("left", "INT64", "\($0)")] }, from: 1)
                try await second.spool((0..<50).map { [TestField("right", "INT64", "\($0)")] }, from: 1000)
                async let one = bench.ship()
                async let two = second.ship()
                #expect(try await one.status != .refused)
                #expect(try await two.status != .refused)
                for ship in [bench, second] {
                    ship.clock.advance(by: .seconds(601))
                    #expect(try await ship.ship().status == .drained)
                }
                #expect(try Set(bench.ids()).count == 100)
                #expect(try bench.ids().count == 100)
                #expect(try bench.rows().filter { $0["right"] != .null }.count == 50)
            }
        }
    }

    /// Fields appear, change their type and vanish, and every change of the table takes effect late.
    @Test func `ten rounds of changing fields reject nothing and lose no value`() async throws {
        try await withBench { bench in
            try bench.sandbox.state.setFaults("schema-delay=30ms", "new-table-delay=30ms")
            let kinds = [
                ("INT64", "7"), ("STRING", #""text""#), ("FLOAT64", "1.5"), ("BOOL", "true"), ("NULL", "null"),
                ("TIMESTAMP", #""2025-11-25T14:57:57Z""#), ("JSON_TEXT", #""[1]""#), ("BYTES", #""aGk=""#),
            ]
            var expected: [String: [TestField]] = [:]
            for round in 0..<10 {
                let rows = (0..<30).map { index -> [TestField] in
                    (0..<6).compactMap { field in
                        guard (round + index + field) % 4 != 0 else { return nil }
                        let kind = kinds[(round * field + index % 3) % kinds.count]
                        return TestField("f\(field + round / 3)", kind.0, kind.1)
                    }
                }
                // Half of the documents are those of the round before, changed.
                let ids = { (number: Int) in "m\(round * 15 + (number - 1) % 100)" }
                let first = round * 100 + 1
                try await bench.spool(rows, from: first, id: ids)
                for (offset, row) in rows.enumerated() { expected[ids(first + offset)] = row }
                let summary = try await bench.ship()
                #expect(summary.rejected == 0)
                #expect(summary.status != .refused)
            }
            bench.clock.advance(by: .seconds(601))
            #expect(try await bench.ship().status == .drained)
            #expect(try bench.rows().count == 300)
            let rows = try await bench.query("SELECT * FROM `p.d.memos_latest`")
            #expect(rows.count == expected.count)
            for row in rows {
                let rescued = try row["_rescued"]?.stringValue.map { try JSONValue(parsing: $0) }
                for field in expected[row["_id"]?.stringValue ?? ""] ?? [] where field.type != "NULL" {
                    let value = try JSONValue(parsing: field.json)
                    let stored = row[field.name] ?? .null
                    let isThere = stored != .null || rescued?[field.name] == value
                    #expect(isThere, "\(field.name) of \(row["_id"] ?? .null) is gone")
                    if stored != .null, let text = stored.stringValue {
                        // A whole number in a FLOAT64 column has its decimals.
                        let isNumber = value.stringValue == nil && Double(text) == Double(value.text)
                        #expect(isNumber || text == value.stringValue || text == value.text, "\(field) is \(text)")
                    }
                }
            }
        }
    }
}
