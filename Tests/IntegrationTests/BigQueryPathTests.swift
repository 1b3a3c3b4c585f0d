import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing
import Transport

/// BigQuery as a source, through the program. One stand-in is read from; another one is the destination.
@Suite struct BigQueryPathTests {
    private static let rows = 300
    /// So large that BigQuery's pages end after some of the rows (10 MB).
    private static let note = String(repeating: "x", count: 100_000)

    private struct Shop: Sendable {
        let sandbox: SandboxServer

        func post(_ path: String, _ body: JSONValue) async throws {
            let response = try await HTTPClient().send(
                HTTPRequest(
                    .post, "\(sandbox.endpoint)/bigquery/v2/projects/p/\(path)",
                    headers: [HTTPHeader("Content-Type", "application/json")], body: HTTPBody(body.bytes)))
            let hasErrors = response.text.contains("insertErrors")
            try #require(response.isSuccess && !hasErrors, "\(response.text.prefix(300))")
        }

        func source(_ more: String = "") -> String {
            "{type: bigquery, project: p, endpoint: \"\(sandbox.endpoint)\"\(more)}"
        }

        /// Queries of the stream's rows that were really run, each with its `requestId`.
        var queries: [JSONValue] {
            sandbox.state.requests.compactMap { request in
                guard request.operation == .query, let body = request.body, let json = try? JSONValue(parsing: body),
                    json["dryRun"] != true, json["query"]?.stringValue?.contains("orders") ?? false
                else { return nil }
                return json
            }
        }
    }

    private func withShop(
        location: String = "US", rows: Int = Self.rows, note: String = Self.note, _ body: (Shop) async throws -> Void
    ) async throws {
        var configuration = SandboxConfiguration()
        configuration.recordsBodies = true
        let sandbox = try SandboxServer(configuration)
        try sandbox.start()
        defer { sandbox.stop() }
        let shop = Shop(sandbox: sandbox)
        try await shop.post(
            "datasets", ["datasetReference": ["projectId": "p", "datasetId": "shop"], "location": .string(location)])
        let schema =
            #"[{"name":"id","type":"INTEGER"},{"name":"at","type":"TIMESTAMP"},{"name":"note","type":"STRING"}]"#
        try await shop.post(
            "datasets/shop/tables",
            [
                "tableReference": ["projectId": "p", "datasetId": "shop", "tableId": "orders"],
                "schema": ["fields": try JSONValue(parsing: schema)],
            ])
        let step = max(1, min(5000, 5_000_000 / (note.utf8.count + 100)))
        for first in stride(from: 0, to: rows, by: step) {
            let chunk = (first..<min(first + step, rows)).map { id -> JSONValue in
                let minute = id / 60 % 60
                let at = "2025-11-25T1\(id % 10):\(minute < 10 ? "0" : "")\(minute):00Z"
                return ["json": ["id": .number("\(id)"), "at": .string(at), "note": .string(note + "\(id)")]]
            }
            try await shop.post("datasets/shop/tables/orders/insertAll", ["rows": .array(chunk)])
        }
        try await body(shop)
    }

    @Test func `a dry run tells the bytes that BigQuery would bill, runs nothing and makes no spool`() async throws {
        try await withShop { shop in
            for columns in ["", ", columns: [id]"] {
                let stream = "from: shop.orders, mode: full\(columns)"
                try await SQLPipeline.with(source: shop.source(", max_bytes_billed: 1KiB"), stream: stream) {
                    pipeline in
                    let outcome = try await pipeline.program.run("extract", "--dry-run", "--json")
                    #expect(outcome.code == 0, "\(outcome.diagnostics)")
                    let forecast = try outcome.json()["streams"]?.arrayValue?.first
                    let told = try #require(forecast?["bytes"]?.intValue)
                    // The stand-in counts 500 bytes a row.
                    #expect(told == Int64(Self.rows * 500))
                    let table = try await pipeline.program.run("extract", "--dry-run")
                    #expect(table.output.contains("BigQuery would process"))
                    let files = try FileManager.default.contentsOfDirectory(atPath: pipeline.program.folder)
                    #expect(!files.contains { $0.contains(".sqlite") })
                }
            }
            #expect(shop.queries.isEmpty)
        }
    }

