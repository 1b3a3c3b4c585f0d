import Extract
import JSONBytes
import Sandbox
import Spool
import TestSupport
import Testing

@Suite struct BigQueryContractTests {
    /// The contract's table, as often as a test changes it.
    private func row(_ id: Int, _ note: String, minute: Int) -> String {
        #"{"id":\#(id),"updated_at":"2025-11-25T14:\#(minute):00Z","note":"\#(note)"}"#
    }

    private var rows: [String] { (1...25).map { row($0, "note \($0)", minute: 10 + $0 / 10) } }

    private func withContract(_ body: (SourceContract) async throws -> Void) async throws {
        try await withWarehouse { warehouse in
            try await warehouse.makeTable(
                schema:
                    #"[{"name":"id","type":"INTEGER"},{"name":"updated_at","type":"TIMESTAMP"},{"name":"note","type":"STRING"}]"#
            )
            try await warehouse.insert(rows)
            let changed = (1...25).map {
                $0 > 5 ? row($0, "note \($0)", minute: 10 + $0 / 10) : row($0, "changed", minute: 30)
            }
            let contract = SourceContract(
                stream: { spool, mode in
                    let watermark = mode == .incremental ? "updated_at" : nil
                    return SQLExtraction(warehouse.source, spool, from: "shop.orders", mode: mode, watermark: watermark)
                    {
                        $0.key = ["id"]
                    }
                },
                changeFiveRows: { try await warehouse.replace(changed) },
                removeTwoRows: {
                    let kept = try warehouse.sandbox.state.rows(of: "p.shop.orders").filter {
                        ($0["id"]?.intValue ?? 0) > 2
                    }
                    try await warehouse.replace(kept.map(\.text))
                },
                restoreTwoRows: {
                    let kept = try warehouse.sandbox.state.rows(of: "p.shop.orders").map(\.text)
                    try await warehouse.replace(Array(changed[0..<2]) + kept)
                })
            try await body(contract)
        }
    }

    @Test func `a second run of unchanged data spools nothing`() async throws {
        try await withContract { try await $0.verifySecondRunSpoolsNothing() }
    }

    @Test func `ids are the same in another spool`() async throws {
        try await withContract { try await $0.verifyIDsAreStable() }
    }

    @Test func `a run cut off between any two pages gives the rows of an undisturbed one`() async throws {
        try await withContract { try await $0.verifyResume() }
    }

    @Test func `changes, deletes and returns are found`() async throws {
        try await withContract { try await $0.verifyChanges() }
    }

    @Test func `changes beyond the watermark are found`() async throws {
        try await withContract { try await $0.verifyIncrementalFindsChanges() }
    }

    @Test func `changes goes on after a cut in which rows changed and went`() async throws {
        try await withContract { try await $0.verifyChangesOverACut() }
    }

    @Test func `what --full read ahead of the watermark is not spooled again`() async throws {
        try await withContract { try await $0.verifyFullAheadOfIncremental() }
    }

    @Test func `a raised generation sends everything and still finds what is gone`() async throws {
        try await withContract { try await $0.verifyGeneration() }
    }
}
