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
        payloadMatches: @escaping PayloadCheck
    ) async throws -> [AuditCheck] {
        try await [
            check("ledger_balances") { try Self.checkLedger(route, $0) },
            check("watermark_covered") { try Self.checkWatermark(route, $0) },
            check("insert_ids_unique") { try Self.checkInsertIDs(route, $0) },
            checkPayloads(route, payloadMatches),
            check("no_orphans") { try Self.checkOrphans(route, $0) },
        ]
    }

    /// A check that meets damage has failed: what it looked for may be anywhere.
    private func check(
        _ name: String, _ body: @escaping @Sendable (Database) throws -> AuditCheck
    ) async throws -> AuditCheck {
        do { return try await scan(body) } catch SpoolError.damaged(_, let reason) {
            return Self.damaged(name, reason)
        }
    }

    private static func damaged(_ name: String, _ reason: String) -> AuditCheck {
        AuditCheck(
            name: name, isOK: false, detail: "the file is damaged: \(reason); etlctl spool verify says what is hurt")
    }

    private func checkPayloads(_ route: Route, _ payloadMatches: @escaping PayloadCheck) async throws -> AuditCheck {
        let damaged: [RowID]
        do { damaged = try await damagedRows(of: route, payloadMatches: payloadMatches) } catch SpoolError.damaged(
            _, let reason)
        {
            return Self.damaged("payloads_intact", reason)
        }
        return try await check("payloads_intact") { database in
            let quarantined = try Int64.fetchAll(
                database, sql: "SELECT row_id FROM quarantined_rows WHERE row_id BETWEEN ? AND ?",
                arguments: Self.bounds(of: route))
            return Self.checkPayloads(damaged: damaged, quarantined: Set(quarantined))
        }
    }

    private static func checkPayloads(damaged: [RowID], quarantined: Set<Int64>) -> AuditCheck {
        let unknown = damaged.filter { !quarantined.contains($0.rawValue) }
        let aside = quarantined.isEmpty ? "" : "; \(quarantined.count) damaged rows are in quarantine"
        if unknown.isEmpty {
            return AuditCheck(
                name: "payloads_intact", isOK: true, detail: "every payload matches its checksum and insertId" + aside)
        }
        let names = unknown.prefix(20).map { String($0.rawValue) }.joined(separator: ", ")
        let more = unknown.count > 20 ? " and \(unknown.count - 20) more" : ""
        return AuditCheck(
            name: "payloads_intact", isOK: false,
            detail: "damaged rows: \(names)\(more)\(aside); etlctl spool verify --quarantine sets them aside")
    }

    /// SQLite's own check of the whole file. O(file).
    package func checkIntegrity() async throws -> AuditCheck {
        try await check("sqlite_integrity") { database in
            let findings = try String.fetchAll(database, sql: "PRAGMA integrity_check(20)")
            let isOK = findings == ["ok"]
            return AuditCheck(
                name: "sqlite_integrity", isOK: isOK,
                detail: isOK ? "the database file is sound" : findings.joined(separator: "; "))
        }
    }

    /// What belongs to no stream, and would be in no stream's books. O(rows).
    package func checkStrays() async throws -> AuditCheck {
        try await check("no_orphans") { database in
            var problems: [String] = []
            for (what, table, route) in [
                ("rows", "row_data", "row_id >> 40"), ("fates of rows", "row_fates", "row_id >> 40"),
                ("requests", "request_log", "route"), ("runs", "run_log", "route"),
            ] {
                let count = try database.sum(
                    "SELECT count(*) FROM \(table) WHERE \(route) NOT IN (SELECT route FROM routes)")
                if count > 0 { problems.append("\(count) \(what) without a stream") }
            }
            return AuditCheck(
                name: "no_orphans", isOK: problems.isEmpty,
                detail: problems.isEmpty ? "everything belongs to a stream" : problems.joined(separator: "; "))
        }
    }

    /// The rows of a route that don't match their checksum, or that the caller finds wrong.
    func damagedRows(
        of route: Route,
        payloadMatches: @escaping PayloadCheck
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
            sql: "SELECT state, count(*) AS n FROM spooled_rows WHERE row_id BETWEEN ? AND ? GROUP BY state",
            arguments: bounds(of: route))
        while let row = try rows.next() {
            guard let state = try RowState(rawValue: row.read("state")) else { continue }
            try counted.add(row.read("n"), to: state)
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

    /// Every run's rows are there, or were delivered and removed: what the watermark covers was really stored and is accounted for.
    private static func checkWatermark(_ route: Route, _ database: Database) throws -> AuditCheck {
        var present: [Int64: Int] = [:]
        let counts = try Row.fetchCursor(
            database, sql: "SELECT run_no, count(*) AS n FROM row_data WHERE row_id BETWEEN ? AND ? GROUP BY 1",
            arguments: bounds(of: route))
        var problems: [String] = []
        while let row = try counts.next() {
            let rows: Int = try row.read("n")
            if let run = try row.read("run_no") as Int64? {
                present[run] = rows
            } else {
                problems.append("\(rows) rows name no run")
            }
        }
        var spooled: Int64 = 0
        let runs = try Row.fetchCursor(
            database,
            sql: """
                SELECT run_no, run_id, rows_spooled, retired, coalesce(last_row - first_row + 1, 0) AS span
                FROM run_log WHERE route = ?
                """, arguments: [route.number])
        while let row = try runs.next() {
            let claimed: Int = try row.read("rows_spooled")
            let retired: Int = try row.read("retired")
            let found = try present[row.read("run_no")] ?? 0
            spooled += Int64(claimed)
            if try found + retired != claimed || row.read("span") != claimed {
                let run: String = try row.read("run_id")
                problems.append(
                    "run \(run) spooled \(claimed) rows: \(found) are there, \(retired) were removed after delivery")
            }
        }
        let books = try Row.fetchOne(
            database, sql: "SELECT next_row, spooled FROM routes WHERE route = ?", arguments: [route.number])
        let next = try books?.read("next_row") as Int64? ?? 0
        let onRecord = try Int64(books?.read("spooled") as Int? ?? 0)
        if spooled != onRecord || next != route.rowRange.lowerBound.rawValue &+ onRecord {
            problems.append("the runs spooled \(spooled) rows, the stream's books say \(onRecord)")
        }
        return AuditCheck(
            name: "watermark_covered", isOK: problems.isEmpty,
            detail: problems.isEmpty
                ? "every run's rows are in the spool or were removed after delivery"
                : problems.prefix(20).joined(separator: "; "))
    }

    private static func bounds(of route: Route) -> StatementArguments {
        [route.rowRange.lowerBound.rawValue, route.rowRange.upperBound.rawValue]
    }

    private static func checkInsertIDs(_ route: Route, _ database: Database) throws -> AuditCheck {
        let doubled = try String.fetchAll(
            database,
            sql: """
                SELECT insert_id FROM row_data WHERE row_id BETWEEN ? AND ?
                    AND row_id NOT IN (SELECT row_id FROM quarantined_rows)
                GROUP BY insert_id HAVING count(*) > 1 LIMIT 20
                """, arguments: bounds(of: route))
        return AuditCheck(
            name: "insert_ids_unique", isOK: doubled.isEmpty,
            detail: doubled.isEmpty
                ? "every insertId occurs once"
                : "insertIds that occur more than once: " + doubled.joined(separator: ", "))
    }

    private static func checkOrphans(_ route: Route, _ database: Database) throws -> AuditCheck {
        let queries = [
            (
                "rows without a run",
                """
                SELECT count(*) FROM row_data d WHERE d.row_id BETWEEN ? AND ?
                    AND NOT EXISTS (SELECT 1 FROM run_log u WHERE u.run_no = d.run_no AND u.route = d.row_id >> 40)
                """
            ),
            (
                "fates without a row",
                """
                SELECT count(*) FROM row_fates f WHERE f.row_id BETWEEN ? AND ?
                    AND NOT EXISTS (SELECT 1 FROM row_data d WHERE d.row_id = f.row_id)
                """
            ),
            (
                "rows being sent or in doubt without a request",
                """
                SELECT count(*) FROM row_fates f WHERE f.row_id BETWEEN ? AND ? AND f.\(claimedFates)
                    AND NOT EXISTS (
                        SELECT 1 FROM request_log q WHERE q.request_id = f.request_id AND q.first_row IS NULL
                            AND q.state = f.state
                    )
                """
            ),
            (
                "rows without a shape",
                """
                SELECT count(*) FROM row_data d WHERE d.row_id BETWEEN ? AND ?
                    AND NOT EXISTS (SELECT 1 FROM shapes s WHERE s.shape = d.shape AND s.route = d.row_id >> 40)
                """
            ),
        ]
        var problems: [String] = []
        for (what, sql) in queries {
            let count = try Int.fetchOne(database, sql: sql, arguments: bounds(of: route)) ?? 0
            if count > 0 { problems.append("\(count) \(what)") }
        }
        return AuditCheck(
            name: "no_orphans", isOK: problems.isEmpty,
            detail: problems.isEmpty
                ? "every row has its run and its shape, every fate its row and its request"
                : problems.joined(separator: ", "))
    }
}

/// Gathers items inside a closure that runs on the spool's queue.
// Unchecked: written by that one closure, read only after the read it belongs to has returned.
private final class Collected<Item: Sendable>: @unchecked Sendable {
    private(set) var items: [Item] = []

    func add(_ item: Item) { items.append(item) }
}
