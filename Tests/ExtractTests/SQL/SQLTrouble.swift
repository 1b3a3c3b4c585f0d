import Foundation
import Spool
import TestSupport
import Testing

@testable import Extract

/// What goes wrong on any SQL server while a stream is read: the parts of the tests that are the same for all.
struct SQLTrouble {
    /// The text of row `n` as SQL. In the order of the watermark (`n % 50`) the rows before the drop are small. What follows does not fit into the
    /// buffers between server and client (tens of MiB): where all of it has left the server before the table goes, a run ends well without it.
    static func note(_ n: String) -> String { "repeat('x', CASE WHEN \(n) % 50 < 17 THEN 300 ELSE 4000 END)" }

    static func message(_ result: ExtractResult) -> String { result.error.map { "\($0)" } ?? "" }

    /// A table that is dropped in the middle of a run is named, what was read stays, and when it is back the same run goes on.
    ///
    /// - Parameters:
    ///   - drop: ends the stream's connections and drops the table; tried again until it works.
    ///   - make: makes the table again, with `rowCount` rows.
    static func verifyDroppedTable(
        _ source: any Source, mode: ReadMode, rowCount: Int = 30_000, drop: @escaping @Sendable () throws -> Void,
        make: () throws -> Void
    ) async throws {
        try await withTemporarySpool { spool in
            let stream = SQLExtraction(source, spool, mode: mode, watermark: mode == .incremental ? "updated_at" : nil)
                .withOptions {
                    $0.rowsPerPage = 1000
                    // Longer than a drop may take on a machine that has more to do: the run waits for the end of what is being stored.
                    $0.patience = .seconds(600)
                }
            let dropped = Gathered<Int>()
            let result = await stream.run { progress in
                guard progress.rowsRead > 3000, dropped.items.isEmpty else { return }
                dropped.add(progress.rowsRead)
                insist { try drop() }
            }
            #expect(
                result.kind == .configuration && message(result).contains("orders"),
                "\(result.status), \(message(result)), dropped after \(dropped.items)")
            #expect(try await spool.records().count >= 1000)
            try make()
            let next = try await stream.complete()
            #expect(next.runID == result.runID)
            let rows = try await spool.records()
            #expect(rows.count == rowCount && Set(rows.map(\.insertID)).count == rowCount)
        }
    }

    /// A server's modes of TLS, each with what it must take and refuse. The server's certificate is for 127.0.0.1.
    struct TLSCase: Sendable {
        var mode: String
        var host = "127.0.0.1"
        /// More options.
        var authority = ""
        var isTaken: Bool
    }

    /// - Parameters:
    ///   - option: the mode's name in the URL.
    ///   - source: the database by a host and options.
    static func verifyTLS(
        _ cases: [TLSCase], option: String, source: (_ host: String, _ options: String) -> any Source
    ) async throws {
        for one in cases {
            let result = try await withTemporarySpool { spool in
                await SQLExtraction(source(one.host, "?\(option)=\(one.mode)\(one.authority)"), spool).withOptions {
                    $0.patience = .seconds(600)
                }.run()
            }
            let what = "\(one): \(message(result))"
            if one.isTaken {
                #expect(result.status == .complete && result.counters.rowsRead == 1, "\(what)")
            } else {
                // At once, for no later attempt can do better.
                #expect(result.kind == .unavailable && result.duration < .seconds(120), "\(what)")
                #expect((result.error as? ExtractError)?.hint?.contains(option) ?? false, "\(what)")
            }
        }
    }
}
