import JSONBytes
import Sandbox
import Testing

struct FaultTests {
    private func bench(_ specs: String..., configure: (inout SandboxConfiguration) -> Void = { _ in }) throws -> Bench {
        let bench = try Bench(configure)
        try bench.makeTable("t", "n INTEGER")
        bench.state.setFaults(try specs.map { try Fault(parsing: $0) })
        bench.state.clearRequests()
        return bench
    }

    private func stored(_ bench: Bench) throws -> Int { try bench.state.rowCount(of: "d.t") }

    @Test func `a status comes with its reason and nothing is stored`() throws {
        let bench = try bench("status=503,reason=backendError,on=insertAll,retry-after=2s")
        let reply = try bench.insert(row: "{\"n\":1}")
        #expect(reply.status == 503)
        #expect(reply.reason == "backendError")
        #expect(reply.headers["retry-after"] == "2")
        #expect(reply.json["error"]?["status"] == "UNAVAILABLE")
        #expect(try stored(bench) == 0)
        #expect(try bench.table()["id"] == "p:d.t")
        #expect(bench.state.requests.first?.faults == ["status=503,reason=backendError,on=insertAll,retry-after=2s"])
    }

    @Test func `a status after the rows were stored leaves them there`() throws {
        let bench = try bench("status=500,when=after")
        #expect(try bench.insert(row: "{\"n\":1}").reason == "internalError")
        #expect(try stored(bench) == 1)
    }

    @Test(arguments: [("accept-then-drop-reply", 1), ("drop-before-accept", 0), ("reset", 0), ("reset,when=after", 1)])
    func `a connection ends without a reply, before or after the rows were stored`(_ spec: String, _ rows: Int) throws {
        let bench = try bench(spec)
        let reply = try bench.insert(row: "{\"n\":1}")
        #expect(reply.raw.isEmpty)
        #expect(try stored(bench) == rows)
        #expect(bench.state.requests.first?.status == nil)
    }

    @Test func `a reply is cut in its body`() throws {
        let bench = try bench("truncate,times=1")
        let reply = try bench.insert(row: "{\"n\":1}")
        #expect(reply.status == 200)
        #expect(!reply.isComplete)
        #expect(reply.body.count == 23)
        #expect(try stored(bench) == 1)
        #expect(try bench.insert(row: "{\"n\":2}").isComplete)
    }

    @Test func `garbage is no JSON, and raw garbage no HTTP`() throws {
        let bench = try bench("garbage,times=1", "raw-garbage,times=1")
        let first = try bench.insert(row: "{\"n\":1}")
        #expect(first.status == 200)
        #expect(first.json.isNull)
        #expect(try stored(bench) == 1)
        let second = try bench.insert(row: "{\"n\":2}")
        #expect(second.status == 0)
        #expect(!second.raw.isEmpty)
        #expect(try bench.insert(row: "{\"n\":3}").status == 200)
        #expect(try stored(bench) == 2)
    }

    @Test func `an error page is HTML`() throws {
        let bench = try bench("html=413")
        let reply = try bench.insert(row: "{\"n\":1}")
        #expect(reply.status == 413)
        #expect(reply.text.hasPrefix("<html"))
    }

    @Test func `a large upload is cut while it is sent`() throws {
        let bench = try bench("cut-upload=200KiB")
        let row = "{\"n\":\"\(String(repeating: "1", count: 400_000))\"}"
        #expect(try bench.insert(row: row).raw.isEmpty)
        #expect(bench.state.requests.map(\.faults) == [["cut-upload"]])
        #expect(try bench.insert(row: "{\"n\":1}").status == 200)
    }

    @Test func `a stall delays the reply`() throws {
        let bench = try bench("stall=30ms")
        let clock = ContinuousClock()
        let time = try clock.measure { _ = try bench.insert(row: "{\"n\":1}") }
        #expect(time >= .milliseconds(30))
        #expect(try stored(bench) == 1)
    }

