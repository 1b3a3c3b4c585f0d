import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

struct InsertAllTests {
    @Test func `rows are stored in order and a success reply names no errors`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "id INTEGER REQUIRED", "name STRING")
        let reply = try bench.insert([
            "kind": "bigquery#tableDataInsertAllRequest", "traceId": "trace",
            "rows": [
                ["insertId": "a", "json": ["id": 1, "name": "x"]], ["insertId": "b", "json": ["id": "2"]],
            ],
        ])
        #expect(reply.status == 200)
        #expect(reply.headers["content-type"] == "application/json; charset=UTF-8")
        #expect(reply.text == "{\"kind\":\"bigquery#tableDataInsertAllResponse\"}")
        #expect(try bench.state.rows(of: "d.t") == [["id": 1, "name": "x"], ["id": 2, "name": nil]])
        #expect(try bench.state.insertIDs(of: "p.d.t") == ["a", "b"])
    }

    @Test func `one bad row keeps the others out as stopped`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "age INTEGER")
        let reply = try bench.insert(["rows": [["json": ["agee": 1]], ["json": ["age": 2]]]])
        // The golden shape of protocols B.1.
        #expect(
            reply.text == """
                {"kind":"bigquery#tableDataInsertAllResponse","insertErrors":[\
                {"index":0,"errors":[{"reason":"invalid","location":"agee","debugInfo":"","message":"no such field: agee."}]},\
                {"index":1,"errors":[{"reason":"stopped","location":"","debugInfo":"","message":""}]}]}
                """)
        #expect(try bench.state.rowCount(of: "d.t") == 0)
    }

    @Test func `with skipInvalidRows only the bad rows are listed, each with all its errors`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "id INTEGER REQUIRED", "s STRING")
        // The flag comes after the rows that it is about.
        let reply = try bench.insert([
            "rows": [["json": ["id": 1]], ["json": ["s": 5, "x": 1]], ["json": ["id": 3]]], "skipInvalidRows": true,
        ])
        let errors = try #require(reply.json["insertErrors"]?.arrayValue)
        #expect(errors.map { $0["index"] } == [1])
        let messages = errors[0]["errors"]?.arrayValue?.compactMap { $0["message"]?.stringValue }
        #expect(
            messages == [
                "Cannot convert value to string (bad value): 5", "no such field: x.", "Missing required field: id.",
            ])
        #expect(try bench.state.rows(of: "t").map { $0["id"] } == [1, 3])
    }

    @Test func `unknown fields are dropped only on request`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "id INTEGER")
        let reply = try bench.insert(["rows": [["json": ["id": 1, "x": [1, 2]]]], "ignoreUnknownValues": true])
        #expect(reply.json["insertErrors"] == nil)
        #expect(try bench.state.rows(of: "t") == [["id": 1]])
    }

    @Test func `columns are matched in any case and given once`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "Id INTEGER")
        #expect(try bench.insert(row: "{\"iD\":1}").json["insertErrors"] == nil)
        #expect(try bench.insert(row: "{\"id\":1,\"Id\":2}").json["insertErrors"] != nil)
        #expect(try bench.state.rows(of: "t") == [["Id": 1]])
    }

    struct Refusal: Sendable {
        var body: String
        var status = 400
        var reason: String
        var message: String
    }

    static let refusals: [Refusal] = [
        Refusal(body: "{\"rows\":[]}", reason: "invalid", message: "No rows present in the request."),
        Refusal(body: "{}", reason: "invalid", message: "No rows present in the request."),
        Refusal(
            body: "{\"rows\":[{\"json\":{}}],\"foo\":1}", reason: "badRequest",
            message: "Invalid JSON payload received. Unknown name \"foo\": Cannot find field."),
        Refusal(
            body: "{\"rows\":[{\"json\":{},\"id\":\"x\"}]}", reason: "badRequest",
            message: "Invalid JSON payload received. Unknown name \"id\" at 'rows[0]': Cannot find field."),
        Refusal(
            body: "{\"rows\":[{\"json\":{\"id\":1}}", reason: "parseError",
            message: "Invalid JSON payload received. the JSON ends in the middle of a value at byte 26"),
        Refusal(
            body: "{\"rows\":[{\"json\":{\"id\":NaN}}]}", reason: "parseError",
            message: "Invalid JSON payload received. malformed number at byte 23"),
        Refusal(
            body: "{\"rows\":[{\"json\":{\"id\":\"\u{1}\"}}]}", reason: "parseError",
            message: "Invalid JSON payload received. raw control character inside a string at byte 24"),
        Refusal(
            body: "{\"rows\":[{\"json\":{}},{\"json\":{}},{\"json\":{}},{\"json\":{}}]}", reason: "invalid",
            message: "too many rows present in the request, limit: 3 row count: 4."),
        Refusal(body: "{\"rows\":[{\"insertId\":\"x\"}]}", reason: "invalid", message: "Row 0 has no json."),
        Refusal(
            body: "{\"rows\":[{\"insertId\":5,\"json\":{}}]}", reason: "badRequest",
            message: "Invalid value at 'rows[0].insertId' (TYPE_STRING)"),
    ]

    @Test func `a malformed request fails as a whole in the shape of Google's errors`() throws {
        let bench = try Bench { $0.maximumRowsPerRequest = 3 }
        try bench.makeTable("t", "id INTEGER")
        for refusal in Self.refusals {
            let reply = try bench.client.send(
                "POST", bench.base + "/datasets/d/tables/t/insertAll", Array(refusal.body.utf8))
            #expect(reply.status == refusal.status)
            #expect(
                reply.json == [
                    "error": [
                        "code": 400, "message": .string(refusal.message),
                        "errors": [
                            [
                                "message": .string(refusal.message), "domain": "global",
                                "reason": .string(refusal.reason),
                            ]
                        ],
                        "status": "INVALID_ARGUMENT",
                    ]
                ], "\(refusal.body): \(reply.text)")
        }
        #expect(try bench.state.rowCount(of: "t") == 0)
    }

    @Test func `a missing dataset or table is a 404 that names it`() throws {
        let bench = try Bench()
        let table = try bench.insert(row: "{}")
        #expect(table.status == 404)
        #expect(table.reason == "notFound")
        #expect(table.message == "Table p:d.t not found.")
        let dataset = try bench.client.send(
            "POST", bench.base + "/datasets/none/tables/t/insertAll", ["rows": [["json": [:]]]])
        #expect(dataset.message == "Not found: Dataset p:none")
    }

    // MARK: Limits

    @Test func `a body beyond the limit is a 400, far beyond it a 413 in HTML`() throws {
        let bench = try Bench {
            $0.maximumRequestBytes = 1000
            $0.maximumFrontEndBytes = 2000
        }
        try bench.makeTable("t", "s STRING")
        let filler = { (count: Int) in "{\"s\":\"" + String(repeating: "x", count: count) + "\"}" }
        #expect(try bench.insert(row: filler(900)).status == 200)
        let large = try bench.insert(row: filler(1000))
        #expect(large.status == 400)
        #expect(large.reason == "badRequest")
        #expect(large.message == "Request payload size exceeds the limit: 1000 bytes.")
        let larger = try bench.insert(row: filler(2500))
        #expect(larger.status == 413)
        #expect(larger.headers["content-type"] == "text/html; charset=UTF-8")
        #expect(larger.json.isNull)
        #expect(try bench.state.rowCount(of: "t") == 1)
    }

    @Test func `a row beyond its limit and an insertId beyond 128 characters are refused as rows`() throws {
        let bench = try Bench { $0.maximumRowBytes = 100 }
        try bench.makeTable("t", "s STRING")
        let reply = try bench.insert([
            "skipInvalidRows": true,
            "rows": [
                ["json": ["s": .string(String(repeating: "x", count: 100))]],
                ["insertId": .string(String(repeating: "é", count: 128)), "json": ["s": "a"]],
                ["insertId": .string(String(repeating: "x", count: 129)), "json": ["s": "b"]],
            ],
        ])
        #expect(reply.json["insertErrors"]?.arrayValue?.map { $0["index"] } == [0, 2])
        #expect(
            reply.json["insertErrors"]?.arrayValue?.first?["errors"]?.arrayValue?.first?["message"]
                == "Maximum allowed row size exceeded. Allowed: 100 Row size: 108")
        #expect(try bench.state.rows(of: "t") == [["s": "a"]])
    }

    @Test func `a gzip body counts with its decoded size`() throws {
        let bench = try Bench { $0.maximumRequestBytes = 1000 }
        try bench.makeTable("t", "s STRING")
        let small = try Self.gzip("{\"rows\":[{\"json\":{\"s\":\"a\"}}]}")
        let path = bench.base + "/datasets/d/tables/t/insertAll"
        #expect(try bench.client.send("POST", path, small, headers: ["Content-Encoding": "gzip"]).status == 200)
        let large = try Self.gzip("{\"rows\":[{\"json\":{\"s\":\"\(String(repeating: "x", count: 2000))\"}}]}")
        #expect(large.count < 1000)
        let reply = try bench.client.send("POST", path, large, headers: ["Content-Encoding": "gzip"])
        #expect(reply.message == "Request payload size exceeds the limit: 1000 bytes.")
        let cut = try bench.client.send(
            "POST", path, Array(small.dropLast(9)), headers: ["Content-Encoding": "gzip"])
        #expect(cut.status == 400)
        #expect(try bench.state.rows(of: "t") == [["s": "a"]])
        let logged = bench.state.requests.first { $0.operation == .insertAll }
        #expect(logged?.wireBytes == small.count)
        #expect(logged?.bodyBytes == 29)
    }

    private static func gzip(_ text: String) throws -> [UInt8] {
        Array(try ChildProcess.output(of: ["gzip", "-c"], input: Data(text.utf8)))
    }

    // MARK: Partitions

    @Test func `rows outside of the streaming range of a partitioned table are refused`() throws {
        let bench = try Bench { $0.clock = { 1_800_000_000_000_000 } }
        try bench.makeTable(
            "t", "at TIMESTAMP", members: [JSONMember("timePartitioning", ["type": "DAY", "field": "at"])])
        for (time, isGood) in [
            ("2027-01-15T00:00:00Z", true), ("2017-01-20T00:00:00Z", true), ("2016-12-31T00:00:00Z", false),
            ("2028-01-10T00:00:00Z", true), ("2028-02-01T00:00:00Z", false),
        ] {
            let reply = try bench.insert(row: "{\"at\":\"\(time)\"}")
            #expect((reply.json["insertErrors"] == nil) == isGood, "\(time): \(reply.text)")
        }
    }

    // MARK: De-duplication

    @Test func `an insertId counts once within the window and again after it`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "n INTEGER")
        _ = try bench.insert(row: "{\"n\":1}", id: "same")
        #expect(try bench.insert(row: "{\"n\":2}", id: "same").json["insertErrors"] == nil)
        #expect(try bench.state.rows(of: "t") == [["n": 1]])
        bench.state.advanceClock(by: .seconds(59))
        _ = try bench.insert(row: "{\"n\":3}", id: "same")
        #expect(try bench.state.rowCount(of: "t") == 1)
        // The window is counted from the row that was stored.
        bench.state.advanceClock(by: .seconds(2))
        _ = try bench.insert(row: "{\"n\":4}", id: "same")
        #expect(try bench.state.rows(of: "t") == [["n": 1], ["n": 4]])
        #expect(bench.state.requests.map(\.duplicateRows) == [0, 0, 0, 1, 1, 0])
    }

    @Test func `requests at the same time store every id once`() async throws {
        let bench = try Bench()
        try bench.makeTable("t", "n INTEGER")
        let client = bench.client
        let path = bench.base + "/datasets/d/tables/t/insertAll"
        let rows = (0..<100).map { number -> JSONValue in
            ["insertId": .string("id\(number)"), "json": ["n": .number("\(number)")]]
        }
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<12 { group.addTask { try client.send("POST", path, ["rows": .array(rows)]).status } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses == Array(repeating: 200, count: 12))
        #expect(Set(try bench.state.insertIDs(of: "t")).count == 100)
        #expect(try bench.state.rowCount(of: "t") == 100)
        #expect(bench.state.requestsInFlight == 0)
    }

    @Test func `rows without an insertId and rows of other tables are never duplicates`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "n INTEGER")
        try bench.makeTable("u", "n INTEGER")
        _ = try bench.insert(row: "{\"n\":1}")
        _ = try bench.insert(row: "{\"n\":1}")
        _ = try bench.insert(row: "{\"n\":1}", id: "a")
        _ = try bench.insert(row: "{\"n\":1}", id: "a", into: "u")
        #expect(try bench.state.rowCount(of: "d.t") == 3)
        #expect(try bench.state.rowCount(of: "d.u") == 1)
    }

    @Test func `the window can be turned off`() throws {
        let bench = try Bench { $0.dedupeWindow = .zero }
        try bench.makeTable("t", "n INTEGER")
        _ = try bench.insert(row: "{\"n\":1}", id: "a")
        _ = try bench.insert(row: "{\"n\":1}", id: "a")
        #expect(try bench.state.rowCount(of: "t") == 2)
    }
}
