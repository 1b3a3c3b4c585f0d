import Foundation
import JSONBytes
import Spool
import Synchronization
import TestSupport
import Testing

@testable import Extract

/// A source that can't bear as many readers as it was given.
@Suite(.firestoreEmulator) struct FirestoreOverloadTests {
    /// Passes queries on and refuses those that are one too many, until it has answered so many.
    private final class Bottleneck: Sendable {
        struct Seen {
            var underWay = 0
            var most = 0
            var mostAfterwards = 0
            var answered = 0
            var refused = 0
        }
        private let host: String
        private let width: Int
        private let lasts: Int
        private let state = Mutex(Seen())

        init(_ database: FirestoreDatabase, width: Int, until lasts: Int) {
            host = database.host
            self.width = width
            self.lasts = lasts
        }

        var seen: Seen { state.withLock { $0 } }

        private var isWaitedFor: Bool {
            state.withLock { (lasts + 40..<lasts + 60).contains($0.answered) && $0.mostAfterwards < 4 }
        }

        func answer(_ request: LoopbackServer.Request) -> LoopbackServer.Answer {
            let isRefused = state.withLock { seen in
                guard seen.underWay < width || seen.answered >= lasts else {
                    seen.refused += 1
                    return true
                }
                seen.underWay += 1
                seen.most = max(seen.most, seen.underWay)
                if seen.answered >= lasts { seen.mostAfterwards = max(seen.mostAfterwards, seen.underWay) }
                return false
            }
            if isRefused {
                return .json(429, #"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED"}}"#)
            }
            // A distant server's latency: without it no two requests are there at once, and the server would never be overloaded.
            usleep(8000)
            // When all readers should be back, as long as it takes to see them together: a busy machine may bring one by one.
            for _ in 0..<200 where isWaitedFor { usleep(5000) }
            defer {
                state.withLock { seen in
                    seen.underWay -= 1
                    seen.answered += 1
                }
            }
            return HTTPProxy.forward(request, to: host)?.passed ?? .close
        }
    }

    @Test func `an overloaded source is read by fewer, and by all again once it can bear it`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<1500).map { .set("memos/\(FirestoreParallelTests.idForms[1]($0))", [:]) })
            let stream = Extraction(database, spool, mode: .full).with { $0.parallel = 4 }.withOptions {
                $0.documentsPerQuery = 10
                $0.rowsPerPage = 100
            }
            let bottleneck = Bottleneck(database, width: 2, until: 90)
            try await withLoopbackServer {
                bottleneck.answer($0)
            } _: { proxy in
                let result = try await stream.behind(proxy).complete()
                #expect(result.counters.rowsSpooled == 1500)
            }
            let seen = bottleneck.seen
            #expect(seen.answered > 150)
            #expect(seen.most >= 4 && seen.mostAfterwards == 4)
            // Readers that all came back at once would be refused about as often as they are answered.
            #expect(seen.refused >= 1 && seen.refused < 25, "\(seen.refused) refusals")
        }
    }

    @Test func `readers are halved by every refusal and come back one by one`() {
        var pace = ReaderPace(most: 8)
        #expect(pace.readers == 8)
        pace.slowDown(from: 8)
        #expect(pace.readers == 4)
        // Two were at work, though more were allowed.
        pace.slowDown(from: 2)
        #expect(pace.readers == 1)
        pace.slowDown(from: 1)
        #expect(pace.readers == 1)
        var answers = 0
        while pace.readers < 8, answers < 1000 {
            let before = pace.readers
            pace.answerCame()
            #expect(pace.readers - before <= 1)
            answers += 1
        }
        #expect(answers == 4 * (1 + 2 + 3 + 4 + 5 + 6 + 7))
        pace.answerCame()
        #expect(pace.readers == 8)
    }
}
