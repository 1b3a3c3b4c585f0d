import Extract
import Foundation
import JSONBytes
import Spool
import Synchronization
import TestSupport
import Testing

/// Reads that take longer than a snapshot time is served: with point-in-time recovery and without.
@Suite(.firestoreEmulator) struct FirestoreSnapshotTests {
    /// The emulator as a server would be that an hour has passed by: from a moment on it refuses all times asked for so far, but those of
    /// whole minutes where recovery is on.
    private final class AgingServer: Sendable {
        private struct State {
            var asked: [String] = []
            var expired: Set<String> = []
            var queries = 0
        }
        private let host: String
        private let metadata: String?
        private let state = Mutex(State())

        init(_ database: FirestoreDatabase, metadata: String?) {
            host = database.host
            self.metadata = metadata
        }

        /// Distinct times of queries, in the order they first came.
        var readTimes: [String] { state.withLock { $0.asked } }

        func answer(_ request: LoopbackServer.Request) -> LoopbackServer.Answer {
            if request.method == "GET" { return .json(metadata == nil ? 403 : 200, metadata ?? "{}") }
            if request.path.hasSuffix(":runQuery"), request.text.contains(#""limit":20"#),
                let readTime = (try? JSONValue(parsing: request.body))?["readTime"]?.stringValue
            {
                let isRefused = state.withLock { state in
                    state.queries += 1
                    if !state.asked.contains(readTime) { state.asked.append(readTime) }
                    if state.queries == 5 { state.expired = Set(state.asked.filter { !$0.hasSuffix(":00Z") }) }
                    return state.expired.contains(readTime)
                }
                if isRefused {
                    return .json(
                        400,
                        #"{"error":{"code":400,"message":"The requested 'read_time' is too old.","status":"FAILED_PRECONDITION"}}"#
                    )
                }
            }
            var request = request
            // At the last whole minute the documents were not there yet.
            request.body = Array(
                request.text.replacing(/"readTime":"[0-9T:-]+:00Z"/, with: #""readTime":null"#).utf8)
            return HTTPProxy.forward(request, to: host)?.passed ?? .close
        }
    }

    private func stream(_ database: FirestoreDatabase, _ spool: SpoolStore, _ mode: ReadMode) -> Extraction {
        Extraction(database, spool, mode: mode).with { $0.parallel = 4 }.withOptions {
            $0.documentsPerQuery = 20
            $0.keysPerQuery = 20
            $0.rowsPerPage = 30
        }
    }

    private func seed(_ database: FirestoreDatabase) async throws {
        try await database.write(
            (0..<400).map { .set("memos/\(FirestoreParallelTests.idForms[1]($0))", ["n": .integer(Int64($0))]) })
    }

    private static func recovery(_ isOn: Bool, since earliest: String) -> String {
        #"{"type":"FIRESTORE_NATIVE","earliestVersionTime":"\#(earliest)","pointInTimeRecoveryEnablement":"POINT_IN_TIME_RECOVERY_\#(isOn ? "ENABLED" : "DISABLED")"}"#
    }

    @Test func `with point-in-time recovery a long full read stays on one whole minute`() async throws {
        try await withDatabase { database, spool in
            try await seed(database)
            let server = AgingServer(database, metadata: Self.recovery(true, since: "2020-01-01T00:00:00Z"))
            try await withLoopbackServer {
                server.answer($0)
            } _: { proxy in
                let result = try await stream(database, spool, .full).behind(proxy).complete()
                #expect(result.warning("read_time_expired") == nil)
                #expect(result.counters.rowsSpooled == 400)
            }
            #expect(server.readTimes.count == 1)
            #expect(server.readTimes.allSatisfy { $0.hasSuffix(":00Z") })
        }
    }

    @Test(arguments: [
        nil, recovery(false, since: "2020-01-01T00:00:00Z"), recovery(true, since: "9000-01-01T00:00:00Z"),
    ])
    func `without it the rest of every range is read as of a fresh time, and that is said`(_ metadata: String?)
        async throws
    {
        try await withDatabase { database, spool in
            try await seed(database)
            let server = AgingServer(database, metadata: metadata)
            try await withLoopbackServer {
                server.answer($0)
            } _: { proxy in
                let result = try await stream(database, spool, .full).behind(proxy).complete()
                let warning = try #require(result.warning("read_time_expired"))
                #expect(server.readTimes.count == 2)
                for time in server.readTimes { #expect(warning.message.contains(time)) }
                #expect(warning.message.contains(" of 16 ranges (") && warning.message.contains("after memos/"))
            }
            let paths = try await spool.records().map { try SpooledRow($0).path }
            #expect(paths.count == 400 && Set(paths).count == 400)
        }
    }

    @Test func `a scan that takes too long goes on, and takes nothing for deleted`() async throws {
        try await withDatabase { database, spool in
            try await seed(database)
            let stream = stream(database, spool, .changes)
            try await stream.complete()
            let gone = "memos/\(FirestoreParallelTests.idForms[1](7))"
            try await database.write([.delete(gone), .set("memos/zzz", ["n": .integer(1)])])
            let server = AgingServer(database, metadata: nil)
            let scanned = Mutex(0)
            try await withLoopbackServer { request in
                if request.text.contains(#""limit":20"#) { scanned.withLock { $0 += 1 } }
                return server.answer(request)
            } _: { proxy in
                let result = try await stream.behind(proxy).complete()
                #expect(result.warning("read_time_expired") != nil)
                #expect(result.counters.rowsSpooled == 2)
                #expect(result.counters.deletes == 1)
            }
            // 400 names are 21 queries, and one was refused: nothing was scanned twice.
            #expect(scanned.withLock { $0 } <= 23)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
        }
    }
}
