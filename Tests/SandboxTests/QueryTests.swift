import JSONBytes
import Sandbox
import Testing

struct QueryTests {
    /// Three versions of two documents, as etlctl writes them.
    private func benchWithRows() throws -> Bench {
        let bench = try Bench()
        try bench.makeTable(
            "t", "_path STRING", "_updated_at TIMESTAMP", "_extracted_at TIMESTAMP", "_op STRING",
            "_insert_id STRING", "n INTEGER", "x FLOAT", "amount NUMERIC", "flag BOOLEAN", "day DATE",
            "tags STRING REPEATED")
        let rows = [
            (
                "a", "2026-01-01T00:00:00.000001Z", "upsert", "i1",
                "\"n\":1,\"x\":0.5,\"amount\":\"1.10\",\"flag\":true,\"day\":\"2026-01-31\",\"tags\":[\"u\",\"v\"]"
            ),
            ("a", "2026-01-02T12:30:00.5Z", "upsert", "i2", "\"n\":2,\"x\":\"NaN\",\"amount\":\"10\",\"flag\":false"),
            ("b", "2026-01-03T00:00:00Z", "delete", "i3", "\"n\":null"),
        ]
        for (path, time, op, id, rest) in rows {
            let reply = try bench.insert(
                row: """
                    {"_path":"\(path)","_updated_at":"\(time)","_extracted_at":"\(time)","_op":"\(op)","_insert_id":"\(id)",\(rest)}
                    """, id: id)
            #expect(reply.json["insertErrors"] == nil, "\(reply.text)")
        }
        return bench
    }

    /// The rows as arrays of cells.
    private func cells(_ reply: PlainClient.Reply) -> [[JSONValue]] {
        (reply.json["rows"]?.arrayValue ?? []).map { row in
            (row["f"]?.arrayValue ?? []).map { $0["v"] ?? .null }
        }
    }

    struct Example: CustomStringConvertible, Sendable {
        var sql: String
        var expected: [[JSONValue]]
        var types: [String]?

        var description: String { sql }
    }

