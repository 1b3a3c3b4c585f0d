import Extract
import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

/// Several readers for one collection, and what `check` finds.
@Suite(.firestoreEmulator) struct FirestoreParallelTests {
    static let idForms: [@Sendable (Int) -> String] = [
        { String(format: "d%06d", $0 * 37) },
        { number in
            var random = SeededRandom(seed: UInt64(number) &* 7919)
            let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
            return String((0..<20).map { _ in alphabet[random.next(below: 62)] })
        },
        { "\($0)" }, { "__id\($0 + 1)__" }, { "漢字\($0)" }, { $0 == 0 ? "only" : "only\($0 % 3)x\($0)" },
        // As Firebase's push ids begin; the next characters are a dot and a slash, which no id may be or hold.
        { "-N\($0)" }, { ".\($0)" }, { "a.\($0)" }, { $0.isMultiple(of: 2) ? "__\($0)" : "-\($0)" },
    ]

    @Test(arguments: 0..<10)
    func `any number of readers gives the same rows, whatever the ids look like`(_ form: Int) async throws {
        try await withDatabase { database, spool in
            try await database.write(
                (0..<230).map { .set("memos/\(Self.idForms[form]($0))", ["n": .integer(Int64($0))]) })
            var results: [Set<String>] = []
            for parallel in [1, 3, 8] {
                try await withTemporarySpool { spool in
                    let stream = Extraction(database, spool).with { $0.parallel = parallel }.withOptions {
                        $0.documentsPerQuery = 20
                        $0.rowsPerPage = 15
                    }
                    try await stream.complete()
                    let rows = try await stream.rows()
                    #expect(rows.count == 230)
                    results.append(Set(rows.map(\.lasting)))
                    #expect(try await stream.complete().counters.rowsSpooled == 0)
                }
            }
            #expect(results[0].count == 230)
            #expect(results[0] == results[1] && results[1] == results[2])
        }
    }

    @Test func `counted and made ids are cut into several ranges`() async throws {
        for form in 0..<3 {
            try await withDatabase { database, spool in
                try await database.write((0..<400).map { .set("memos/\(Self.idForms[form]($0))", [:]) })
                let queries = Gathered<String>()
                try await withLoopbackServer { request in
                    if request.text.contains("endAt") || request.text.contains("startAt") { queries.add(request.text) }
                    return HTTPProxy.forward(request, to: database.host)?.passed ?? .close
                } _: { proxy in
                    let stream = Extraction(database, spool, mode: .full).with { $0.parallel = 4 }
                    let spooled = try await stream.behind(proxy).complete().counters.rowsSpooled
                    #expect(spooled == 400)
                }
                let ranges = queries.items.filter { $0.contains("endAt") }
                #expect(ranges.count >= 8, "form \(form)")
            }
        }
    }

