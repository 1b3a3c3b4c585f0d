import Extract
import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

/// Any collection, any id, any fault on the way.
@Suite(.firestoreEmulator) struct FirestoreCollectionTests {
    @Test func `collections, subcollections, groups and patterns hold exactly their documents`() async throws {
        try await withDatabase { database, spool in
            try await database.write([
                .set("orders/1", [:]), .set("users/alice/orders/2", [:]), .set("users/bob/orders/3", [:]),
                .set("users/alice/orders/2/parts/p/orders/4", [:]), .set("shops/s/orders/5", [:]),
                // Its parents were never written.
                .set("ghosts/g/users/u/orders/6", [:]), .set("users/alice/other/7", [:]),
                .set("users2/x/orders/8", [:]),
            ])
            let expected: [(String, [String])] = [
                ("orders", ["1"]), ("users/alice/orders", ["2"]), ("**/orders", ["1", "2", "3", "4", "5", "6", "8"]),
                ("users/*/orders", ["2", "3"]), ("ghosts/g/users/u/orders", ["6"]), ("ghosts/g/users", []),
                ("nowhere", []),
            ]
            for mode in FirestoreRunTests.modes {
                for (from, ids) in expected {
                    try await withTemporarySpool { spool in
                        var stream = Extraction(
                            database, spool, from: from, mode: mode, watermark: mode == .incremental ? "at" : nil)
                        if mode == .incremental {
                            // Nothing has the field: only the count of what can't be seen tells.
                            let result = try await stream.complete()
                            #expect(result.counters.rowsSpooled == 0)
                            stream = stream.withOptions { $0.readsEverything = true }
                        }
                        let result = try await stream.complete()
                        #expect(
                            try await stream.rows().compactMap { $0["_id"]?.stringValue }.sorted() == ids,
                            "\(from) \(mode)")
                        #expect((result.warning("no_documents") != nil) == ids.isEmpty, "\(from) \(mode)")
                    }
                }
            }
        }
    }

    static let ids = [
        "__id7__", "__id10__", "__id-3__", "日本語", "a b", "100%", "%2F", "a%20b", "ü", "e\u{301}", "😀", "\"quoted\"",
        "back\\slash", "new\nline", "tab\t", "(x)", "a.b", "`tick`", "#?&=+", "\u{0}null", "~",
        String(repeating: "x", count: 1500),
    ]

    @Test(arguments: FirestoreRunTests.modes)
    func `ids in any script come through, one page a document`(_ mode: ReadMode) async throws {
        try await withDatabase { database, spool in
            let at = JSONValue.time("2025-01-01T00:00:00Z")
            try await database.write(Self.ids.map { .set("memos/\($0)", ["at": at, "id": .text($0)]) })
            let stream = Extraction(database, spool, mode: mode, watermark: mode == .incremental ? "at" : nil)
                .withOptions {
                    $0.rowsPerPage = 1
                    $0.documentsPerQuery = 1
                    $0.keysPerQuery = 1
                }
            try await stream.complete()
            let rows = try await stream.rows()
            #expect(Set(rows.compactMap { $0["_id"]?.stringValue }) == Set(Self.ids))
            #expect(rows.count == Self.ids.count)
            #expect(rows.allSatisfy { $0["id"] == $0["_id"] && $0.path == "memos/" + ($0["_id"]?.stringValue ?? "") })
            if mode != .full { #expect(try await stream.complete().counters.rowsSpooled == 0) }
            guard mode == .changes else { return }
            // Deletes name them by the key kept in the spool.
            try await database.write(Self.ids.prefix(10).map { .delete("memos/\($0)") })
            #expect(try await stream.complete().counters.deletes == 10)
            let gone = try await stream.rows().suffix(10)
            #expect(Set(gone.compactMap { $0["_id"]?.stringValue }) == Set(Self.ids.prefix(10)))
        }
    }

    @Test(arguments: ["日本語", "100%", "a%20b", "a b", "__id7__", "(x)", "#?&=+", "e\u{301}"])
    func `a parent may have any id`(_ id: String) async throws {
        try await withDatabase { database, spool in
            try await database.write([.set("users/\(id)/größe %/1", [:]), .set("users/other/größe %/2", [:])])
            let stream = Extraction(database, spool, from: "users/\(id)/größe %")
            try await stream.complete()
            #expect(try await stream.rows().map(\.path) == ["users/\(id)/größe %/1"])
            #expect(try await stream.complete().counters.rowsSpooled == 0)
        }
    }

    @Test func `named databases are apart, and a reference into another one keeps its full name`() async throws {
        let emulator = try await FirestoreEmulator.running()
        let first = emulator.database()
        let second = FirestoreDatabase(endpoint: first.endpoint, project: first.project, database: "second")
        let own = JSONValue.object([JSONMember("referenceValue", .string(second.root + "/users/a"))])
        let other = JSONValue.object([JSONMember("referenceValue", .string(first.root + "/users/a"))])
        try await first.set("memos/in-first", [:])
        try await second.set("memos/in-second", ["own": own, "other": other, "list": .list(own, other)])
        try await withTemporarySpool { spool in
            let stream = Extraction(second, spool)
            try await stream.complete()
            let rows = try await stream.rows()
            #expect(rows.map(\.path) == ["memos/in-second"])
            #expect(rows.first?["own"] == "users/a")
            #expect(rows.first?["other"] == .string(first.root + "/users/a"))
            #expect(rows.first?["list"] == .string(#"["users/a","\#(first.root)/users/a"]"#))
        }
    }

    @Test func `fields whose names hold dots, quotes and spaces, or differ in case alone`() async throws {
        try await withDatabase { database, spool in
            let fields: [String: JSONValue] = [
                "a.b": .integer(1), "a": .map(["b": .integer(2)]), "sp ace": .integer(3), "`tick`": .integer(4),
                "back\\slash": .integer(5), "Case": .integer(6), "case": .integer(7), "größe": .integer(8),
                "1": .integer(9),
            ]
            try await database.set("memos/m", fields)
            let all = Extraction(database, spool)
            try await all.complete()
            let row = try #require(try await all.rows().first)
            #expect(row["a_b"] == .number("1"))
            #expect(row["a"] == .string(#"{"b":2}"#))
            #expect(row["Case"] == .number("6") && row["case_2"] == .number("7"))
            for name in fields.keys where name != "a" {
                try await withTemporarySpool { spool in
                    let one = Extraction(database, spool).with { $0.columns = [name] }
                    try await one.complete()
                    let row = try #require(try await one.rows().first)
                    let values = row.json.objectValue?.filter {
                        !$0.name.hasPrefix("_") || $0.name == "_tick_" || $0.name == "_1"
                    }
                    #expect(values?.count == 1, "\(name)")
                }
            }
        }
    }

    @Test(arguments: 1...6)
    func `a proxy that breaks every other answer changes no row`(_ seed: UInt64) async throws {
        try await withDatabase { database, spool in
            let mode = FirestoreRunTests.modes[Int(seed) % 3]
            let start = Timestamp.now().advanced(by: .seconds(-7200))
            func document(_ number: Int, _ text: String) -> FirestoreDatabase.Write {
                .set(
                    "memos/m\(number)",
                    ["at": .time(start.advanced(by: .seconds(number / 4)).description), "text": .text(text)])
            }
            try await database.write((0..<150).map { document($0, String(repeating: "é", count: $0 % 50)) })
            let direct = Extraction(database, spool, mode: mode, watermark: mode == .incremental ? "at" : nil)
                .withOptions {
                    $0.rowsPerPage = 16
                    $0.documentsPerQuery = 25
                    $0.keysPerQuery = 20
                    $0.documentsPerFetch = 9
                }
            let faults = FaultProxy(to: database.host, seed: seed)
            try await withTemporarySpool { other in
                try await withLoopbackServer {
                    faults.answer($0)
                } _: { proxy in
                    try await direct.complete()
                    try await direct.into(other).behind(proxy).complete()
                    try await database.write(
                        (0..<40).map { document($0 * 3, "new") } + (140..<150).map { .delete("memos/m\($0)") })
                    try await direct.complete()
                    try await direct.into(other).behind(proxy).complete()
                }
                #expect(faults.faults > 10)
                let expected = try await direct.rows()
                let rows = try await direct.into(other).rows()
                // A snapshot's ids carry its run.
                func comparable(_ rows: [SpooledRow]) -> [String] {
                    rows.map { row in
                        mode == .full ? row.lasting.replacingOccurrences(of: row.insertID, with: "") : row.lasting
                    }
                }
                #expect(comparable(rows) == comparable(expected))
            }
        }
    }

    @Test func `a source that stays away ends after the patience, and nothing is lost`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<20).map { .set("memos/m\($0)", [:]) })
            let stream = Extraction(database, spool, mode: .full).withOptions {
                $0.documentsPerQuery = 5
                $0.rowsPerPage = 5
                $0.patience = .milliseconds(100)
            }
            let answers = Gathered<Int>()
            try await withLoopbackServer { request in
                answers.add(1)
                return answers.items.count > 3
                    ? .json(503, "{}") : HTTPProxy.forward(request, to: database.host)?.passed ?? .close
            } _: { proxy in
                let result = await stream.behind(proxy).run()
                #expect(result.kind == .unavailable)
                #expect(result.status == .failed)
            }
            let left = try await stream.rows().count
            #expect(left > 0 && left < 20)
            #expect(try await stream.complete().counters.rowsSpooled == 20 - left)
        }
    }

    @Test(arguments: [
        (403, "PERMISSION_DENIED", ExtractError.Kind.denied, "roles/datastore.viewer"),
        (404, "NOT_FOUND", .configuration, "database"), (401, "UNAUTHENTICATED", .denied, "credentials"),
    ])
    func `no permission, no database and no collection are told apart`(
        _ code: Int, _ status: String, _ kind: ExtractError.Kind, _ hint: String
    ) async throws {
        try await withDatabase { database, spool in
            let stream = Extraction(database, spool)
            try await withLoopbackServer { _ in
                .json(code, #"{"error":{"code":\#(code),"message":"The reason.","status":"\#(status)"}}"#)
            } _: { proxy in
                let result = await stream.behind(proxy).run()
                #expect(result.kind == kind)
                let error = try #require(result.error as? ExtractError)
                #expect(error.description.contains("The reason."))
                #expect(error.hint?.contains(hint) == true)
            }
        }
    }
}