    @Test func `a stop ends a stalled reply and idle connections`() async throws {
        let bench = try bench("stall=1h")
        let client = bench.client
        let path = bench.base + "/datasets/d/tables/t/insertAll"
        let idle = try client.connect()
        defer { client.close(idle) }
        let reply = try await withThrowingTaskGroup(of: PlainClient.Reply.self) { group in
            group.addTask { try client.send("POST", path, ["rows": [["json": ["n": 1]]]]) }
            for _ in 0..<10_000 where bench.state.requestsInFlight == 0 { try await Task.sleep(for: .milliseconds(1)) }
            #expect(bench.state.requestsInFlight == 1)
            bench.server.stop()
            return try await group.next()
        }
        // The reply may or may not get out, but the stop came back and the row's fate is known.
        #expect(reply != nil)
        #expect(bench.state.requestsInFlight == 0)
    }

    @Test func `a sandbox that comes back has its port and its rows`() throws {
        let bench = try bench()
        _ = try bench.insert(row: "{\"n\":1}")
        let port = bench.server.port
        bench.server.stop()
        #expect(throws: PlainClient.ConnectionFailed.self) { try bench.insert(row: "{\"n\":2}") }
        try bench.server.start()
        #expect(bench.server.port == port)
        #expect(try bench.insert(row: "{\"n\":3}").status == 200)
        #expect(try bench.state.rows(of: "t") == [["n": 1], ["n": 3]])
    }

    @Test func `faults strike after, at most times, at a rate, on one operation and table`() throws {
        let bench = try bench("status=500,on=insertAll,table=d.t,after=2,times=3")
        try bench.makeTable("u", "n INTEGER")
        let statuses = try (0..<7).map { try bench.insert(row: "{\"n\":\($0)}").status }
        #expect(statuses == [200, 200, 500, 500, 500, 200, 200])
        #expect(try bench.insert(row: "{\"n\":1}", into: "u").status == 200)

        let outcomes = try (0..<2).map { _ -> [Int] in
            try bench.state.setFaults("seed=7", "status=503,rate=0.5")
            return try (0..<40).map { try bench.insert(row: "{\"n\":\($0)}").status }
        }
        #expect(outcomes[0] == outcomes[1])
        #expect((5...35).contains(outcomes[0].filter { $0 == 503 }.count))
    }

    @Test func `single rows fail with a reason while the others are stored`() throws {
        let bench = try bench("row-error=backendError,rate=0.3")
        let rows = (0..<50).map { number -> JSONValue in ["json": ["n": .number("\(number)")]] }
        let reply = try bench.insert(["rows": .array(rows)])
        let errors = try #require(reply.json["insertErrors"]?.arrayValue)
        #expect(!errors.isEmpty && errors.count < 50)
        #expect(errors.allSatisfy { $0["errors"]?.arrayValue?.first?["reason"] == "backendError" })
        #expect(try stored(bench) == 50 - errors.count)
    }

    @Test func `lost rows are answered with success`() throws {
        let bench = try bench("lose-rows,times=1")
        #expect(try bench.insert(row: "{\"n\":1}").text == "{\"kind\":\"bigquery#tableDataInsertAllResponse\"}")
        #expect(try stored(bench) == 0)
        #expect(bench.state.requests.first?.lostRows == 1)
    }

    @Test func `a new table is unknown to insertAll for a while though tables get shows it`() throws {
        let bench = try bench("new-table-delay=10s")
        #expect(try bench.insert(row: "{\"n\":1}").status == 404)
        #expect(try bench.table()["id"] == "p:d.t")
        bench.state.advanceClock(by: .seconds(10))
        #expect(try bench.insert(row: "{\"n\":1}").status == 200)
    }

    @Test func `rows into a table made again are lost for a while`() throws {
        let bench = try bench()
        bench.state.advanceClock(by: .seconds(60))
        try bench.state.setFaults("lose-new-table=10s")
        #expect(try bench.insert(row: "{\"n\":1}").status == 200)
        #expect(try stored(bench) == 1)
        _ = try bench.client.send("DELETE", bench.base + "/datasets/d/tables/t")
        try bench.makeTable("t", "n INTEGER")
        #expect(try bench.insert(row: "{\"n\":2}").json["insertErrors"] == nil)
        #expect(try stored(bench) == 0)
        bench.state.advanceClock(by: .seconds(10))
        _ = try bench.insert(row: "{\"n\":3}")
        #expect(try bench.state.rows(of: "t") == [["n": 3]])
    }