    @Test func `a parallel run that is broken and taken up gives every document once, of one moment`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<300).map { .set("memos/\(Self.idForms[1]($0))", ["n": .integer(Int64($0))]) })
            let stream = Extraction(database, spool, mode: .full).with { $0.parallel = 4 }.withOptions {
                $0.documentsPerQuery = 12
                $0.rowsPerPage = 25
                // Half a dozen looks must come through in a row before the first document does.
                $0.patience = .seconds(90)
            }
            let faults = FaultProxy(to: database.host, seed: 11)
            try await withLoopbackServer {
                faults.answer($0)
            } _: { proxy in
                let task = Task {
                    await stream.behind(proxy).run { progress in
                        if progress.rowsSpooled > 100 { withUnsafeCurrentTask { $0?.cancel() } }
                    }
                }
                let cut = await task.value
                #expect(cut.status == .interrupted)
                // What is written now is of another moment.
                try await database.write((0..<300).map { .set("memos/\(Self.idForms[1]($0))", ["n": .integer(-1)]) })
                let finished = try await stream.behind(proxy).complete()
                #expect(finished.runID == cut.runID)
            }
            let rows = try await stream.rows()
            #expect(rows.count == 300 && Set(rows.map(\.path)).count == 300)
            #expect(rows.allSatisfy { $0["n"] != .number("-1") })
        }
    }

    @Test func `partitionQuery is used where it is offered, and other collections of the name are left out`()
        async throws
    {
        try await withDatabase { database, spool in
            try await database.write(
                (0..<60).map { .set("memos/\(String(format: "m%02d", $0))", [:]) }
                    + (0..<20).map { .set("users/u/memos/x\($0)", [:]) })
            let asked = Gathered<String>()
            let cuts = Gathered<String>()
            try await withLoopbackServer { request in
                if request.path.hasSuffix(":partitionQuery") {
                    asked.add(request.text)
                    let second = request.text.contains("pageToken")
                    let names = second ? ["memos/m40", "users/u/memos/x5"] : ["memos/m50", "memos/m20"]
                    let partitions = names.map { #"{"values":[{"referenceValue":"\#(database.root)/\#($0)"}]}"# }
                    return .json(
                        200,
                        #"{"partitions":[\#(partitions.joined(separator: ","))]\#(second ? "" : #","nextPageToken":"next""#)}"#
                    )
                }
                if request.text.contains("endAt") { cuts.add(request.text) }
                return HTTPProxy.forward(request, to: database.host)?.passed ?? .close
            } _: { proxy in
                let stream = Extraction(database, spool, mode: .full).with { $0.parallel = 2 }
                let spooled = try await stream.behind(proxy).complete().counters.rowsSpooled
                #expect(spooled == 60)
                #expect(asked.items.count == 2)
                #expect(
                    asked.items.allSatisfy {
                        $0.contains(#""allDescendants":true"#) && $0.contains(#""partitionCount":"7""#)
                    })
                #expect(cuts.items.count == 3)
                #expect(!cuts.items.contains { $0.contains("users/u") })
            }
        }
    }

    // MARK: Check

    private func findings(_ stream: Extraction) async throws -> [SourceFinding] {
        try await stream.source.findings(stream.request)
    }

    @Test func `check tells how large a collection is and what its watermark can't see`() async throws {
        try await withDatabase { database, spool in
            let incremental = Extraction(database, spool, mode: .incremental, watermark: "at")
            let empty = try await findings(incremental)
            #expect(empty.map(\.level) == [.warning])
            #expect(empty[0].message.contains("no documents"))
            try await database.write([
                .set("memos/a", ["at": .time("2025-01-01T00:00:00Z")]),
                .set("memos/b", ["at": .time("2025-01-02T00:00:00Z")]),
            ])
            let good = try await findings(incremental)
            #expect(good.allSatisfy { $0.level == .ok })
            try await database.write([.set("memos/c", ["at": .text("x")]), .set("memos/d", [:])])
            let mixed = try await findings(incremental)
            #expect(mixed.contains { $0.level == .ok && $0.message.contains("4 documents") })
            #expect(mixed.contains { $0.message.contains("2 timestamps, 1 strings") })
            #expect(
                mixed.contains { $0.message.contains("can't see 2 of 4") && $0.hint?.contains("mode: changes") == true }
            )
            let none = try await findings(Extraction(database, spool, mode: .incremental, watermark: "nowhere"))
            #expect(none.contains { $0.level == .warning && $0.message.contains("nowhere") })
            let plain = try await findings(Extraction(database, spool))
            #expect(plain.allSatisfy { $0.level == .ok })
        }
    }

    @Test(arguments: [true, false])
    func `check tells of the database and of a missing index where the server does`(_ isIndexed: Bool) async throws {
        try await withDatabase { database, spool in
            try await database.set("memos/a", ["at": .time("2025-01-01T00:00:00Z")])
            try await withLoopbackServer { request in
                guard request.method == "GET" else {
                    return HTTPProxy.forward(request, to: database.host)?.passed ?? .close
                }
                if request.path.hasSuffix("/collectionGroups/memos/fields/at") {
                    let index = #"{"queryScope":"COLLECTION","fields":[{"fieldPath":"at","order":"ASCENDING"}]}"#
                    return .json(200, #"{"name":"x","indexConfig":{"indexes":[\#(isIndexed ? index : "")]}}"#)
                }
                return .json(
                    200,
                    #"{"type":"FIRESTORE_NATIVE","databaseEdition":"STANDARD","pointInTimeRecoveryEnablement":"POINT_IN_TIME_RECOVERY_DISABLED"}"#
                )
            } _: { proxy in
                let found = try await findings(
                    Extraction(database, spool, mode: .incremental, watermark: "at").behind(proxy))
                #expect(found.contains { $0.message.contains("standard") })
                #expect(found.contains { $0.message.contains("point-in-time") })
                #expect(found.contains { $0.level == .warning && $0.message.contains("no ascending") } != isIndexed)
            }
        }
    }
}
