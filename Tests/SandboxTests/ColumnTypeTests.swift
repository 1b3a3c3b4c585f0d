import JSONBytes
import Sandbox
import Testing

struct ColumnTypeTests {
    /// What is sent into a column of a type, and what comes of it: the stored value, or nil for a refusal.
    struct Example: Sendable {
        var type: String
        var sent: String
        var stored: String?

        init(_ type: String, _ sent: String, _ stored: String?) {
            self.type = type
            self.sent = sent
            self.stored = stored
        }
    }

    static let examples: [Example] = [
        Example("INTEGER", "12", "12"), Example("INTEGER", "\"-9223372036854775808\"", "-9223372036854775808"),
        Example("INTEGER", "9007199254740992", "9007199254740992"), Example("INTEGER", "9007199254740993", nil),
        Example("INTEGER", "\"9223372036854775808\"", nil), Example("INTEGER", "1.0", nil),
        Example("INTEGER", "\"1.0\"", nil), Example("INTEGER", "\"\"", nil), Example("INTEGER", "true", nil),
        Example("INTEGER", "{}", nil), Example("INTEGER", "[1]", nil), Example("INTEGER", "null", "null"),
        Example("INTEGER", "-0", "0"),

        Example("FLOAT", "0.1", "0.1"), Example("FLOAT", "1e+21", "1e+21"), Example("FLOAT", "-0.0", "0.0"),
        Example("FLOAT", "\"NaN\"", "\"NaN\""), Example("FLOAT", "\"-Infinity\"", "\"-Infinity\""),
        Example("FLOAT", "\"inf\"", "\"Infinity\""), Example("FLOAT", "1e400", nil), Example("FLOAT", "\"x\"", nil),
        Example("FLOAT", "true", nil), Example("FLOAT", "\"0x10\"", nil), Example("FLOAT", "5", "5.0"),

        Example("BOOLEAN", "true", "true"), Example("BOOLEAN", "\"false\"", "false"),
        Example("BOOLEAN", "\"maybe\"", nil), Example("BOOLEAN", "2", nil),

        Example("STRING", "\"a\\u00e9\\n\"", "\"aé\\n\""), Example("STRING", "\"\"", "\"\""),
        Example("STRING", "5", nil), Example("STRING", "false", nil), Example("STRING", "{\"a\":1}", nil),
        Example("STRING", "\"\\u0000x\"", "\"\\u0000x\""),

        Example("BYTES", "\"AP/+aGk=\"", "\"AP/+aGk=\""), Example("BYTES", "\"\"", "\"\""),
        Example("BYTES", "\"AP_-aGk=\"", nil), Example("BYTES", "\"AP/+aGk\"", nil), Example("BYTES", "\"A===\"", nil),

        Example("TIMESTAMP", "\"2025-11-25T14:57:57.425123Z\"", "\"2025-11-25T14:57:57.425123Z\""),
        Example("TIMESTAMP", "\"2025-11-25 14:57:57.500 UTC\"", "\"2025-11-25T14:57:57.5Z\""),
        Example("TIMESTAMP", "\"2025-11-25 14:57\"", "\"2025-11-25T14:57:00Z\""),
        Example("TIMESTAMP", "\"2025-11-25T14:57:57+02:00\"", "\"2025-11-25T12:57:57Z\""),
        Example("TIMESTAMP", "1764082677", "\"2025-11-25T14:57:57Z\""),
        Example("TIMESTAMP", "1764082677.25", "\"2025-11-25T14:57:57.25Z\""),
        Example("TIMESTAMP", "-0.5", "\"1969-12-31T23:59:59.5Z\""),
        Example("TIMESTAMP", "1764082677000", nil), Example("TIMESTAMP", "\"1764082677\"", nil),
        Example("TIMESTAMP", "\"0001-01-01T00:00:00Z\"", "\"0001-01-01T00:00:00Z\""),
        Example("TIMESTAMP", "\"9999-12-31T23:59:59.999999Z\"", "\"9999-12-31T23:59:59.999999Z\""),
        Example("TIMESTAMP", "\"0001-01-01T00:00:00+01:00\"", nil),
        Example("TIMESTAMP", "\"2025-02-29T00:00:00Z\"", nil),
        Example("TIMESTAMP", "\"2024-02-29T00:00:00Z\"", "\"2024-02-29T00:00:00Z\""),
        Example("TIMESTAMP", "\"2025-11-25T14:57:60Z\"", nil), Example("TIMESTAMP", "\"2025-11-25T24:00:00Z\"", nil),
        Example("TIMESTAMP", "\"2025-11-25T14:57:57.4251234Z\"", nil),
        Example("TIMESTAMP", "\"10000-01-01T00:00:00Z\"", nil),
        Example("TIMESTAMP", "\"\"", nil), Example("TIMESTAMP", "\"2025-11-25T14:57:57Zx\"", nil),
        Example("TIMESTAMP", "\"2025-11-25T\"", nil),

        Example("DATE", "\"2025-11-25\"", "\"2025-11-25\""), Example("DATE", "\"2025-1-5\"", "\"2025-01-05\""),
        Example("DATE", "\"2025-13-01\"", nil), Example("DATE", "\"2025-11-25T00:00:00\"", nil),
        Example("DATE", "20251125", nil),
        Example("TIME", "\"14:57:57.500\"", "\"14:57:57.5\""), Example("TIME", "\"24:00:00\"", nil),
        Example("TIME", "\"14:57\"", nil),
        Example("DATETIME", "\"2025-11-25 14:57:57.425\"", "\"2025-11-25T14:57:57.425\""),
        Example("DATETIME", "\"2025-11-25T14:57:57Z\"", nil),

        Example("NUMERIC", "\"1.10\"", "\"1.1\""), Example("NUMERIC", "\"-0\"", "\"0\""),
        Example("NUMERIC", "12.5", "\"12.5\""),
        Example(
            "NUMERIC", "\"99999999999999999999999999999.999999999\"", "\"99999999999999999999999999999.999999999\""),
        Example("NUMERIC", "\"100000000000000000000000000000\"", nil), Example("NUMERIC", "\"0.0000000001\"", nil),
        Example("NUMERIC", "\"1e3\"", "\"1000\""), Example("NUMERIC", "\"NaN\"", nil), Example("NUMERIC", "\"\"", nil),
        Example(
            "BIGNUMERIC", "\"578960446186580977117854925043439539266.34992332820282019728792003956564819967\"",
            "\"578960446186580977117854925043439539266.34992332820282019728792003956564819967\""),
        Example(
            "BIGNUMERIC", "\"578960446186580977117854925043439539266.34992332820282019728792003956564819968\"", nil),
        Example(
            "BIGNUMERIC", "\"-578960446186580977117854925043439539266.34992332820282019728792003956564819968\"",
            "\"-578960446186580977117854925043439539266.34992332820282019728792003956564819968\""),

        Example("GEOGRAPHY", "\"POINT(-2.0 1.5)\"", "\"POINT(-2.0 1.5)\""),
        Example("GEOGRAPHY", "\"POLYGON((0 0, 1 0, 1 1, 0 0))\"", "\"POLYGON((0 0, 1 0, 1 1, 0 0))\""),
        Example(
            "GEOGRAPHY", "\"GEOMETRYCOLLECTION(POINT(1 2), LINESTRING EMPTY)\"",
            "\"GEOMETRYCOLLECTION(POINT(1 2), LINESTRING EMPTY)\""),
        Example(
            "GEOGRAPHY", "\"{\\\"type\\\":\\\"Point\\\",\\\"coordinates\\\":[1,2]}\"",
            "\"{\\\"type\\\":\\\"Point\\\",\\\"coordinates\\\":[1,2]}\""),
        Example("GEOGRAPHY", "\"POINT(1.5 91)\"", nil), Example("GEOGRAPHY", "\"POINT(1)\"", nil),
        Example("GEOGRAPHY", "{\"type\":\"Point\",\"coordinates\":[1,2]}", nil),

        Example("JSON", "\"{\\\"b\\\": 1, \\\"a\\\": [null]}\"", "\"{\\\"a\\\":[null],\\\"b\\\":1}\""),
        // Two names that look alike are two members.
        Example("JSON", "\"{\\\"\u{E9}\\\":1,\\\"e\u{301}\\\":2}\"", "\"{\\\"e\u{301}\\\":2,\\\"\u{E9}\\\":1}\""),
        Example("JSON", "\"{\\\"a\\\":1,\\\"b\\\":2,\\\"a\\\":3}\"", "\"{\\\"a\\\":1,\\\"b\\\":2}\""),
        Example("JSON", "\"1\"", "\"1\""), Example("JSON", "\"{a:1}\"", nil), Example("JSON", "{\"a\":1}", nil),
        Example("JSON", "\"\"", nil), Example("JSON", "\"1e999\"", nil),
    ]

