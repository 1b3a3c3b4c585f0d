import Extract
import JSONBytes
import Sandbox
import Spool
import Synchronization
import TestSupport
import Testing
import Transport

@Suite struct BigQueryResumeTests {
    private static let schema = #"[{"name":"id","type":"INTEGER"},{"name":"at","type":"INTEGER"}]"#

    /// Twenty rows, in ties of four.
    private static let rows = (0..<20).map { #"{"id":\#($0),"at":\#($0 / 4)}"# }

    private func withRows<Value>(_ body: (Warehouse) async throws -> Value) async throws -> Value {
        try await withWarehouse { warehouse in
            try await warehouse.makeTable(schema: Self.schema)
            try await warehouse.insert(Self.rows)
            return try await body(
                warehouse.withOptions {
                    $0.rowsPerPage = 3
                    $0.rowsPerQuery = 5
                })
        }
    }

    static let streams: [(mode: ReadMode, key: [String])] = [
        (.full, []), (.full, ["id"]), (.incremental, []), (.incremental, ["id"]), (.changes, ["id"]),
    ]

    private func stream(_ warehouse: Warehouse, _ mode: ReadMode, _ key: [String]) -> Warehouse {
        warehouse.with {
            $0.mode = mode
            $0.key = key
            if mode == .incremental { $0.watermark = "at" }
        }
    }

    private func texts(_ rows: [SpooledRow]) -> [String] {
        // In full mode the insertId carries the run.
        rows.map { row in
            JSONValue.object(
                (row.json.objectValue ?? []).filter { !["_extracted_at", "_run_id", "_insert_id"].contains($0.name) }
            ).text
        }.sorted()
    }

    @Test(arguments: streams)
    func `a run cut off after any number of rows goes on in the same job and gives the same rows`(
        mode: ReadMode, key: [String]
    ) async throws {
        try await withRows { warehouse in
            let whole = stream(warehouse, mode, key)
            try await whole.complete()
            let expected = try await texts(whole.rows())
            for cut in [1, 3, 4, 5, 7, 19] {
                try await withTemporarySpool { spool in
                    let part = whole.into(spool)
                    warehouse.sandbox.state.clearRequests()
                    var runs: Set<String> = []
                    var commands = 0
                    while true {
                        let result = await part.withOptions { $0.limit = cut }.run()
                        #expect(result.error == nil)
                        runs.insert(result.runID ?? "")
                        commands += 1
                        guard result.status == .interrupted, commands < 50 else { break }
                    }
                    #expect(runs.count == 1)
                    #expect(commands >= 20 / cut)
                    let rows = try await part.rows()
                    #expect(texts(rows) == expected, "cut \(cut)")
                    #expect(Set(rows.map(\.insertID)).count == 20)
                    let jobs = warehouse.queries().filter { $0.hasPrefix("SELECT `at`") || $0.hasPrefix("SELECT `id`") }
                    #expect(jobs.count == 1, "cut \(cut): \(jobs)")
                }
            }
        }
    }

    /// A server in front of the sandbox that makes the answers a test wants.
    private func withProxy<Value>(
        to warehouse: Warehouse, _ change: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Answer?,
        _ body: (Warehouse) async throws -> Value
    ) async throws -> Value {
        let host = "127.0.0.1:\(warehouse.sandbox.port)"
        return try await withLoopbackServer { request in
            change(request) ?? Self.forward(request, to: host)
        } _: { server in
            try await body(warehouse.behind(server))
        }
    }

    private static func forward(_ request: LoopbackServer.Request, to host: String) -> LoopbackServer.Answer {
        HTTPProxy.forward(request, to: host)?.passed ?? .close
    }

    /// What the sandbox answers.
    private static func body(_ request: LoopbackServer.Request, of host: String) -> [UInt8]? {
        HTTPProxy.forward(request, to: host)?.body
    }

    private static func refusal(_ status: Int, _ reason: String) -> LoopbackServer.Answer {
        .json(
            status,
            #"{"error":{"code":\#(status),"message":"It is so.","errors":[{"reason":"\#(reason)","message":"It is so."}]}}"#
        )
    }

    @Test(arguments: streams)
    func `a job that is lost runs again, and no row comes twice`(mode: ReadMode, key: [String]) async throws {
        try await withRows { warehouse in
            let reference = stream(warehouse, mode, key)
            try await reference.complete()
            let expected = try await texts(reference.rows())
            try await withTemporarySpool { spool in
                let lost = Mutex(false)
                try await withProxy(to: warehouse.into(spool)) { request in
                    // The third page of the first job is not there any more.
                    guard request.method == "GET", request.target.contains("pageToken=10") else { return nil }
                    let isFirst = lost.withLock { lost in
                        defer { lost = true }
                        return !lost
                    }
                    return isFirst ? Self.refusal(404, "notFound") : nil
                } _: { warehouse in
                    let result = try await stream(warehouse, mode, key).complete()
                    #expect(result.warning("job_repeated") != nil)
                    let rows = try await warehouse.rows()
                    #expect(texts(rows) == expected)
                    #expect(Set(rows.map(\.insertID)).count == 20)
                }
            }
        }
    }

    @Test func `a job that failed by itself is followed by another`() async throws {
        try await withRows { warehouse in
            let failures = Mutex(0)
            try await withProxy(to: warehouse) { request in
                guard request.method == "GET", request.target.contains("pageToken=5") else { return nil }
                let count = failures.withLock { failures in
                    failures += 1
                    return failures
                }
                return count <= 2 ? Self.refusal(400, "jobBackendError") : nil
            } _: { warehouse in
                try await warehouse.complete()
                let rows = try await warehouse.rows()
                #expect(rows.count == 20)
                #expect(Set(rows.map(\.insertID)).count == 20)
            }
        }
    }

    @Test func `rows that are too many to be sorted are read unsorted, with the watermark at the end`() async throws {
        try await withRows { warehouse in
            try await withProxy(to: warehouse) { request in
                request.text.contains("ORDER BY") ? Self.refusal(400, "resourcesExceeded") : nil
            } _: { warehouse in
                let result = try await stream(warehouse, .incremental, ["id"]).complete()
                #expect(result.counters.rowsSpooled == 20)
                #expect(result.watermark == "4")
                let again = try await stream(warehouse, .incremental, ["id"]).complete()
                #expect(again.counters.rowsSpooled == 0)
            }
        }
    }

    @Test func `a job that takes long is waited for`() async throws {
        try await withRows { warehouse in
            let waits = Mutex(0)
            let host = "127.0.0.1:\(warehouse.sandbox.port)"
            try await withProxy(to: warehouse) { request in
                guard request.method == "POST", !request.text.contains("dryRun"), request.text.contains("`at`") else {
                    return nil
                }
                let isFirst = waits.withLock { waits in
                    waits += 1
                    return waits == 1
                }
                // The sandbox runs the job all the same; its answer says that it is not done.
                guard isFirst, let body = Self.body(request, of: host),
                    let job = (try? JSONValue(parsing: body))?["jobReference"]
                else { return nil }
                return .json(
                    200, JSONValue.object([JSONMember("jobReference", job), JSONMember("jobComplete", false)]).text)
            } _: { warehouse in
                let result = try await warehouse.complete()
                #expect(result.counters.rowsSpooled == 20)
            }
        }
    }

    @Test(arguments: [
        (400, "invalidQuery", ExtractError.Kind.configuration), (400, "bytesBilledLimitExceeded", .configuration),
        (401, "authError", .denied), (403, "accessDenied", .denied), (404, "notFound", .configuration),
        (403, "rateLimitExceeded", .unavailable), (403, "quotaExceeded", .unavailable), (429, "", .unavailable),
        (500, "internalError", .unavailable), (502, "", .unavailable), (503, "backendError", .unavailable),
    ])
    func `refusals have their kinds`(status: Int, reason: String, kind: ExtractError.Kind) async throws {
        try await withRows { warehouse in
            try await withProxy(to: warehouse) { _ in
                Self.refusal(status, reason)
            } _: { warehouse in
                let result = await warehouse.withOptions { $0.patience = .milliseconds(20) }.run()
                #expect(result.kind == kind)
                #expect("\(result.error.map { "\($0)" } ?? "")".contains("It is so."))
                #expect(result.counters.rowsSpooled == 0)
            }
        }
    }

    @Test func `answers cut anywhere are tried again and give the same rows`() async throws {
        try await withRows { warehouse in
            let requests = Mutex(0)
            let host = "127.0.0.1:\(warehouse.sandbox.port)"
            try await withProxy(to: warehouse) { request in
                let number = requests.withLock { requests in
                    requests += 1
                    return requests
                }
                guard number % 3 == 0, let body = Self.body(request, of: host) else { return nil }
                return .truncated(body: Array(body.prefix(body.count * number % 97 / 97)), promised: body.count)
            } _: { warehouse in
                try await warehouse.complete()
                #expect(Set(try await warehouse.rows().map(\.insertID)).count == 20)
                #expect(try await warehouse.rows().count == 20)
            }
        }
    }

    @Test func `a query that would read more than allowed is refused by BigQuery`() async throws {
        try await withRows { warehouse in
            var stream = warehouse
            stream.maximumBytesBilled = 1000
            let result = await stream.run()
            #expect(result.kind == .configuration)
            #expect((result.error as? ExtractError)?.hint?.contains("max_bytes_billed") ?? false)
            let bytes = try await warehouse.source.bytes(warehouse.request)
            #expect(bytes > 0)
        }
    }

    @Test func `tables, columns and types that don't fit are named`() async throws {
        try await withRows { warehouse in
            let cases: [((inout ExtractRequest) -> Void, String)] = [
                ({ $0.from = "shop.nothing" }, "nothing"), ({ $0.from = "orders" }, "orders"),
                ({ $0.columns = ["nope"] }, "nope"), ({ $0.key = ["nope"] }, "nope"),
                (
                    {
                        $0.mode = .incremental
                        $0.watermark = "nope"
                    }, "nope"
                ),
            ]
            for (number, (change, word)) in cases.enumerated() {
                let stream = warehouse.with(change).with { $0.name = "s\(number)" }
                let result = await stream.run()
                #expect(result.kind == .configuration, "\(word): \(result)")
                #expect("\(result.error.map { "\($0)" } ?? "")".contains(word) || word == "nope", "\(result)")
            }
        }
    }
}
