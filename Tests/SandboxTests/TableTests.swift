import Foundation
import JSONBytes
import Sandbox
import Testing

struct TableTests {
    @Test func `a table is returned as it was made, with the legacy names of its types`() throws {
        let bench = try Bench { $0.clock = { 1_800_000_000_123_456 } }
        let reply = try bench.makeTable(
            "t", "id INT64 REQUIRED", "x FLOAT64", "ok BOOL", "at TIMESTAMP",
            members: [
                JSONMember("timePartitioning", ["type": "DAY", "field": "at"]),
                JSONMember("clustering", ["fields": ["id"]]), JSONMember("labels", ["tool": "etlctl"]),
                JSONMember("description", "d"),
            ])
        #expect(reply.status == 200, "\(reply.text)")
        let table = try bench.table()
        #expect(table["kind"] == "bigquery#table")
        #expect(table["id"] == "p:d.t")
        #expect(table["tableReference"] == ["projectId": "p", "datasetId": "d", "tableId": "t"])
        #expect(
            table["schema"] == Bench.schema(["id INTEGER REQUIRED", "x FLOAT", "ok BOOLEAN", "at TIMESTAMP"]))
        #expect(table["creationTime"] == "1800000000123")
        #expect(table["lastModifiedTime"] == "1800000000123")
        #expect(table["type"] == "TABLE")
        #expect(table["location"] == "US")
        #expect(table["numRows"] == "0")
        #expect(table["timePartitioning"] == ["type": "DAY", "field": "at"])
        #expect(table["clustering"] == ["fields": ["id"]])
        #expect(table["labels"] == ["tool": "etlctl"])
        #expect(table["etag"] == reply.json["etag"])
        let basic = try bench.client.send("GET", bench.base + "/datasets/d/tables/t?view=BASIC").json
        #expect(basic["numRows"] == nil)
        #expect(basic["schema"] == table["schema"])
    }

    @Test func `what exists is a 409 and what does not is a 404, in Google's words`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "a STRING")
        let again = try bench.makeTable("t", "a STRING")
        #expect(again.status == 409)
        #expect(again.reason == "duplicate")
        #expect(again.message == "Already Exists: Table p:d.t")
        #expect(again.json["error"]?["status"] == "ALREADY_EXISTS")
        let missing = try bench.client.send("GET", bench.base + "/datasets/d/tables/none")
        // The golden body of protocols B.4.
        #expect(
            missing.text == """
                {"error":{"code":404,"message":"Not found: Table p:d.none","errors":[{"message":"Not found: Table p:d.none",\
                "domain":"global","reason":"notFound"}],"status":"NOT_FOUND"}}
                """)
        let dataset = try bench.client.send(
            "POST", bench.base + "/datasets", ["datasetReference": ["projectId": "p", "datasetId": "d"]])
        #expect(dataset.message == "Already Exists: Dataset p:d")
        #expect(try bench.client.send("GET", bench.base + "/datasets/none").message == "Not found: Dataset p:none")
        #expect(try bench.client.send("DELETE", bench.base + "/datasets/d").reason == "resourceInUse")
        #expect(try bench.client.send("DELETE", bench.base + "/datasets/d/tables/t").status == 204)
        #expect(try bench.client.send("DELETE", bench.base + "/datasets/d").status == 204)
    }

    struct Definition: Sendable {
        var columns: String
        var members = ""
        var message: String
    }

    static let refused: [Definition] = [
        Definition(
            columns: "{\"name\":\"a b\",\"type\":\"STRING\"}",
            message:
                "Invalid field name \"a b\". Fields must contain only letters, numbers, and underscores, start with a letter or underscore, and be at most 300 characters long."
        ),
        Definition(
            columns: "{\"name\":\"a\",\"type\":\"STRING\"},{\"name\":\"A\",\"type\":\"STRING\"}",
            message: "Field A already exists in schema"),
        Definition(
            columns: "{\"name\":\"a\",\"type\":\"TEXT\"}",
            message: "Invalid value for type: TEXT is not a valid value"),
        Definition(
            columns: "{\"name\":\"a\",\"type\":\"RECORD\"}", message: "Field a is type RECORD but has no schema"),
        Definition(
            columns: "{\"name\":\"a\",\"type\":\"STRING\",\"lenght\":1}",
            message: "Invalid JSON payload received. Unknown name \"lenght\" at 'schema.fields[0]': Cannot find field."),
        Definition(
            columns: "{\"name\":\"a\",\"type\":\"STRING\"}",
            members: ",\"timePartitioning\":{\"type\":\"DAY\",\"field\":\"a\"}",
            message:
                "The field specified for time partitioning can only be of type TIMESTAMP, DATE or DATETIME. The type found is: STRING."
        ),
        Definition(
            columns: "{\"name\":\"a\",\"type\":\"FLOAT64\"}", members: ",\"clustering\":{\"fields\":[\"a\"]}",
            message: "Field a of type FLOAT is not allowed for clustering."),
        Definition(
            columns: "{\"name\":\"a\",\"type\":\"STRING\"}", members: ",\"clustering\":{\"fields\":[\"b\"]}",
            message: "The field specified for clustering cannot be found in the schema. Invalid field: b."),
        Definition(
            columns: "{\"name\":\"a\",\"type\":\"STRING\"}", members: ",\"partitioning\":{}",
            message: "Invalid JSON payload received. Unknown name \"partitioning\": Cannot find field."),
        Definition(
            columns: "{\"name\":\"a\",\"type\":\"STRING\"}", members: ",\"labels\":{\"Tool\":\"x\"}",
            message: "Invalid label: \"Tool\": \"x\""),
    ]

    @Test func `definitions that BigQuery does not take are refused`() throws {
        let bench = try Bench()
        for definition in Self.refused {
            let body =
                "{\"tableReference\":{\"projectId\":\"p\",\"datasetId\":\"d\",\"tableId\":\"t\"},\"schema\":{\"fields\":[\(definition.columns)]}\(definition.members)}"
            let reply = try bench.client.send("POST", bench.base + "/datasets/d/tables", Array(body.utf8))
            #expect(reply.status == 400, "\(body)")
            #expect(reply.message == definition.message)
        }
        for name in ["_TABLE_x", "_partitiontime", "_Change_Type", String(repeating: "x", count: 301), "1a", ""] {
            #expect(try bench.makeTable("t", "\(name.isEmpty ? "é" : name) STRING").status == 400, "\(name)")
        }
        for id in ["a$1", "a.b", String(repeating: "x", count: 1025)] {
            #expect(try bench.makeTable(id, "a STRING").status == 400, "\(id)")
        }
        #expect(bench.state.tables.isEmpty)
    }

    @Test func `a table has at most ten thousand columns and takes rows into all of them`() throws {
        let bench = try Bench()
        func columns(_ count: Int) -> JSONValue {
            ["fields": .array((0..<count).map { ["name": .string("c\($0)"), "type": "STRING"] })]
        }
        let reference: JSONValue = ["projectId": "p", "datasetId": "d", "tableId": "t"]
        let path = bench.base + "/datasets/d/tables"
        #expect(
            try bench.client.send("POST", path, ["tableReference": reference, "schema": columns(10_001)]).status == 400)
        #expect(
            try bench.client.send("POST", path, ["tableReference": reference, "schema": columns(10_000)]).status == 200)
        #expect(try bench.insert(row: "{\"c0\":\"a\",\"c9999\":\"z\"}").json["insertErrors"] == nil)
        let row = try #require(try bench.state.rows(of: "t").first)
        #expect(row["c0"] == "a")
        #expect(row["c9999"] == "z")
        #expect(row["c5000"]?.isNull == true)
        #expect(try bench.query("SELECT c0 FROM d.t").json["totalRows"] == "1")
    }

    // MARK: Changes

    private func patch(_ bench: Bench, _ body: JSONValue, etag: String? = nil) throws -> PlainClient.Reply {
        try bench.client.send(
            "PATCH", bench.base + "/datasets/d/tables/t", body.bytes, headers: etag.map { ["If-Match": $0] } ?? [:])
    }

    @Test func `columns are appended and rows go into them at once`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "a STRING REQUIRED")
        _ = try bench.insert(row: "{\"a\":\"x\"}")
        let etag = try #require(try bench.table()["etag"]?.stringValue)
        let reply = try patch(
            bench, ["schema": Bench.schema(["a STRING NULLABLE", "b INTEGER", "c STRING REPEATED"])], etag: etag)
        #expect(reply.status == 200, "\(reply.text)")
        #expect(reply.json["etag"]?.stringValue != etag)
        #expect(try bench.insert(row: "{\"b\":1,\"c\":[\"u\"]}").json["insertErrors"] == nil)
        #expect(
            try bench.state.rows(of: "t") == [["a": "x", "b": nil, "c": []], ["a": nil, "b": 1, "c": ["u"]]])
        let stale = try patch(bench, ["description": "x"], etag: etag)
        #expect(stale.status == 412)
        #expect(stale.reason == "conditionNotMet")
    }

    @Test func `other changes of a schema are refused with Google's message`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "a STRING", "b INTEGER REPEATED")
        let cases: [([String], String)] = [
            (["a STRING"], "Field b is missing in new schema"),
            (["a INTEGER", "b INTEGER REPEATED"], "Field a has changed type from STRING to INTEGER"),
            (["a STRING REQUIRED", "b INTEGER REPEATED"], "Field a has changed mode from NULLABLE to REQUIRED"),
            (["a STRING", "b INTEGER"], "Field b has changed mode from REPEATED to NULLABLE"),
            (
                ["a STRING", "b INTEGER REPEATED", "c STRING REQUIRED"],
                "Cannot add required fields to an existing schema. (field: c)"
            ),
            (
                ["a STRING", "c STRING", "b INTEGER REPEATED"],
                "Field b has changed its position: new columns must follow the existing ones"
            ),
        ]
        for (columns, message) in cases {
            let reply = try patch(bench, ["schema": Bench.schema(columns)])
            #expect(reply.status == 400)
            #expect(reply.reason == "invalid")
            #expect(reply.message == "Provided Schema does not match Table p:d.t. \(message)")
        }
    }

    @Test func `a patch replaces what it names and merges labels`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "a STRING", members: [JSONMember("labels", ["x": "1", "y": "2"])])
        _ = try patch(bench, ["description": "d", "labels": ["x": nil, "z": "3"]])
        let table = try bench.table()
        #expect(table["description"] == "d")
        #expect(table["labels"] == ["y": "2", "z": "3"])
        #expect(table["schema"] == Bench.schema(["a STRING"]))
        #expect(try patch(bench, ["timePartitioning": ["type": "DAY"]]).status == 400)
    }

    @Test func `a view's query can change`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "a STRING", "b INTEGER")
        let view = { (sql: String) -> JSONValue in
            [
                "tableReference": ["projectId": "p", "datasetId": "d", "tableId": "v"],
                "view": ["query": .string(sql), "useLegacySql": false],
            ]
        }
        let path = bench.base + "/datasets/d/tables"
        #expect(try bench.client.send("POST", path, view("SELECT a FROM d.none")).status == 404)
        #expect(try bench.client.send("POST", path, view("SELECT nope FROM d.t")).status == 400)
        #expect(try bench.client.send("POST", path, view("SELECT a FROM d.t")).status == 200)
        let changed = try bench.client.send(
            "PATCH", path + "/v", ["view": view("SELECT b FROM `p.d.t`")["view"] ?? .null])
        #expect(changed.json["schema"] == Bench.schema(["b INTEGER"]), "\(changed.text)")
        #expect(try bench.table("v")["view"]?["query"] == "SELECT b FROM `p.d.t`")
    }

    @Test func `too many changes of one table meet the quota if it is on`() throws {
        let bench = try Bench { $0.metadataUpdateLimit = 5 }
        try bench.makeTable("t", "a STRING")
        for number in 0..<5 { #expect(try patch(bench, ["description": .string("\(number)")]).status == 200) }
        let reply = try patch(bench, ["description": "x"])
        #expect(reply.status == 403)
        #expect(reply.reason == "rateLimitExceeded")
        bench.state.advanceClock(by: .seconds(11))
        #expect(try patch(bench, ["description": "x"]).status == 200)
    }

    // MARK: Listing and the streaming buffer

    @Test func `tables and rows are listed in pages`() throws {
        let bench = try Bench()
        for name in ["a", "b", "c"] { try bench.makeTable(name, "n INTEGER", "at TIMESTAMP") }
        let first = try bench.client.send("GET", bench.base + "/datasets/d/tables?maxResults=2").json
        #expect(first["tables"]?.arrayValue?.map { $0["id"] } == ["p:d.a", "p:d.b"])
        #expect(first["totalItems"] == 3)
        let token = try #require(first["nextPageToken"]?.stringValue)
        let second = try bench.client.send("GET", bench.base + "/datasets/d/tables?pageToken=\(token)").json
        #expect(second["tables"]?.arrayValue?.map { $0["id"] } == ["p:d.c"])
        for number in 0..<3 { _ = try bench.insert(row: "{\"n\":\(number),\"at\":\(number)}", into: "a") }
        let data = try bench.client.send(
            "GET", bench.base + "/datasets/d/tables/a/data?maxResults=2&formatOptions.useInt64Timestamp=true"
        ).json
        #expect(
            data["rows"] == [
                ["f": [["v": "0"], ["v": "0"]]], ["f": [["v": "1"], ["v": "1000000"]]],
            ])
        #expect(data["totalRows"] == "3")
        let next = try #require(data["pageToken"]?.stringValue)
        let last = try bench.client.send("GET", bench.base + "/datasets/d/tables/a/data?pageToken=\(next)").json
        #expect(last["rows"] == [["f": [["v": "2"], ["v": "2.0"]]]])
        #expect(last["pageToken"] == nil)
        let rest = try bench.client.send(
            "GET", bench.base + "/datasets/d/tables/a/data?selectedFields=at&startIndex=2"
        ).json
        #expect(rest["rows"] == [["f": [["v": "2.0"]]]])
        #expect(rest["pageToken"] == nil)
    }

    @Test func `rows in the streaming buffer are queried but neither listed nor counted`() throws {
        let bench = try Bench { $0.streamingBufferTime = .seconds(90) }
        try bench.makeTable("t", "n INTEGER")
        _ = try bench.insert(row: "{\"n\":1}")
        #expect(try bench.query("SELECT n FROM d.t").json["totalRows"] == "1")
        let path = bench.base + "/datasets/d/tables/t/data"
        #expect(try bench.client.send("GET", path).json["totalRows"] == "0")
        #expect(try bench.table()["numRows"] == "0")
        #expect(try bench.table()["streamingBuffer"]?["estimatedRows"] == "1")
        bench.state.advanceClock(by: .seconds(91))
        #expect(try bench.client.send("GET", path).json["totalRows"] == "1")
        #expect(try bench.table()["streamingBuffer"] == nil)
    }

    @Test func `projects outside of the list do not exist`() throws {
        let bench = try Bench { $0.projects = ["p"] }
        #expect(try bench.client.send("GET", "/bigquery/v2/projects/q/datasets").status == 404)
        #expect(try bench.client.send("GET", "/bigquery/v2/projects/p/datasets").status == 200)
    }

    // MARK: Persistence

    @Test func `data, definitions and the de-duplication window survive a restart`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sandbox-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let configure: (inout SandboxConfiguration) -> Void = { $0.dataFolder = folder.path }
        var etag: JSONValue?
        do {
            let bench = try Bench(configure)
            try bench.makeTable("t", "n INTEGER", members: [JSONMember("description", "kept")])
            _ = try bench.insert(row: "{\"n\":1}", id: "a")
            etag = try bench.table()["etag"]
            bench.server.stop()
        }
        let bench = try Bench(configure, hasDataset: false)
        #expect(bench.state.tables == ["p.d.t"])
        #expect(try bench.table()["etag"] == etag)
        #expect(try bench.table()["description"] == "kept")
        _ = try bench.insert(row: "{\"n\":2}", id: "a")
        _ = try bench.insert(row: "{\"n\":3}", id: "b")
        #expect(try bench.state.rows(of: "t") == [["n": 1], ["n": 3]])
    }

    @Test func `a deleted table that is made again is empty and new`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "n INTEGER")
        _ = try bench.insert(row: "{\"n\":1}", id: "a")
        let created = try bench.table()["creationTime"]
        _ = try bench.client.send("DELETE", bench.base + "/datasets/d/tables/t")
        bench.state.advanceClock(by: .seconds(1))
        try bench.makeTable("t", "n INTEGER")
        #expect(try bench.state.rowCount(of: "t") == 0)
        #expect(try bench.table()["creationTime"] != created)
        _ = try bench.insert(row: "{\"n\":1}", id: "a")
        #expect(try bench.state.rowCount(of: "t") == 1)
    }
}
