import Foundation
import JSONBytes
import Spool
import TestSupport

@testable import Extract

/// One stream of any source, and the spool it goes to.
struct SQLExtraction: Sendable {
    var source: any Source
    var spool: SpoolStore
    var request: ExtractRequest
    var options = ExtractOptions()

    init(
        _ source: any Source, _ spool: SpoolStore, from: String = "orders", mode: ReadMode = .full,
        watermark: String? = nil, _ change: (inout ExtractRequest) -> Void = { _ in }
    ) {
        self.source = source
        self.spool = spool
        request = ExtractRequest(
            name: "orders", source: "shop", table: "b2b-recs.raw_data.orders", endpoint: "loopback",
            identity: "\(from) \(mode.rawValue) \(watermark ?? "")", fingerprint: "plain")
        request.from = from
        request.mode = mode
        request.watermark = watermark
        options.patience = .seconds(2)
        options.firstPause = .milliseconds(2)
        change(&request)
    }

    func with(_ change: (inout ExtractRequest) -> Void) -> SQLExtraction {
        var copy = self
        change(&copy.request)
        return copy
    }

    func withOptions(_ change: (inout ExtractOptions) -> Void) -> SQLExtraction {
        var copy = self
        change(&copy.options)
        return copy
    }

    /// So many readers, however small the table.
    func withReaders(_ count: Int) -> SQLExtraction {
        with { $0.parallel = count }.withOptions { $0.fewestRowsPerReader = 2 }
    }

    func into(_ spool: SpoolStore) -> SQLExtraction {
        var copy = self
        copy.spool = spool
        return copy
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

    /// Runs, and looks at something again and again meanwhile: a run that waits for seconds is looked at several times.
    func runWatching(_ look: () throws -> String) async throws -> (result: ExtractResult, seen: [String]) {
        let isOver = Gathered<Bool>()
        let task = Task {
            let result = await run()
            isOver.add(true)
            return result
        }
        var seen: [String] = []
        while isOver.items.isEmpty {
            seen.append(try look())
            try await Task.sleep(for: .milliseconds(50))
        }
        return (await task.value, seen)
    }

    /// All rows of the stream, in spool order.
    func rows() async throws -> [SpooledRow] { try await spool.records().map(SpooledRow.init) }
}

extension SpooledRow {
    var id: String? { json["_id"]?.stringValue }
}