    @Test(arguments: examples)
    func `a column takes the values of its type and no others`(_ example: Example) throws {
        let bench = try Bench()
        try bench.makeTable("t", "c \(example.type)")
        let reply = try bench.insert(row: "{\"c\":\(example.sent)}")
        #expect(reply.status == 200)
        let rows = try bench.state.rows(of: "d.t")
        if let stored = example.stored {
            #expect(reply.json["insertErrors"] == nil, "\(reply.text)")
            #expect(rows.first?["c"]?.text == stored)
        } else {
            #expect(rows.isEmpty)
            let error = reply.json["insertErrors"]?.arrayValue?.first?["errors"]?.arrayValue?.first
            #expect(error?["reason"] == "invalid", "\(reply.text)")
            #expect(error?["location"] == "c")
            #expect(error?["message"]?.stringValue?.isEmpty == false)
        }
    }

    @Test func `records and arrays are checked to their depth`() throws {
        let bench = try Bench()
        let fields: JSONValue = [
            ["name": "tags", "type": "STRING", "mode": "REPEATED"],
            [
                "name": "addr", "type": "RECORD",
                "fields": [
                    ["name": "city", "type": "STRING", "mode": "REQUIRED"], ["name": "zip", "type": "INT64"],
                    ["name": "seen", "type": "TIMESTAMP", "mode": "REPEATED"],
                ],
            ],
        ]
        let created = try bench.client.send(
            "POST", bench.base + "/datasets/d/tables",
            [
                "tableReference": ["projectId": "p", "datasetId": "d", "tableId": "t"], "schema": ["fields": fields],
            ])
        #expect(created.status == 200, "\(created.text)")
        let good =
            "{\"tags\":[\"a\",\"b\"],\"addr\":{\"CITY\":\"x\",\"zip\":\"5\",\"seen\":[\"2026-01-01T00:00:00Z\"]}}"
        #expect(try bench.insert(row: good).json["insertErrors"] == nil)
        #expect(
            try bench.state.rows(of: "d.t").first?.text
                == "{\"tags\":[\"a\",\"b\"],\"addr\":{\"city\":\"x\",\"zip\":5,\"seen\":[\"2026-01-01T00:00:00Z\"]}}")
        let bad: [(String, String)] = [
            ("{\"tags\":[\"a\",null]}", "tags"), ("{\"tags\":\"a\"}", "tags"), ("{\"tags\":[[\"a\"]]}", "tags"),
            ("{\"tags\":[1]}", "tags"), ("{\"addr\":{\"zip\":1}}", "addr.city"),
            ("{\"addr\":{\"city\":null}}", "addr.city"), ("{\"addr\":{\"city\":\"x\",\"no\":1}}", "addr.no"),
            ("{\"addr\":[]}", "addr"), ("{\"addr\":\"x\"}", "addr"),
            ("{\"addr\":{\"city\":\"x\",\"seen\":[5,\"x\"]}}", "addr.seen"),
        ]
        for (row, location) in bad {
            let reply = try bench.insert(row: row)
            let error = reply.json["insertErrors"]?.arrayValue?.first?["errors"]?.arrayValue?.first
            #expect(error?["location"]?.stringValue == location, "\(row): \(reply.text)")
        }
        #expect(try bench.state.rowCount(of: "d.t") == 1)
    }

    @Test func `parameters of a type bound its values`() throws {
        let bench = try Bench()
        let created = try bench.client.send(
            "POST", bench.base + "/datasets/d/tables",
            [
                "tableReference": ["projectId": "p", "datasetId": "d", "tableId": "t"],
                "schema": [
                    "fields": [
                        ["name": "s", "type": "STRING", "maxLength": "2"],
                        ["name": "n", "type": "NUMERIC", "precision": "4", "scale": "2"],
                    ]
                ],
            ])
        #expect(created.status == 200, "\(created.text)")
        for (row, isGood) in [
            ("{\"s\":\"éé\"}", true), ("{\"s\":\"abc\"}", false), ("{\"n\":\"12.34\"}", true),
            ("{\"n\":\"123\"}", false),
            ("{\"n\":\"1.234\"}", false),
        ] {
            #expect((try bench.insert(row: row).json["insertErrors"] == nil) == isGood, "\(row)")
        }
    }
}
