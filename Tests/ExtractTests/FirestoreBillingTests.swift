import Extract
import Foundation
import JSONBytes
import Spool
import Synchronization
import TestSupport
import Testing

/// What a run costs, counted outside of it.
@Suite(.firestoreEmulator) struct FirestoreBillingTests {
    /// Passes everything on, and adds up what Google would bill for the answers.
    private final class Cashier: Sendable {
        struct Account {
            var requests: [JSONValue] = []
            var reads = 0
            /// Documents that came with their fields.
            var documents = 0
        }
        private let host: String
        private let account = Mutex(Account())

        init(_ database: FirestoreDatabase) { host = database.host }

        /// Since the last look.
        func take() -> Account {
            account.withLock { account in
                defer { account = Account() }
                return account
            }
        }

        func answer(_ request: LoopbackServer.Request) -> LoopbackServer.Answer {
            guard let answer = HTTPProxy.forward(request, to: host) else { return .close }
            let asked = (try? JSONValue(parsing: request.body)) ?? .null
            let elements = answer.status == 200 ? (try? JSONValue(parsing: answer.body))?.arrayValue ?? [] : []
            let documents = elements.count { ($0["document"] ?? $0["found"]) != nil }
            account.withLock { account in
                account.requests.append(asked)
                if answer.status != 200 { return }
                if request.path.hasSuffix(":runAggregationQuery") {
                    let fields = elements.compactMap { $0["result"]?["aggregateFields"] }.first
                    account.reads += max(1, (Int(fields?["n"]?["integerValue"]?.intValue ?? 0) + 999) / 1000)
                } else if request.path.hasSuffix(":batchGet") {
                    account.reads += elements.count { ($0["found"] ?? $0["missing"]) != nil }
                    account.documents += documents
                } else if request.path.hasSuffix(":runQuery") {
                    account.reads += max(1, documents)
                    let names = asked["structuredQuery"]?["select"]?["fields"]?.arrayValue?.map { $0["fieldPath"] }
                    if names != ["__name__"] { account.documents += documents }
                }
            }
            return answer.passed
        }
    }

    private static func names(in json: JSONValue) -> Set<String> {
        switch json {
        case .object(let members):
            members.reduce(into: Set(members.map(\.name))) { $0.formUnion(names(in: $1.value)) }
        case .array(let items): items.reduce(into: []) { $0.formUnion(names(in: $1)) }
        default: []
        }
    }

    private func documents(_ numbers: Range<Int>, _ text: String) -> [FirestoreDatabase.Write] {
        numbers.map { number in
            .set(
                "memos/\(String(format: "order-2025-%05d", number))",
                [
                    "at": .time(Timestamp.now().advanced(by: .seconds(-7200 + number / 4)).description),
                    "text": .text(text),
                ])
        }
    }

    @Test(arguments: FirestoreRunTests.modes, [1, 4])
    func `no query skips documents by offset, and the reads told are those billed`(_ mode: ReadMode, _ parallel: Int)
        async throws
    {
        try await withDatabase { database, spool in
            let cashier = Cashier(database)
            try await withLoopbackServer {
                cashier.answer($0)
            } _: { proxy in
                let stream = Extraction(database, spool, mode: mode, watermark: mode == .incremental ? "at" : nil)
                    .with { $0.parallel = parallel }.withOptions {
                        $0.documentsPerQuery = 40
                        $0.rowsPerPage = 30
                        $0.keysPerQuery = 70
                        $0.documentsPerFetch = 9
                    }.behind(proxy)
                var paid = 0
                func run(_ stream: Extraction, reading documents: Int?, extra: Int) async throws {
                    let result = try await stream.complete()
                    let account = cashier.take()
                    #expect(result.counters.sourceReads == account.reads)
                    if let documents { #expect(account.documents == documents) }
                    #expect(account.reads <= (documents ?? account.documents) + extra, "\(account.reads)")
                    #expect(!account.requests.contains { Self.names(in: $0).contains("offset") })
                    paid += account.reads
                }
                // Looks at the clock, for bounds and for cuts, counts, and the empty ends of ranges: never a second time through the collection.
                let overhead = parallel == 1 ? 12 : 120
                try await database.write(documents(0..<500, "old"))
                try await run(stream, reading: 500, extra: overhead)
                try await database.write(documents(490..<510, "new") + [.delete("memos/order-2025-00007")])
                // A scan reads every name once; what the lookback covers is read again.
                let again: Int? = mode == .full ? 509 : mode == .changes ? 20 : nil
                try await run(stream, reading: again, extra: overhead + (mode == .changes ? 509 : 0))
                try await run(stream.withOptions { $0.readsEverything = true }, reading: nil, extra: overhead + 600)
                #expect(paid > 1000)
                // What `extract --dry-run` and `check` ask for.
                #expect(try await stream.source.count(stream.request) == 509)
                _ = try await stream.source.findings(stream.request)
                let account = cashier.take()
                #expect(account.documents == 0 && account.reads < 12)
                #expect(!account.requests.contains { Self.names(in: $0).contains("offset") })
            }
        }
    }
}
