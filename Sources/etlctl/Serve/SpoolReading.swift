import Foundation
import Logging
import Spool
import Synchronization

/// The spool at one moment: what every answer of `serve` is made of.
struct SpoolReading: Sendable {
    enum State: Sendable {
        /// Nothing was spooled yet; the report has the configured streams.
        case missing(StatusReport)
        /// With the requests that are not settled, by route.
        case open(StatusReport, requests: [Int64: [RowState: Int]])
        /// Damaged, newer than this program, kept busy, or not to be opened.
        case unreadable(Failure)
    }

    var state: State
    var at: Timestamp
    var path: String
    /// `spool.max_size`.
    var maximumBytes: Int64
    /// What this user may still use on the file system; nil if it does not say.
    var freeBytes: Int64?

    var report: StatusReport? {
        switch state {
        case .missing(let report), .open(let report, _): report
        case .unreadable: nil
        }
    }

    var failure: Failure? {
        if case .unreadable(let failure) = state { failure } else { nil }
    }
}

/// Opens the spool anew for every reading, so that one that appears later, is replaced or is mended is seen, and none is kept from
/// being so.
final class SpoolReader: Sendable {
    private let configuration: Configuration
    private let console: Console
    /// One reading at a time, however many clients ask. Holds why the last one failed.
    private let turn = Mutex<Failure?>(nil)

    init(_ configuration: Configuration, _ console: Console) {
        self.configuration = configuration
        self.console = console
    }

    /// O(requests, runs and single fates), not O(rows). Blocks: never for a thread of Swift's.
    func reading() -> SpoolReading {
        turn.withLock { last in
            let path = configuration.spool.path
            let reading = SpoolReading(
                state: state(path), at: .now(), path: path, maximumBytes: configuration.spool.maximumBytes,
                freeBytes: SpoolStore.freeBytes(beside: path) ?? SpoolStore.freeBytes(beside: Self.folder(of: path)))
            // Once for each change, not for each scrape.
            if let failure = reading.failure, failure != last {
                console.log.warning("\(failure.description)")
            } else if last != nil, reading.failure == nil {
                console.log.info("The spool \(path) can be read again.")
            }
            last = reading.failure
            return reading
        }
    }

    /// Takes what must never be shown out of a text.
    func redacted(_ text: String) -> String { console.diagnostics.redacted(text) }

    private func state(_ path: String) -> SpoolReading.State {
        do {
            let store = try SpoolStore.reading(path)
            defer { try? store?.close() }
            return try waiting { [configuration] in
                let report = try await StatusReport(store: store, configuration: configuration, now: .now())
                guard let store else { return .missing(report) }
                return .open(report, requests: try await store.openRequests())
            }
        } catch {
            return .unreadable(Failure(describing: error).mappingTexts(redacted))
        }
    }

    private static func folder(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) + "/" } ?? "."
    }
}

/// Does asynchronous work for a thread that may block, such as a connection's, and returns when it is done.
private func waiting<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) throws -> Value {
    let outcome = Outcome<Value>()
    Task {
        do { outcome.end(.success(try await work())) } catch { outcome.end(.failure(error)) }
    }
    return try outcome.wait().get()
}

private final class Outcome<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, any Error>>(.failure(CancellationError()))
    private let isThere = DispatchSemaphore(value: 0)

    func end(_ value: Result<Value, any Error>) {
        result.withLock { $0 = value }
        isThere.signal()
    }

    func wait() -> Result<Value, any Error> {
        isThere.wait()
        return result.withLock { $0 }
    }
}