    @Test(arguments: [true, false])
    func `a new column is no such field for a while`(_ byFault: Bool) throws {
        let bench = try bench { if !byFault { $0.metadataDelay = .seconds(5) } }
        bench.state.advanceClock(by: .seconds(60))
        if byFault { try bench.state.setFaults("schema-delay=5s") }
        let patched = try bench.client.send(
            "PATCH", bench.base + "/datasets/d/tables/t", ["schema": Bench.schema(["n INTEGER", "m STRING"])])
        #expect(patched.status == 200)
        let early = try bench.insert(row: "{\"n\":1,\"m\":\"x\"}")
        #expect(
            early.json["insertErrors"]?.arrayValue?.first?["errors"]?.arrayValue?.first?["message"]
                == "no such field: m.")
        bench.state.advanceClock(by: .seconds(5))
        #expect(try bench.insert(row: "{\"n\":1,\"m\":\"x\"}").json["insertErrors"] == nil)
    }

    @Test func `the window of de-duplication can shrink`() throws {
        let bench = try bench("dedupe-window=0s")
        _ = try bench.insert(row: "{\"n\":1}", id: "a")
        _ = try bench.insert(row: "{\"n\":1}", id: "a")
        #expect(try stored(bench) == 2)
    }

    @Test func `queries can be denied and can be slow`() throws {
        let bench = try bench("deny=query")
        let denied = try bench.query("SELECT 1")
        #expect(denied.status == 403)
        #expect(denied.reason == "accessDenied")
        #expect(
            denied.message
                == "Access Denied: Project p: User does not have bigquery.jobs.create permission in project p.")
        try bench.state.setFaults("pending-job")
        let pending = try bench.query("SELECT 1 AS one")
        #expect(pending.json["jobComplete"] == false)
        #expect(pending.json["rows"] == nil)
        let job = try #require(pending.json["jobReference"]?["jobId"]?.stringValue)
        let result = try bench.client.send("GET", bench.base + "/queries/\(job)").json
        #expect(result["jobComplete"] == true)
        #expect(result["rows"] == [["f": [["v": "1"]]]])
    }

    @Test func `faults, log and state are seen and changed at run time`() throws {
        let bench = try bench()
        let set = try bench.client.send("POST", "/sandbox/faults", ["faults": ["status=503,times=1"]])
        #expect(set.json == ["faults": ["status=503,times=1"]])
        #expect(try bench.insert(row: "{\"n\":1}", id: "a").status == 503)
        #expect(try bench.insert(row: "{\"n\":1}", id: "a").status == 200)
        let log = try #require(try bench.client.send("GET", "/sandbox/log").json["requests"]?.arrayValue)
        #expect(log.map { $0["status"] } == [503, 200])
        #expect(log[1]["insert_ids"] == ["a"])
        #expect(log[1]["stored_rows"] == 1)
        #expect(try bench.client.send("DELETE", "/sandbox/faults").json == ["faults": []])
        let state = try bench.client.send("GET", "/sandbox/state").json
        #expect(state["tables"] == [["name": "p.d.t", "type": "TABLE", "columns": 1, "rows": 1]])
        let bad = try bench.client.send("POST", "/sandbox/faults", ["faults": ["status=503", "statsu=503"]])
        #expect(bad.status == 400)
        #expect(bench.state.faults.isEmpty)
    }

    @Test(arguments: [
        ("", "it names no fault"), ("rate=0.5", "it names no fault"), ("status=9", "status= is an HTTP status"),
        ("status=503,reset", "it names more than one fault; give them one by one"),
        ("stall=5", "stall= is a duration such as 20ms, 5s or 1m"), ("reset,rate=2", "rate= is between 0 and 1"),
        ("reset,colour=red", "'colour' is not known here"), ("reset,when=never", "when= is 'before' or 'after'"),
        ("nonsense", "it names no fault"),
    ])
    func `a spec that is not understood is refused with the problem`(_ spec: String, _ problem: String) {
        #expect(throws: SandboxError.faultSpec(spec: spec, problem: problem)) { try Fault(parsing: spec) }
    }
}