    @Test func `a query that would bill more than is allowed is refused before it costs anything`() async throws {
        try await withShop { shop in
            // BigQuery bills no less than 10 MB for a query that reads a table.
            for (limit, code) in [("9MiB", Int32(78)), ("10MiB", 0)] {
                try await SQLPipeline.with(
                    source: shop.source(", max_bytes_billed: \(limit)"), stream: "from: shop.orders, mode: full"
                ) { pipeline in
                    let outcome = try await pipeline.program.run("extract", "--json")
                    #expect(outcome.code == code, "\(outcome.output) \(outcome.diagnostics)")
                    let spooled = try pipeline.spool("SELECT count(*) FROM spooled_rows")
                    guard code == 78 else {
                        #expect(spooled == "\(Self.rows)\n")
                        return
                    }
                    #expect(spooled == "0\n")
                    #expect(try outcome.json()["error"]?["code"] == "config")
                    #expect(outcome.diagnostics.contains("limit for bytes billed"), "\(outcome.diagnostics)")
                    #expect(outcome.diagnostics.contains("raise max_bytes_billed"), "\(outcome.diagnostics)")
                }
            }
            #expect(shop.queries.allSatisfy { $0["useLegacySql"] == false && $0["maximumBytesBilled"] != nil })
        }
    }

    @Test(arguments: [("", Int32(0)), (", location: europe-west1", 0), (", location: US", 78)])
    func `a job runs where its tables are, and its pages are asked for there`(more: String, code: Int32) async throws {
        // BigQuery finds a job outside of the multi-regions by its location alone.
        try await withShop(location: "europe-west1") { shop in
            try await SQLPipeline.with(source: shop.source(more), stream: "from: shop.orders, mode: full") { pipeline in
                let outcome = try await pipeline.program.run("extract", "--json")
                #expect(outcome.code == code, "\(outcome.output) \(outcome.diagnostics)")
                guard code == 0 else {
                    #expect(outcome.diagnostics.contains("not found in location US"), "\(outcome.diagnostics)")
                    #expect(outcome.diagnostics.contains("location of the source"), "\(outcome.diagnostics)")
                    return
                }
                #expect(try pipeline.spool("SELECT count(*) FROM spooled_rows") == "\(Self.rows)\n")
                let pages = shop.sandbox.state.requests.filter { $0.operation == .getQueryResults }
                #expect(pages.count >= 2 && pages.allSatisfy { $0.query["location"] != nil && $0.status == 200 })
            }
        }
    }

    @Test(arguments: ["full", "incremental, watermark: at, key: [id]", "changes, key: [id]"])
    func `after a kill between two pages the same job is read on`(mode: String) async throws {
        try await withShop { shop in
            let stream = "from: shop.orders, mode: \(mode)"
            try await SQLPipeline.with(source: shop.source(), stream: stream) { pipeline in
                // The second page does not come as long as the first process lives.
                try shop.sandbox.state.setFaults("status=503,on=getQueryResults")
                let first = try pipeline.program.start(["extract"])
                let hasRows = await eventually {
                    (try? pipeline.spool("SELECT count(*) FROM spooled_rows")).map { $0 != "0\n" } ?? false
                }
                #expect(hasRows)
                first.send(SIGKILL)
                #expect(await first.wait().signal == SIGKILL)
                shop.sandbox.state.clearFaults()
                let spooled = try pipeline.spool("SELECT count(*) FROM spooled_rows")
                #expect(spooled != "\(Self.rows)\n")

                let second = try await pipeline.program.run("extract", "--json")
                #expect(second.code == 0, "\(second.diagnostics)")
                #expect(try pipeline.spool("SELECT count(*) FROM spooled_rows") == "\(Self.rows)\n")
                #expect(
                    try pipeline.spool("SELECT count(DISTINCT insert_id) FROM spooled_rows") == "\(Self.rows)\n")
                #expect(try pipeline.spool("SELECT count(*) FROM runs") == "1\n")
                let rowQueries = shop.queries.filter { $0["query"]?.stringValue?.contains("`note`") ?? false }
                #expect(rowQueries.count == 1, "\(rowQueries.map(\.text))")
                #expect(try await pipeline.program.run("audit").code == 0)
            }
        }
    }

    @Test(arguments: ["full", "incremental, watermark: at, key: [id]", "changes, key: [id]"])
    func `killed at any moment, again and again, it gives the rows of an undisturbed run`(mode: String) async throws {
        try await withShop(rows: SQLKillTests.rows, note: "note") { shop in
            try await SQLKillTests().verify(source: shop.source(), from: "shop.orders", mode: mode)
        }
    }
}
