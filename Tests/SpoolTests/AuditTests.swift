import GRDB
import TestSupport
import Testing

@testable import Spool

/// Each check fails when, and only when, what it watches over is broken behind the program's back.
@Suite struct AuditTests {
    struct Damage: CustomTestStringConvertible, Sendable {
        var sql: String
        var fails: Set<String>
        var testDescription: String { sql }
    }

    private static let damages = [
        Damage(sql: "DELETE FROM row_data WHERE id = 'm3'", fails: ["watermark_covered", "ledger_balances"]),
        Damage(
            sql:
                "DELETE FROM row_data WHERE id = 'm3'; UPDATE routes SET spooled = spooled - 1, unclaimed = unclaimed - 1",
            fails: ["watermark_covered"]),
        Damage(
            sql: "UPDATE run_log SET rows_spooled = rows_spooled + 1, last_row = last_row + 1",
            fails: ["watermark_covered"]),
        Damage(sql: "UPDATE routes SET unclaimed = unclaimed + 1", fails: ["ledger_balances"]),
        Damage(sql: "UPDATE request_log SET own_rows = own_rows - 1", fails: ["ledger_balances"]),
        Damage(sql: "DELETE FROM request_log", fails: ["ledger_balances", "no_orphans"]),
        Damage(sql: "UPDATE routes SET retired = retired + 1", fails: ["ledger_balances"]),
        Damage(
            sql: "UPDATE row_data SET insert_id = (SELECT insert_id FROM row_data WHERE id = 'm1') WHERE id = 'm2'",
            fails: ["insert_ids_unique", "payloads_intact"]),
        Damage(sql: "UPDATE row_data SET payload = replace(payload, 'Memo', 'Meno')", fails: ["payloads_intact"]),
        Damage(sql: "UPDATE row_data SET checksum = checksum + 1 WHERE id = 'm9'", fails: ["payloads_intact"]),
        Damage(
            sql: "UPDATE row_data SET run_no = 77 WHERE id = 'm1'",
            fails: ["no_orphans", "watermark_covered", "ledger_balances"]),
        Damage(sql: "UPDATE row_data SET shape = 77 WHERE id = 'm1'", fails: ["no_orphans", "payloads_intact"]),
        Damage(sql: "UPDATE row_data SET extracted_at = extracted_at + 1 WHERE id = 'm1'", fails: ["payloads_intact"]),
        Damage(sql: "UPDATE row_data SET op = 1 WHERE id = 'm1'", fails: ["payloads_intact"]),
        Damage(
            sql: "INSERT INTO row_fates (row_id, state) SELECT max(row_id) + 5, 'rejected' FROM row_data",
            fails: ["no_orphans", "ledger_balances"]),
        Damage(sql: "SELECT 1", fails: []),
    ]

    @Test(arguments: [
        "SELECT 1", "DELETE FROM routes", "INSERT INTO row_fates (row_id, state) VALUES (99, 'rejected')",
        "UPDATE request_log SET route = 77", "UPDATE run_log SET route = 77",
    ])
    func `what belongs to no stream is found`(sql: String) async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<10)
            _ = try await spool.beginAll(of: route)
            try await spool.write { try $0.execute(sql: sql) }
            #expect(try await spool.checkStrays().isOK == (sql == "SELECT 1"))
        }
    }

    @Test(arguments: damages)
    func `what is broken is found by its check and by no other`(damage: Damage) async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<10)
            let rows = try await spool.rowIDs(.all(route: route.number))
            let requests = try await spool.begin([
                NewRequest(route: route.number, rows: .range(first: rows[0], last: rows[1], count: 2), bytes: 1)
            ])
            var answer = Settlement(requests[0], rest: .inDoubt(.unknown))
            answer.exceptions = [RowSettlement(rows[0], .inDoubt(.settling))]
            try await spool.settle([answer])
            try await spool.write { try $0.execute(sql: damage.sql) }
            let checks = try await spool.audit(route) { payload, insertID in
                String(decoding: payload, as: UTF8.self).contains(String(decoding: insertID, as: UTF8.self))
            }
            #expect(
                checks.map(\.name) == [
                    "ledger_balances", "watermark_covered", "insert_ids_unique", "payloads_intact", "no_orphans",
                ])
            #expect(Set(checks.filter { !$0.isOK }.map(\.name)) == damage.fails, "\(checks.filter { !$0.isOK })")
            #expect(try await spool.checkIntegrity().isOK)
        }
    }

    @Test func `rows that retention removed are no gap`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<10, run: "first")
            try await spool.settle(try await spool.beginAll(of: route).map { Settlement($0, rest: .delivered) })
            try await spool.spool(10..<15, run: "second")
            try await spool.retire(deliveredBefore: .maximum)
            try await expectSoundBooks(spool, route)
            try await spool.write { try $0.execute(sql: "UPDATE run_log SET retired = 9 WHERE run_id = 'first'") }
            let check = try await spool.audit(route, payloadMatches: { _, _ in true })[1]
            #expect(!check.isOK && check.detail.contains("run first"))
        }
    }

    @Test func `a row whose bytes changed is known before it is sent`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<3)
            try await spool.write {
                try $0.execute(sql: "UPDATE row_data SET payload = replace(payload, 'Memo 1', 'Memo 7')")
            }
            let intact = Gathered<Bool>()
            try await spool.readRows(.fresh(route: route.number, after: nil), limit: 10) { row in
                intact.add(row.isIntact)
                return true
            }
            #expect(intact.items == [true, false, true])
        }
    }

    @Test func `another route's damage is not this one's`() async throws {
        try await withTemporarySpool { spool in
            let memos = try await spool.spool(0..<3)
            let orders = try await spool.spool(0..<3, to: .memos("orders"))
            try await spool.write { try $0.execute(sql: "DELETE FROM row_data WHERE insert_id LIKE 'orders%'") }
            try await expectSoundBooks(spool, memos)
            let failed = try await spool.audit(orders, payloadMatches: { _, _ in true }).filter { !$0.isOK }
            #expect(failed.count == 2)
        }
    }
}
