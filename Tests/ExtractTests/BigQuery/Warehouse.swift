import Extract
import Foundation
import JSONBytes
import Sandbox
import Spool
import TestSupport
import Testing
import Transport

/// A stand-in for BigQuery with one dataset, and a stream that reads from it into a spool.
struct Warehouse: Sendable {
    static let http = HTTPClient()

    let sandbox: SandboxServer
    var spool: SpoolStore
    var endpoint: String
    var request: ExtractRequest
    var options = ExtractOptions()
    var maximumBytesBilled: Int64?

    init(_ spool: SpoolStore, _ sandbox: SandboxServer) {
        self.spool = spool
        self.sandbox = sandbox
        endpoint = sandbox.endpoint
        request = ExtractRequest(
            name: "orders", source: "dw", table: "b2b-recs.raw_data.orders", endpoint: "loopback",
            identity: "bigquery", fingerprint: "plain")
        request.from = "shop.orders"
        options.patience = .seconds(20)
        options.firstPause = .milliseconds(2)
    }

    func with(_ change: (inout ExtractRequest) -> Void) -> Warehouse {
        var copy = self
        change(&copy.request)
        copy.request.identity = "\(copy.request.mode) \(copy.request.watermark ?? "") \(copy.request.key)"
        return copy
    }

    func withOptions(_ change: (inout ExtractOptions) -> Void) -> Warehouse {
        var copy = self
        change(&copy.options)
        return copy
    }

    func into(_ spool: SpoolStore) -> Warehouse {
        var copy = self
        copy.spool = spool
        return copy
    }

    func behind(_ server: LoopbackServer) -> Warehouse {
        var copy = self
        copy.endpoint = server.url
        return copy
    }

    // MARK: The source's side

    @discardableResult
    func post(_ path: String, _ body: JSONValue) async throws -> JSONValue {
        let response = try await Self.http.send(
            HTTPRequest(
                .post, "\(sandbox.endpoint)/bigquery/v2/projects/p/\(path)",
                headers: [HTTPHeader("Content-Type", "application/json")], body: HTTPBody(body.bytes)))
        let answer = try JSONValue(parsing: response.body)
        guard response.isSuccess, answer["insertErrors"] == nil else { throw Refused(description: response.text) }
        return answer
    }

    struct Refused: Error {
        var description: String
    }

    func makeTable(_ name: String = "orders", schema: String) async throws {
        try await post(
            "datasets/shop/tables",
            [
                "tableReference": ["projectId": "p", "datasetId": "shop", "tableId": .string(name)],
                "schema": ["fields": try JSONValue(parsing: schema)],
            ])
    }

    /// Adds rows, each a JSON object.
    func insert(_ rows: [String], into table: String = "orders") async throws {
        try await post(
            "datasets/shop/tables/\(table)/insertAll",
            ["rows": .array(try rows.map { ["json": try JSONValue(parsing: $0)] })])
    }

    /// BigQuery has no way to change a row in the streaming buffer: the table gets other rows.
    func replace(_ rows: [String], in table: String = "orders") async throws {
        try sandbox.state.removeRows(of: "p.shop.\(table)")
        if !rows.isEmpty { try await insert(rows, into: table) }
    }

    // MARK: The stream's side

    var source: BigQuerySource {
        BigQuerySource(
            BigQuerySource.Configuration(project: "p", maximumBytesBilled: maximumBytesBilled, endpoint: endpoint),
            http: AuthorizedClient(client: Self.http, tokens: nil))
    }

    @discardableResult
    func run() async -> ExtractResult {
        await Extractor(store: spool, options: options, holder: "a test", progress: { _ in })
            .extract(request, from: source)
    }

    @discardableResult
    func complete() async throws -> ExtractResult {
        let result = await run()
        if let error = result.error { throw error }
        return result
    }

    func rows() async throws -> [SpooledRow] { try await spool.records().map(SpooledRow.init) }

    /// Queries that were really run, by their text.
    func queries() -> [String] {
        sandbox.state.requests.compactMap { request in
            guard let body = request.body, let json = try? JSONValue(parsing: body),
                json["dryRun"] != true
            else { return nil }
            return json["query"]?.stringValue
        }
    }
}

/// A sandbox of its own, with the dataset `shop` of the project `p`, and an empty spool.
func withWarehouse<Value>(_ body: (Warehouse) async throws -> Value) async throws -> Value {
    var configuration = SandboxConfiguration()
    configuration.dedupeWindow = .zero
    configuration.recordsBodies = true
    let sandbox = try SandboxServer(configuration)
    try sandbox.start()
    defer { sandbox.stop() }
    return try await withTemporarySpool { spool in
        let warehouse = Warehouse(spool, sandbox)
        try await warehouse.post("datasets", ["datasetReference": ["projectId": "p", "datasetId": "shop"]])
        return try await body(warehouse)
    }
}
