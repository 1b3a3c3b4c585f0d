import Spool
import Testing
import Transport

@testable import Extract

@Suite struct InsertIDTests {
    private func id(
        table: String, stream: String, identity: String, version: String, operation: RowOperation = .upsert,
        generation: Int = 0, run: String? = nil
    ) -> String {
        let maker = InsertIDMaker(table: table, stream: stream, generation: generation, runID: run)
        return Array(identity.utf8).withUnsafeBytes { identity in
            Array(version.utf8).withUnsafeBytes { version in
                maker.withID(identity: identity, operation: operation, version: version) {
                    String(decoding: $0, as: UTF8.self)
                }
            }
        }
    }

    @Test func `the two vectors of the contract`() {
        #expect(
            id(
                table: "b2b-recs.raw_data.bq_memos", stream: "memos", identity: "memos/m1",
                version: "2025-11-25T14:57:57.425Z") == "qTCT2YlXr5CBv4Wqvwm3EA")
        let hash = Digest.hex(Digest.sha256(Array(#"{"amount":"1.10","id":7}"#.utf8)))
        #expect(
            id(table: "b2b-recs.raw_data.orders", stream: "orders", identity: "7", version: hash)
                == "DF2JOe6FznXGt9fjDFDJeQ")
    }

    @Test func `every part is told apart, and the parts do not run into each other`() {
        let ids = [
            id(table: "t", stream: "s", identity: "i", version: "v"),
            id(table: "ts", stream: "", identity: "i", version: "v"),
            id(table: "t", stream: "si", identity: "", version: "v"),
            id(table: "t", stream: "s", identity: "iv", version: ""),
            id(table: "t", stream: "s", identity: "i", version: "v", operation: .delete),
            id(table: "t", stream: "s", identity: "i", version: "v", generation: 1),
            id(table: "t", stream: "s", identity: "i", version: "v", generation: 2),
            id(table: "t", stream: "s", identity: "i", version: "v", run: "r1"),
            id(table: "t", stream: "s", identity: "i", version: "v", run: "r2"),
        ]
        #expect(Set(ids).count == ids.count)
        #expect(ids.allSatisfy { $0.utf8.count == RowBatch.insertIDLength })
    }

    @Test func `a generation ends the version, a run follows it`() {
        #expect(
            id(table: "t", stream: "s", identity: "i", version: "v", generation: 3)
                == id(table: "t", stream: "s", identity: "i", version: "v@3"))
        let expected = Digest.base64URL(Array(Digest.sha256(Array("t\0s\0i\0upsert\0v@3\0r".utf8)).prefix(16)))
        #expect(id(table: "t", stream: "s", identity: "i", version: "v", generation: 3, run: "r") == expected)
    }
}
