import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

@Suite(.firestoreEmulator) struct PathTests {
    @Test func `documents arrive, changes follow, and nothing is sent when nothing changed`() async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<60)
            let extracted = try await pipeline.stream("extract")
            #expect(extracted["rows_spooled"]?.intValue == 60)
            let shipped = try await pipeline.program.run("ship", "--json")
            #expect(shipped.code == 0)
            #expect(try shipped.json()["status"] == "drained")
            #expect(try pipeline.sandbox.state.rowCount(of: "p.d.memos") == 60)

            try await pipeline.seed(3..<8, revision: 1)
            #expect(try await pipeline.stream("extract")["rows_spooled"]?.intValue == 5)
            #expect(try await pipeline.stream("ship")["delivered"]?.intValue == 5)
            #expect(try pipeline.sandbox.state.rowCount(of: "p.d.memos") == 65)

            #expect(try await pipeline.stream("extract")["rows_spooled"]?.intValue == 0)
            #expect(try await pipeline.stream("ship")["delivered"]?.intValue == 0)
            #expect(try await pipeline.program.run("audit", "--json").json()["balanced"] == true)
        }
    }

    @Test func `a value of another type than its column's is in _rescued and the row is delivered`() async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<21)
            _ = try await pipeline.program.run("run", "--json")
            for row in try pipeline.sandbox.state.rows(of: "p.d.memos") {
                let number = Int(row["number"]?.intValue ?? -1)
                let rescued = try row["_rescued"]?.stringValue.map { try JSONValue(parsing: $0) }
                if number.isMultiple(of: 7) {
                    #expect(row["last_modified"]?.isNull ?? true)
                    #expect(rescued?["last_modified"]?.stringValue == "on day \(number)")
                } else {
                    #expect(row["last_modified"] != nil && row["last_modified"] != .null)
                    #expect(rescued == nil)
                }
            }
        }
    }

    @Test func `extract works while BigQuery is down, ship while Firestore is`() async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<10)
            pipeline.sandbox.stop()
            #expect(try await pipeline.program.run("extract").code == 0)
            let offline = try await pipeline.program.run("ship", "--patience", "1s", "--json")
            #expect(offline.code == 75)
            #expect(try offline.json()["error"]?["code"] == "unavailable")
            #expect(offline.diagnostics.contains("10 rows are safe"))
        }
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<10)
            #expect(try await pipeline.program.run("extract").code == 0)
            try pipeline.reconfigure(pipeline.database.endpoint, "http://127.0.0.1:9")
            #expect(try await pipeline.program.run("ship").code == 0)
            #expect(try await pipeline.program.run("extract", "--patience", "1s").code == 69)
        }
    }
}
