import Extract
import Foundation
import JSONBytes
import Spool
import TestSupport

/// One stream of files in a folder, and the spool it goes to.
struct FilesExtraction: Sendable {
    var folder: String
    var spool: SpoolStore
    var request: ExtractRequest
    var options = ExtractOptions()
    var store: any ObjectStore

    init(_ folder: String, _ spool: SpoolStore, from: String, mode: ReadMode = .incremental) {
        self.folder = folder
        self.spool = spool
        store = LocalStore(folder: folder)
        request = ExtractRequest(
            name: "orders", source: "drops", table: "b2b-recs.raw_data.orders", endpoint: "loopback",
            identity: "files \(from) \(mode.rawValue)", fingerprint: "plain")
        request.from = from
        request.mode = mode
        options.patience = .zero
        options.firstPause = .milliseconds(1)
    }

    func with(_ change: (inout FilesExtraction) -> Void) -> FilesExtraction {
        var copy = self
        change(&copy)
        return copy
    }

    func write(_ name: String, _ text: String) throws { try write(name, Array(text.utf8)) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let path = folder + "/" + name
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    @discardableResult
    func run(onCommit: @escaping @Sendable (ExtractProgress) -> Void = { _ in }) async -> ExtractResult {
        await Extractor(store: spool, options: options, holder: "a test", progress: onCommit)
            .extract(request, from: FilesSource(store: store))
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

    /// The rows' fields without metadata but `_rescued`, in spool order.
    func fields() async throws -> [String] { try await rows().map(\.fields) }
}

extension SpooledRow {
    /// The payload without its metadata, `_rescued` kept.
    var fields: String {
        let metadata: Set = [
            "_id", "_path", "_extracted_at", "_run_id", "_op", "_insert_id", "_created_at", "_updated_at",
        ]
        return JSONValue.object((json.objectValue ?? []).filter { !metadata.contains($0.name) }).text
    }
}

/// A folder of files and an empty spool beside it.
func withFiles<Value>(
    _ from: String, mode: ReadMode = .incremental, _ body: (FilesExtraction) async throws -> Value
) async throws -> Value {
    try await withTemporaryFolder { folder in
        try await withTemporarySpool { spool in try await body(FilesExtraction(folder, spool, from: from, mode: mode)) }
    }
}
