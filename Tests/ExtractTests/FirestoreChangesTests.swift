import Extract
import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@Suite(.firestoreEmulator) struct FirestoreChangesTests {
    @Test func `what changed, came and went becomes exactly so many rows, and a quiet run none`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<300).map { .set("memos/m\($0)", ["n": .integer(Int64($0))]) })
            let stream = Extraction(database, spool)
            #expect(try await stream.complete().counters.rowsSpooled == 300)
            let quiet = try await stream.complete()
            #expect(quiet.counters.rowsSpooled == 0)
            #expect(quiet.status == .complete)

            try await database.write(
                (0..<7).map { .set("memos/m\($0 * 11)", ["n": .integer(-1)]) }
                    + (0..<5).map { .delete("memos/m\(100 + $0)") }
                    + (0..<5).map { .set("memos/new\($0)", [:]) })
            let result = try await stream.complete()
            #expect(result.counters.rowsSpooled == 17)
            #expect(result.counters.deletes == 5)
            let rows = try await stream.rows().suffix(17)
            #expect(
                Set(rows.filter { $0.operation == "delete" }.map(\.path)) == Set((100..<105).map { "memos/m\($0)" }))
            #expect(rows.filter { $0["n"] == .number("-1") }.count == 7)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
        }
    }

    @Test func `a delete has no fields and the last known times, and its version is the last update`() async throws {
        try await withDatabase { database, spool in
            try await database.write([.set("memos/a", ["n": .integer(1)]), .set("memos/b", [:]), .set("memos/c", [:])])
            let stream = Extraction(database, spool)
            try await stream.complete()
            let before = try await stream.rows().first { $0.path == "memos/a" }
            try await database.delete("memos/a")
            try await stream.complete()
            let row = try #require(try await stream.rows().last)
            #expect(row["_op"] == "delete")
            #expect(row["_created_at"] == before?["_created_at"])
            #expect(row["_updated_at"] == before?["_updated_at"])
            #expect(row["_id"] == "a")
            #expect(
                row.json.objectValue?.map(\.name) == [
                    "_id", "_path", "_created_at", "_updated_at", "_extracted_at", "_run_id", "_op", "_insert_id",
                ])
            #expect(row.insertID != before?.insertID)
        }
    }

    @Test func `a document that is deleted and returns is three rows with three ids`() async throws {
        try await withDatabase { database, spool in
            try await database.write([.set("memos/a", ["n": .integer(1)]), .set("memos/b", [:]), .set("memos/c", [:])])
            let stream = Extraction(database, spool)
            try await stream.complete()
            try await database.delete("memos/a")
            try await stream.complete()
            try await database.set("memos/a", ["n": .integer(1)])
            try await stream.complete()
            let rows = try await stream.rows().filter { $0.path == "memos/a" }
            #expect(rows.map(\.operation) == ["upsert", "delete", "upsert"])
            #expect(Set(rows.map(\.insertID)).count == 3)
        }
    }

    @Test func `a raised generation sends everything and still finds what is gone`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<20).map { .set("memos/m\($0)", ["n": .integer(Int64($0))]) })
            let stream = Extraction(database, spool)
            try await stream.complete()
            let gone = try await stream.rows().first { $0.path == "memos/m7" }
            try await database.delete("memos/m7")
            let raised = stream.with { $0.generation = 1 }
            let result = try await raised.complete()
            #expect(result.counters.rowsSpooled == 20 && result.counters.deletes == 1)
            let delete = try #require(try await stream.rows().last { $0.operation == "delete" })
            #expect(delete.path == "memos/m7" && delete["_updated_at"] == gone?["_updated_at"])
            #expect(delete["_created_at"] == gone?["_created_at"])
            #expect(try await raised.complete().counters.rowsSpooled == 0)
            // Back in an earlier one, documents are known by the ids they had.
            try await stream.complete()
            let ids = try await stream.rows().map(\.insertID)
            #expect(Set(ids).count == ids.count)
            try await database.write((8..<20).map { .delete("memos/m\($0)") })
            #expect(await stream.with { $0.generation = 2 }.run().kind == .massDelete)
        }
    }

    @Test func `more than half gone stops before anything is spooled, unless it is allowed`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<10).map { .set("memos/m\($0)", [:]) })
            let stream = Extraction(database, spool)
            try await stream.complete()
            try await database.write((0..<6).map { .delete("memos/m\($0)") } + [.set("memos/m9", ["n": .integer(1)])])
            let stopped = await stream.run()
            #expect(stopped.kind == .massDelete)
            #expect(stopped.status == .failed)
            #expect(try await stream.rows().count == 10)
            let allowed = try await stream.withOptions { $0.allowsMassDelete = true }.complete()
            #expect(allowed.counters.deletes == 6)
            #expect(allowed.counters.rowsSpooled == 7)
        }
    }

    @Test func `exactly half gone is no mass delete`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<10).map { .set("memos/m\($0)", [:]) })
            let stream = Extraction(database, spool)
            try await stream.complete()
            try await database.write((0..<5).map { .delete("memos/m\($0)") })
            #expect(try await stream.complete().counters.deletes == 5)
        }
    }

    @Test(arguments: ["[]", "{}", "", #"[{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}]"#])
    func `an empty answer or a refusal never looks like a delete`(_ answer: String) async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<40).map { .set("memos/m\(10 + $0)", [:]) })
            let stream = Extraction(database, spool).withOptions { $0.keysPerQuery = 30 }
            try await stream.complete()
            try await withLoopbackServer { request in
                // The second page of the scan is spoiled: a quarter of the documents would be missing.
                request.text.contains("startAt")
                    ? .json(200, answer) : HTTPProxy.forward(request, to: database.host)?.passed ?? .close
            } _: { proxy in
                let spoiled = await stream.behind(proxy).withOptions { $0.patience = .milliseconds(20) }.run()
                #expect(spoiled.error != nil)
            }
            #expect(try await stream.rows().count == 40)
            let result = try await stream.complete()
            #expect(result.counters.rowsSpooled == 0)
            #expect(result.counters.deletes == 0)
        }
    }

    @Test func `a known collection that is gone whole is guarded, and then said to be empty`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<25).map { .set("memos/m\($0)", [:]) })
            let stream = Extraction(database, spool).withOptions { $0.keysPerQuery = 10 }
            try await stream.complete()
            try await database.write((0..<25).map { .delete("memos/m\($0)") })
            #expect(await stream.run().kind == .massDelete)
            let allowed = try await stream.withOptions { $0.allowsMassDelete = true }.complete()
            #expect(allowed.counters.deletes == 25)
            #expect(allowed.warning("no_documents") != nil)
            #expect(try await stream.complete().counters.rowsSpooled == 0)
        }
    }

    @Test func `only what changed is fetched`() async throws {
        try await withDatabase { database, spool in
            try await database.write(
                (0..<50).map { .set("memos/m\($0)", ["text": .text(String(repeating: "x", count: 2000))]) })
            let stream = Extraction(database, spool)
            try await stream.complete()
            try await database.set("memos/m7", ["text": .text("y")])
            let result = try await stream.complete()
            // The look at the clock, 50 names, one document.
            #expect(result.counters.sourceReads == 52)
            #expect(result.counters.rowsSpooled == 1)
            #expect(result.counters.rowsUnchanged == 49)
        }
    }

    @Test func `full reads everything again and spools no version twice`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<20).map { .set("memos/m\($0)", ["n": .integer(1)]) })
            let stream = Extraction(database, spool).withOptions { $0.readsEverything = true }
            #expect(try await stream.complete().counters.rowsSpooled == 20)
            try await database.write([.set("memos/m3", ["n": .integer(2)]), .delete("memos/m4")])
            let result = try await stream.complete()
            #expect(result.counters.rowsSpooled == 2)
            #expect(result.counters.rowsUnchanged == 18)
            #expect(result.counters.rowsRead == 19 + 19)
            #expect(result.counters.deletes == 1)
        }
    }

    @Test func `a group's documents at every depth are compared in their own order`() async throws {
        try await withDatabase { database, spool in
            let ids = [
                "__id10__", "__id-3__", "__id7__", "10", "9", "A", "a", "a b", "ä", "~", "\u{FFFD}", "😀", "a%2F",
            ]
            var writes: [FirestoreDatabase.Write] = []
            for id in ids {
                writes.append(.set("orders/\(id)", [:]))
                writes.append(.set("users/\(id)/orders/\(id)", [:]))
                writes.append(.set("users/x/orders/\(id)/deep/y/orders/\(id)", [:]))
            }
            try await database.write(writes)
            for from in ["**/orders", "users/*/orders", "orders"] {
                try await withTemporarySpool { spool in
                    let stream = Extraction(database, spool, from: from).withOptions { $0.keysPerQuery = 4 }
                    let expected = from == "**/orders" ? 39 : 13
                    #expect(try await stream.complete().counters.rowsSpooled == expected)
                    #expect(try await stream.complete().counters.rowsSpooled == 0)
                    let paths = Set(try await stream.rows().map(\.path))
                    #expect(paths.count == expected)
                }
            }
        }
    }
}