    static let examples: [Example] = [
        Example(sql: "SELECT s.n FROM (SELECT n, _path FROM d.t) s WHERE s.n > 1", expected: [["2"]]),
        Example(sql: "SELECT COUNT(*) FROM (SELECT DISTINCT _path FROM d.t) AS x", expected: [["2"]]),
        Example(
            sql:
                "SELECT _path, COUNT(DISTINCT _insert_id) AS c FROM d.t GROUP BY 1 HAVING c > 1 ORDER BY COUNT(*) DESC",
            expected: [["a", "2"]]),
        Example(
            sql: "SELECT a._path, b.n FROM d.t a LEFT JOIN d.t AS b ON a._path = b._path AND b.n = 2 WHERE a.n IS NULL",
            expected: [["b", nil]]),
        Example(
            sql: "SELECT n FROM d.t AS o WHERE EXISTS (SELECT 1 FROM d.t i WHERE i._path = o._path AND i.n > o.n)",
            expected: [["1"]]),
        Example(sql: "SELECT n FROM d.t WHERE n NOT IN (1, 7) AND NOT (flag IS TRUE)", expected: [["2"]]),
        Example(
            sql: "SELECT _insert_id FROM d.t WHERE n > 1 OR (n = 1 AND _path >= 'a') ORDER BY n, _path LIMIT 1000",
            expected: [["i1"], ["i2"]]),
        Example(sql: "SELECT (SELECT MAX(n) FROM d.t) - 1 AS y, 'it\\'s' || \"x\" FROM d.t LIMIT 0", expected: []),
        Example(
            sql: "SELECT LAG(n) OVER (ORDER BY _extracted_at) FROM d.t ORDER BY _extracted_at",
            expected: [[nil], ["1"], ["2"]], types: ["INTEGER"]),
        Example(
            sql:
                "SELECT TIMESTAMP_DIFF(MAX(_updated_at), MIN(_updated_at), HOUR), EXTRACT(YEAR FROM MIN(day)) FROM d.t",
            expected: [["47", "2026"]]),
        Example(
            sql: "SELECT t.* EXCEPT (tags, x) REPLACE (n * 10 AS n) FROM d.t WHERE n = 1",
            expected: [
                [
                    "a", "1767225600000001", "1767225600000001", "upsert", "i1", "10", "1.1", "true", "2026-01-31",
                ]
            ]),
        Example(sql: "SELECT COUNT(*) FROM d.t", expected: [["3"]], types: ["INTEGER"]),
        Example(sql: "SELECT COUNT(*) AS n FROM `p.d.t` WHERE n IS NULL", expected: [["1"]]),
        Example(sql: "SELECT COUNTIF(n IS NULL), COUNT(n), SUM(n) FROM d.t", expected: [["1", "2", "3"]]),
        Example(
            sql: "SELECT _path, COUNT(*) AS c FROM `p`.`d`.`t` GROUP BY _path ORDER BY c DESC, 1",
            expected: [["a", "2"], ["b", "1"]]),
        Example(
            sql: "SELECT MAX(_updated_at) FROM d.t", expected: [["1767398400000000"]], types: ["TIMESTAMP"]),
        Example(
            sql:
                "SELECT n FROM d.t WHERE _updated_at >= '2026-01-02' AND _updated_at < TIMESTAMP '2026-01-03 00:00:00+00'",
            expected: [["2"]]),
        Example(
            sql: "SELECT n FROM d.t WHERE _updated_at BETWEEN TIMESTAMP('2026-01-01') AND '2026-01-02 00:00:00 UTC'",
            expected: [["1"]]),
        Example(
            sql: "SELECT DATE(_extracted_at) AS day, COUNT(*) FROM d.t GROUP BY day ORDER BY day LIMIT 2 OFFSET 1",
            expected: [["2026-01-02", "1"], ["2026-01-03", "1"]], types: ["DATE", "INTEGER"]),
        Example(
            sql: "SELECT TIMESTAMP_TRUNC(_updated_at, DAY) FROM d.t WHERE n = 2", expected: [["1767312000000000"]],
            types: ["TIMESTAMP"]),
        Example(
            sql: """
                SELECT * EXCEPT (rn, tags, x, _insert_id) FROM (
                  SELECT *, ROW_NUMBER() OVER (PARTITION BY _path ORDER BY _updated_at DESC, _extracted_at DESC) AS rn
                  FROM `p.d.t`) WHERE rn = 1 AND _op != 'delete'
                """,
            expected: [
                ["a", "1767357000500000", "1767357000500000", "upsert", "2", "10", "false", nil]
            ]),
        Example(
            sql: """
                SELECT _path, n FROM d.t WHERE TRUE
                QUALIFY ROW_NUMBER() OVER (PARTITION BY _path ORDER BY _updated_at DESC) = 1 ORDER BY _path DESC
                """,
            expected: [["b", nil], ["a", "2"]]),
        Example(sql: "SELECT x FROM d.t WHERE n = 2", expected: [["NaN"]], types: ["FLOAT"]),
        Example(sql: "SELECT amount FROM d.t WHERE amount > 2", expected: [["10"]], types: ["NUMERIC"]),
        Example(sql: "SELECT MAX(amount), SUM(amount) FROM d.t", expected: [["10", "11.1"]]),
        Example(sql: "SELECT flag FROM d.t WHERE NOT flag", expected: [["false"]], types: ["BOOLEAN"]),
        Example(sql: "SELECT tags FROM d.t WHERE n = 1", expected: [[[["v": "u"], ["v": "v"]]]]),
        Example(sql: "SELECT tag FROM d.t, UNNEST(tags) AS tag ORDER BY tag DESC", expected: [["v"], ["u"]]),
        Example(
            sql: "SELECT IF(n > 1, 'big', 'small'), COALESCE(n, 0) FROM d.t ORDER BY n",
            expected: [["small", "0"], ["small", "1"], ["big", "2"]]),
        Example(
            sql: "WITH v AS (SELECT n FROM d.t WHERE n IS NOT NULL) SELECT n + 1 FROM v UNION ALL SELECT 7 ORDER BY 1",
            expected: [["2"], ["3"], ["7"]]),
        Example(
            sql: "SELECT a.n FROM d.t AS a JOIN d.t AS b ON a._path = b._path AND a.n < b.n", expected: [["1"]]),
        Example(sql: "SELECT DATE_ADD(day, INTERVAL 1 MONTH) FROM d.t WHERE n = 1", expected: [["2026-02-28"]]),
        Example(sql: "SELECT CAST(n AS STRING) || '!' FROM d.t WHERE n = 2", expected: [["2!"]], types: ["STRING"]),
        Example(sql: "SELECT UNIX_MICROS(_updated_at) FROM d.t WHERE n = 1", expected: [["1767225600000001"]]),
        Example(sql: "SELECT JSON_VALUE('{\"a\":{\"b\":1}}', '$.a.b')", expected: [["1"]]),
        Example(
            sql: "SELECT CASE _op WHEN 'delete' THEN 1 ELSE 0 END FROM d.t WHERE _path LIKE 'b%'", expected: [["1"]]),
        Example(
            sql: "SELECT _path FROM d.t WHERE _path IN (SELECT _path FROM d.t WHERE _op = 'delete')",
            expected: [["b"]]),
    ]

