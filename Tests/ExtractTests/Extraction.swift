import Extract
import Foundation
import JSONBytes
import Spool
import TestSupport
import Transport

/// One stream of a database in the emulator, and the spool it goes to.
struct Extraction: Sendable {
    var database: FirestoreDatabase
    var spool: SpoolStore
    var request: ExtractRequest
    var options = ExtractOptions()

    init(
        _ database: FirestoreDatabase, _ spool: SpoolStore, from: String = "memos", mode: ReadMode = .changes,
        watermark: String? = nil
    ) {
        self.database = database
        self.spool = spool
        request = ExtractRequest(
            name: "memos", source: "app", table: "b2b-recs.raw_data.bq_memos", endpoint: "loopback",
            identity: "\(database.name) \(from) \(mode.rawValue) \(watermark ?? "")", fingerprint: "plain")
        request.from = from
        request.mode = mode
        request.watermark = watermark
        options.patience = .seconds(20)
        options.firstPause = .milliseconds(2)
    }

    func with(_ change: (inout ExtractRequest) -> Void) -> Extraction {
        var copy = self
        change(&copy.request)
        return copy
    }

    func withOptions(_ change: (inout ExtractOptions) -> Void) -> Extraction {
        var copy = self
        change(&copy.options)
        return copy
    }

    /// The same stream into another spool.
    func into(_ spool: SpoolStore) -> Extraction {
        var copy = self
        copy.spool = spool
        return copy
    }

    /// The same database behind a proxy.
    func behind(_ server: LoopbackServer) -> Extraction {
        var copy = self
        copy.database = database.behind(server.url)
        return copy
    }

    var source: FirestoreSource {
        FirestoreSource(
            FirestoreSource.Configuration(
                project: database.project, database: database.database, endpoint: database.endpoint),
            http: AuthorizedClient(client: FirestoreDatabase.http, tokens: StaticToken("owner")))
    }

    @discardableResult
    func run(onCommit: @escaping @Sendable (ExtractProgress) -> Void = { _ in }) async -> ExtractResult {
        await Extractor(store: spool, options: options, holder: "a test", progress: onCommit)
            .extract(request, from: source)
    }

    /// Runs and expects nothing to go wrong.
    @discardableResult
    func complete() async throws -> ExtractResult {
        let result = await run()
        if let error = result.error { throw error }
        return result
    }

    /// All rows of the stream, in spool order.
    func rows() async throws -> [SpooledRow] { try await spool.records().map(SpooledRow.init) }
}

/// A row as it lies in the spool.
struct SpooledRow: Sendable {
    var payload: String
    var insertID: String
    var operation: String
    var runID: String
    var json: JSONValue

    init(_ record: RowRecord) throws {
        payload = String(decoding: record.payload, as: UTF8.self)
        insertID = record.insertID
        operation = record.operation
        runID = record.runID
        json = try JSONValue(parsing: record.payload)
    }

    subscript(_ column: String) -> JSONValue? { json[column] }

    var path: String { json["_path"]?.stringValue ?? "" }

    /// The payload without what differs from run to run.
    var lasting: String {
        let members = (json.objectValue ?? []).filter { $0.name != "_extracted_at" && $0.name != "_run_id" }
        return JSONValue.object(members).text
    }
}

extension ExtractResult {
    func warning(_ code: String) -> ExtractWarning? { warnings.first { $0.code == code } }
    var kind: ExtractError.Kind? { (error as? ExtractError)?.kind }
}

/// A database of its own and an empty spool.
func withDatabase<Value>(
    _ database: String = "(default)", _ body: (FirestoreDatabase, SpoolStore) async throws -> Value
) async throws -> Value {
    let emulator = try await FirestoreEmulator.running()
    return try await withTemporarySpool { spool in try await body(emulator.database(database), spool) }
}

extension FirestoreDatabase {
    var host: String { String(endpoint.dropFirst("http://".count)) }
}
