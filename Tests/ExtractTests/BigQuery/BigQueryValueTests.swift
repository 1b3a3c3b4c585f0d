import Extract
import JSONBytes
import TestSupport
import Testing

@Suite struct BigQueryValueTests {
    static let schema = """
        [{"name":"i","type":"INTEGER"},{"name":"big","type":"INTEGER"},{"name":"x","type":"FLOAT"},
        {"name":"b","type":"BOOLEAN"},{"name":"s","type":"STRING"},{"name":"n","type":"NUMERIC"},
        {"name":"bn","type":"BIGNUMERIC"},{"name":"by","type":"BYTES"},{"name":"d","type":"DATE"},
        {"name":"t","type":"TIME"},{"name":"dt","type":"DATETIME"},{"name":"ts","type":"TIMESTAMP"},
        {"name":"g","type":"GEOGRAPHY"},{"name":"j","type":"JSON"},{"name":"tags","type":"STRING","mode":"REPEATED"},
        {"name":"r","type":"RECORD","fields":[{"name":"z","type":"INTEGER"},{"name":"a","type":"TIMESTAMP"},
        {"name":"list","type":"RECORD","mode":"REPEATED","fields":[{"name":"q","type":"NUMERIC"},{"name":"p","type":"FLOAT"}]}]}]
        """

    static let row = #"""
        {"i":"-7","big":"9007199254740993","x":0.1,"b":true,"s":"ä \"q\" \\ \n \u0001 😀","n":"1.10","bn":"12345678901234567890123456789012345678.5",
        "by":"AAH/","d":"2025-11-25","t":"14:57:57.425","dt":"2025-11-25T14:57:57.425","ts":"2025-11-25T14:57:57.425123Z",
        "g":"POINT(1 2)","j":"{\"b\": [1, 2.50], \"a\": null}","tags":["x","y\"z"],
        "r":{"z":"9007199254740993","a":"0001-01-01T00:00:00Z","list":[{"q":"2.50","p":"NaN"},{"q":null,"p":1}]}}
        """#

    private func payload(_ row: SpooledRow) -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: (row.json.objectValue ?? []).filter { !$0.name.hasPrefix("_") }.map {
                ($0.name, $0.value.text)
            })
    }

    @Test func `every type comes as it is, records and arrays as JSON text`() async throws {
        try await withWarehouse { warehouse in
            try await warehouse.makeTable(schema: Self.schema)
            try await warehouse.insert([Self.row, #"{"i":1}"#])
            try await warehouse.complete()
            let rows = try await warehouse.rows()
            try #require(rows.count == 2)
            let values = payload(rows[0])
            #expect(values["i"] == "-7")
            #expect(values["big"] == #""9007199254740993""#)
            #expect(values["x"] == "0.1")
            #expect(values["b"] == "true")
            #expect(values["s"] == #""ä \"q\" \\ \n \u0001 😀""#)
            #expect(values["n"] == #""1.1""#)
            #expect(values["bn"] == #""12345678901234567890123456789012345678.5""#)
            #expect(values["by"] == #""AAH/""#)
            #expect(values["d"] == #""2025-11-25""#)
            #expect(values["t"] == #""14:57:57.425""#)
            #expect(values["dt"] == #""2025-11-25T14:57:57.425""#)
            #expect(values["ts"] == #""2025-11-25T14:57:57.425123Z""#)
            #expect(values["g"] == #""POINT(1 2)""#)
            #expect(
                rows[0]["j"]?.stringValue == #"{"a":null,"b":[1,2.50]}"#
                    || rows[0]["j"]?.stringValue == #"{"a":null,"b":[1,2.5]}"#)
            #expect(rows[0]["tags"]?.stringValue == #"["x","y\"z"]"#)
            #expect(
                rows[0]["r"]?.stringValue
                    == #"{"a":"0001-01-01T00:00:00Z","list":[{"p":"NaN","q":"2.5"},{"p":1.0,"q":null}],"z":"9007199254740993"}"#
            )
            let empty = payload(rows[1])
            #expect(empty["s"] == "null")
            #expect(rows[1]["tags"]?.stringValue == "[]")
            #expect(empty["r"] == "null")
            let keys = (rows[0].json.objectValue ?? []).map(\.name).filter { !$0.hasPrefix("_") }
            #expect(keys == keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        }
    }

    @Test func `only the columns that are wanted are asked for, key and watermark always`() async throws {
        try await withWarehouse { warehouse in
            try await warehouse.makeTable(schema: Self.schema)
            try await warehouse.insert([Self.row])
            let stream = warehouse.with {
                $0.columns = ["s"]
                $0.key = ["i"]
                $0.mode = .incremental
                $0.watermark = "ts"
            }
            try await stream.complete()
            let row = try #require(try await stream.rows().first)
            #expect(payload(row).keys.sorted() == ["s", "ts"])
            #expect(row["_id"] == "-7")
            #expect(stream.queries().contains { $0.hasPrefix("SELECT `i`, `s`, `ts` FROM `p.shop.orders`") })
        }
    }

    @Test func `a column that is left out does not come`() async throws {
        try await withWarehouse { warehouse in
            try await warehouse.makeTable(schema: #"[{"name":"a","type":"STRING"},{"name":"b","type":"STRING"}]"#)
            try await warehouse.insert([#"{"a":"1","b":"2"}"#])
            let stream = warehouse.with { $0.exclude = ["b", "not there"] }
            try await stream.complete()
            #expect(payload(try #require(try await stream.rows().first)) == ["a": #""1""#])
        }
    }
}