    @Test func `queries give what BigQuery gives`() throws {
        let bench = try benchWithRows()
        for example in Self.examples {
            let reply = try bench.query(
                example.sql, [JSONMember("formatOptions", ["useInt64Timestamp": true])])
            #expect(reply.status == 200, "\(example.sql): \(reply.text)")
            #expect(cells(reply) == example.expected, "\(example.sql)")
            if let types = example.types {
                let found = reply.json["schema"]?["fields"]?.arrayValue?.map { $0["type"]?.stringValue ?? "" }
                #expect(found == types, "\(example.sql)")
            }
        }
    }

    @Test func `rows are found by their insert ids given as a parameter`() throws {
        let bench = try benchWithRows()
        let reply = try bench.query(
            """
            SELECT _insert_id FROM `p.d.t` WHERE _insert_id IN UNNEST(@ids) AND _extracted_at BETWEEN @low AND @high
            """,
            [
                JSONMember("parameterMode", "NAMED"),
                JSONMember(
                    "queryParameters",
                    [
                        [
                            "name": "ids", "parameterType": ["type": "ARRAY", "arrayType": ["type": "STRING"]],
                            "parameterValue": ["arrayValues": [["value": "i1"], ["value": "i3"], ["value": "none"]]],
                        ],
                        [
                            "name": "low", "parameterType": ["type": "TIMESTAMP"],
                            "parameterValue": ["value": "2026-01-01T00:00:00Z"],
                        ],
                        [
                            "name": "high", "parameterType": ["type": "TIMESTAMP"],
                            "parameterValue": ["value": "2026-01-02 00:00:00+00:00"],
                        ],
                    ]),
            ])
        #expect(cells(reply) == [["i1"]], "\(reply.text)")
    }

    struct Refusal: Sendable {
        var sql: String
        var status = 400
        var message: String
    }

    static let refusals: [Refusal] = [
        Refusal(sql: "SELECT nope FROM d.t", message: "Unrecognized name: nope at [1:8]"),
        Refusal(
            sql: "SELECT 1 FROM d.missing", status: 404,
            message: "Not found: Table p:d.missing was not found in location US"),
        Refusal(sql: "SELECT 1 FROM t", message: "Table \"t\" must be qualified with a dataset (e.g. dataset.table)."),
        Refusal(
            sql: "SELECT 1 FROM d.t WHERE n = 'x'",
            message: "No matching signature for operator = for argument types: INT64, STRING at [1:27]"),
        Refusal(
            sql: "SELECT _path, COUNT(*) FROM d.t",
            message: "SELECT list expression references column _path which is neither grouped nor aggregated at [1:8]"),
        Refusal(sql: "SELECT 1 WHERE", message: "Syntax error: Unexpected end of script at [1:15]"),
        Refusal(sql: "SELECT FOO(1)", message: "Function not found: FOO at [1:8]"),
        Refusal(sql: "SELECT @x", message: "Query parameter 'x' not found at [1:8]"),
        Refusal(
            sql: "DELETE FROM d.t WHERE TRUE",
            message: "The sandbox runs only queries (SELECT and WITH), not DELETE statements, at [1:1]"),
        Refusal(sql: "SELECT 1/0", message: "division by zero: 1 / 0"),
    ]

    @Test func `queries that BigQuery refuses are refused with the reason`() throws {
        let bench = try benchWithRows()
        for refusal in Self.refusals {
            let reply = try bench.query(refusal.sql)
            #expect(reply.status == refusal.status, "\(refusal.sql): \(reply.text)")
            #expect(reply.message == refusal.message, "\(refusal.sql)")
            #expect(reply.reason == (refusal.status == 404 ? "notFound" : "invalidQuery"))
        }
    }

    @Test func `a query that is nested or chained without end is refused, a long list is not`() throws {
        let bench = try benchWithRows()
        let deep = String(repeating: "(", count: 2000) + "1" + String(repeating: ")", count: 2000)
        #expect(try bench.query("SELECT \(deep)").message?.hasPrefix("The query is nested too deeply") == true)
        let chain = Array(repeating: "TRUE", count: 2000).joined(separator: " AND ")
        #expect(try bench.query("SELECT \(chain)").message?.hasPrefix("The expression is too long") == true)
        let list = (0..<3000).map { "'\($0)'" }.joined(separator: ", ")
        #expect(cells(try bench.query("SELECT COUNT(*) FROM d.t WHERE _path IN ('a', \(list))")) == [["2"]])
    }

