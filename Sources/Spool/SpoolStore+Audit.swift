internal import GRDB

/// One named check of `audit`.
package struct AuditCheck: Sendable, Equatable {
    package var name: String
    package var isOK: Bool
    package var detail: String

    package init(name: String, isOK: Bool, detail: String) {
        self.name = name
        self.isOK = isOK
        self.detail = detail
    }
}

extension SpoolStore {
    /// Checks a route's books against its rows. O(rows of the route): every payload is read and its checksum computed.
    ///
    /// - Parameter payloadMatches: tells whether a payload is well formed and holds this insertId; the spool does not look inside.
    package func audit(
        _ route: Route,
        payloadMatches:
            @escaping @Sendable (_ payload: UnsafeRawBufferPointer, _ insertID: UnsafeRawBufferPointer) -> Bool
    ) async throws -> [AuditCheck] {
        let damaged = try await damagedRows(of: route, payloadMatches: payloadMatches)
        return try await read { database in
            [
                try Self.checkLedger(route, database),
                try Self.checkWatermark(route, database),
                try Self.checkInsertIDs(route, database),
                AuditCheck(
                    name: "payloads_intact", isOK: damaged.isEmpty,
                    detail: damaged.isEmpty
                        ? "every payload matches its checksum and insertId"
                        : "damaged rows: " + damaged.prefix(20).map { String($0.rawValue) }.joined(separator: ", ")
                            + (damaged.count > 20 ? " and \(damaged.count - 20) more" : "")),
                try Self.checkOrphans(route, database),
            ]
        }
    }

    /// SQLite's own check of the whole file. O(file).
    package func checkIntegrity() async throws -> AuditCheck {
        try await read { database in
            let findings = try String.fetchAll(database, sql: "PRAGMA integrity_check(20)")
            let isOK = findings == ["ok"]
            return AuditCheck(
                name: "sqlite_integrity", isOK: isOK,
                detail: isOK ? "the database file is sound" : findings.joined(separator: "; "))
        }
    }

    private func damagedRows(
        of route: Route,
        payloadMatches: @escaping @Sendable (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
    ) async throws -> [RowID] {
        let found = Collected<RowID>()
        try await readRows(.all(route: route.number), limit: Int(Int32.max)) { row in
            if !row.isIntact || !payloadMatches(row.payload, row.insertID) { found.add(row.id) }
            return true
        }
        return found.items
    }

    private static func checkLedger(_ route: Route, _ database: Database) throws -> AuditCheck {
        guard let entry = try ledger(database).first(where: { $0.route == route }) else {
            return AuditCheck(name: "ledger_balances", isOK: false, detail: "the route is not in the ledger")
        }
        // The same once more from the rows themselves, as the public view shows them.
        var counted = LedgerEntry(route: route, spooled: entry.spooled)
        counted.retired = entry.retired
        let rows = try Row.fetchCursor(
            database,
            sql: "SELECT state, count(*) AS n FROM spooled_rows WHERE row_id > ? AND row_id < ? GROUP BY state",
            arguments: [
                RowID(route: route.number, position: 0).rawValue, RowID(route: route.number + 1, position: 0).rawValue,
            ])
        while let row = try rows.next() {
            guard let state = RowState(rawValue: row["state"]) else { continue }
            counted.add(row["n"], to: state)
        }
        let isOK = entry.isBalanced && counted == entry
        return AuditCheck(
            name: "ledger_balances", isOK: isOK,
            detail: isOK
                ? "\(entry.spooled) rows spooled, all accounted for"
                : "the books say \(summary(entry)); the rows say \(summary(counted))")
    }

    private static func summary(_ entry: LedgerEntry) -> String {
        "spooled \(entry.spooled), pending \(entry.pending), sending \(entry.sending), in doubt \(entry.inDoubt), "
            + "delivered \(entry.delivered), rejected \(entry.rejected), discarded \(entry.discarded), "
            + "retired \(entry.retired)"
    }

    /// Every run's rows are there: what its counters and the watermark claim to cover was really stored.
    private static func checkWatermark(_ route: Route, _ database: Database) throws -> AuditCheck {
        let gaps = try Row.fetchAll(
            database,
            sql: """
                SELECT run_id, rows_spooled, coalesce(last_row - first_row + 1, 0) AS span FROM run_log
                WHERE route = ? AND rows_spooled <> coalesce(last_row - first_row + 1, 0)
                """, arguments: [route.number])
        let next = try Int64.fetchOne(
            database, sql: "SELECT next_row FROM routes WHERE route = ?", arguments: [route.number])
        let spooled = try Int64.fetchOne(
            database, sql: "SELECT spooled FROM routes WHERE route = ?", arguments: [route.number])
        let first = RowID(route: route.number, position: 1).rawValue
        let isOK = gaps.isEmpty && next == first + (spooled ?? 0)
        return AuditCheck(
            name: "watermark_covered", isOK: isOK,
            detail: isOK
                ? "every run's rows are in the spool, up to the watermark"
                : "runs with rows missing: " + gaps.map { $0["run_id"] as String }.joined(separator: ", "))
    }

    private static func checkInsertIDs(_ route: Route, _ database: Database) throws -> AuditCheck {
        let doubled = try String.fetchAll(
            database,
            sql: """
                SELECT insert_id FROM row_data WHERE row_id > ? AND row_id < ? GROUP BY insert_id HAVING count(*) > 1
                LIMIT 20
                """,
            arguments: [
                RowID(route: route.number, position: 0).rawValue, RowID(route: route.number + 1, position: 0).rawValue,
            ])
        return AuditCheck(
            name: "insert_ids_unique", isOK: doubled.isEmpty,
            detail: doubled.isEmpty
                ? "every insertId occurs once"
                : "insertIds that occur more than once: " + doubled.joined(separator: ", "))
    }

    private static func checkOrphans(_ route: Route, _ database: Database) throws -> AuditCheck {
        let low = RowID(route: route.number, position: 0).rawValue
        let high = RowID(route: route.number + 1, position: 0).rawValue
        let orphans =
            try Int.fetchOne(
                database,
                sql: """
                    SELECT (SELECT count(*) FROM row_data d WHERE d.row_id > ?1 AND d.row_id < ?2
                            AND NOT EXISTS (SELECT 1 FROM run_log u WHERE u.run_no = d.run_no))
                        + (SELECT count(*) FROM row_fates f WHERE f.row_id > ?1 AND f.row_id < ?2
                            AND NOT EXISTS (SELECT 1 FROM row_data d WHERE d.row_id = f.row_id))
                    """, arguments: [low, high]) ?? 0
        return AuditCheck(
            name: "no_orphans", isOK: orphans == 0,
            detail: orphans == 0 ? "every row has its run and every fate its row" : "\(orphans) orphans")
    }
}

/// Gathers items inside a closure that runs on the spool's queue.
// Unchecked: written by that one closure, read only after the read it belongs to has returned.
private final class Collected<Item: Sendable>: @unchecked Sendable {
    private(set) var items: [Item] = []

    func add(_ item: Item) { items.append(item) }
}