    @Test func `a query is legacy SQL unless it says otherwise`() throws {
        let bench = try benchWithRows()
        let reply = try bench.client.send("POST", bench.base + "/queries", ["query": "SELECT n FROM `p.d.t`"])
        #expect(reply.status == 400)
        #expect(reply.reason == "invalidQuery")
        #expect(reply.message?.hasPrefix("Invalid table name: `p.d.t` [Try using standard SQL") == true)
    }

    @Test func `results are paged by token`() throws {
        let bench = try benchWithRows()
        let first = try bench.query("SELECT _insert_id FROM d.t ORDER BY 1", [JSONMember("maxResults", 2)])
        #expect(cells(first) == [["i1"], ["i2"]])
        #expect(first.json["totalRows"] == "3")
        let token = try #require(first.json["pageToken"]?.stringValue)
        let job = try #require(first.json["jobReference"]?["jobId"]?.stringValue)
        let second = try bench.client.send("GET", bench.base + "/queries/\(job)?pageToken=\(token)&location=US")
        #expect(cells(second) == [["i3"]])
        #expect(second.json["pageToken"] == nil)
        #expect(second.json["kind"] == "bigquery#getQueryResultsResponse")
    }

    @Test func `a dry run tells the bytes and returns no rows`() throws {
        let bench = try benchWithRows()
        let reply = try bench.query("SELECT * FROM d.t", [JSONMember("dryRun", true)])
        #expect(reply.json["rows"] == nil)
        #expect(reply.json["totalBytesProcessed"] == "1500")
    }

    @Test func `a view is expanded when it is queried and shows the schema of its query`() throws {
        let bench = try benchWithRows()
        let created = try bench.client.send(
            "POST", bench.base + "/datasets/d/tables",
            [
                "tableReference": ["projectId": "p", "datasetId": "d", "tableId": "t_latest"],
                "view": [
                    "query": """
                    SELECT * FROM `p.d.t` WHERE TRUE
                    QUALIFY ROW_NUMBER() OVER (PARTITION BY _path ORDER BY _updated_at DESC) = 1
                    """, "useLegacySql": false,
                ],
            ])
        #expect(created.status == 200, "\(created.text)")
        #expect(created.json["type"] == "VIEW")
        #expect(created.json["schema"]?["fields"]?.arrayValue?.count == 11)
        #expect(
            cells(try bench.query("SELECT _path, _insert_id FROM d.t_latest ORDER BY 1")) == [
                ["a", "i2"], ["b", "i3"],
            ])
        let insert = try bench.insert(row: "{\"n\":1}", into: "t_latest")
        #expect(insert.status == 400)
    }

    @Test func `views and queries are read in process in the forms of rows`() throws {
        let bench = try benchWithRows()
        let rows = try bench.state.query("SELECT n, _updated_at, flag FROM d.t WHERE n = 1", project: "p")
        #expect(rows == [["n": 1, "_updated_at": "2026-01-01T00:00:00.000001Z", "flag": true]])
        #expect(throws: (any Error).self) { try bench.state.query("SELECT nope FROM d.t", project: "p") }
    }

    @Test func `a table that asks for a filter over its partitions gets one`() throws {
        let bench = try Bench()
        try bench.makeTable(
            "q", "at TIMESTAMP",
            members: [
                JSONMember("timePartitioning", ["type": "DAY", "field": "at"]),
                JSONMember("requirePartitionFilter", true),
            ])
        #expect(try bench.query("SELECT COUNT(*) FROM d.q WHERE at > '2026-01-01'").status == 200)
        #expect(
            try bench.query("SELECT COUNT(*) FROM d.q").message
                == "Cannot query over table 'p.d.q' without a filter over column(s) 'at' that can be used for partition elimination"
        )
    }

    @Test func `a reply is compressed for clients that ask for it in both headers`() throws {
        let bench = try benchWithRows()
        let path = bench.base + "/datasets/d/tables/t"
        let plain = try bench.client.send("GET", path, [], headers: ["Accept-Encoding": "gzip"])
        #expect(plain.headers["content-encoding"] == nil)
        let reply = try bench.client.send(
            "GET", path, [], headers: ["Accept-Encoding": "gzip", "User-Agent": "tool (gzip)"])
        #expect(reply.headers["content-encoding"] == "gzip")
        #expect(reply.body.starts(with: [0x1F, 0x8B]))
        #expect(reply.isComplete)
    }

    @Test func `microseconds survive with integer timestamps and seconds are floats without`() throws {
        let bench = try benchWithRows()
        let sql = "SELECT _updated_at FROM d.t WHERE n = 2"
        #expect(cells(try bench.query(sql)) == [["1.7673570005E9"]])
        let exact = try bench.query(sql, [JSONMember("formatOptions", ["useInt64Timestamp": true])])
        #expect(cells(exact) == [["1767357000500000"]])
    }
}
