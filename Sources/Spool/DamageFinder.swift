internal import GRDB

/// Looks through a spool file, whatever its state, and gathers what is hurt.
struct DamageFinder {
    private let database: Database
    private(set) var damage = SpoolDamage()
    private var quarantined: Set<Int64> = []

    init(_ database: Database) { self.database = database }

    /// What a file has as its schema.
    static func schema(of database: Database) throws -> Set<String> {
        let sql = "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_master"
        return Set(try String.fetchAll(database, sql: sql))
    }

    mutating func checkFile(schema expected: Set<String>) throws {
        do {
            let findings = try String.fetchAll(database, sql: "PRAGMA integrity_check(20)")
            if findings != ["ok"] { damage.file = findings }
        } catch let error as DatabaseError {
            damage.file = [error.message ?? "SQLite error \(error.resultCode.rawValue)"]
        }
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        if version != SpoolStore.schemaVersion { damage.file.append(SpoolStore.lostVersion) }
        if let found = try? Self.schema(of: database), found != expected {
            damage.file.append("its schema is not that of a spool")
        }
        // What no checksum covers; a damaged file may not be able to tell.
        let strays = try? Int.fetchOne(
            database,
            sql: """
                SELECT count(*) FROM row_data d WHERE NOT EXISTS (
                    SELECT 1 FROM run_log u WHERE u.run_no = d.run_no AND d.row_id BETWEEN u.first_row AND u.last_row
                ) OR NOT EXISTS (SELECT 1 FROM shapes s WHERE s.shape = d.shape AND s.route = d.row_id >> 40)
                """)
        if let strays, strays > 0 { damage.file.append("\(strays) rows name a run or a shape that is not theirs") }
        quarantined = Set(try DamagedTable("quarantined_rows", key: "row_id", in: database).keys())
        damage.quarantined = quarantined.count
    }

    mutating func check(_ route: Route, payloadMatches: PayloadCheck) throws {
        let books = try Row.fetchOne(
            database, sql: "SELECT next_row, claimed_to, spooled - retired AS kept FROM routes WHERE route = ?",
            arguments: [route.number])
        let first = route.rowRange.lowerBound.rawValue
        guard let books, let next = Int64.fromDatabaseValue(books["next_row"]) else { return }
        let kept = Int.fromDatabaseValue(books["kept"]) ?? 0
        var rows = 0
        var hurt: [Hurt] = []
        if next > first {
            let columns = "row_id, shape, op, extracted_at, checksum, insert_id, payload"
            let table = DamagedTable("row_data", key: "row_id", in: database)
            var expected = first
            var holes: [ClosedRange<Int64>] = []
            let gaps = try table.scan(columns, in: first...next - 1) { row in
                rows += 1
                let seal = RowSeal(
                    row: row.integer(0), shape: row.integer(1), operation: row.integer(2), extractedAt: row.integer(3))
                if seal.row > expected { holes.append(expected...seal.row - 1) }
                expected = seal.row + 1
                let (insertID, payload) = (row.bytes(5), row.bytes(6))
                let isIntact =
                    seal.checksum(insertID: insertID, payload: payload) == row.integer(4)
                    && payloadMatches(payload, insertID)
                if !isIntact, !quarantined.contains(seal.row) {
                    hurt.append(Hurt(rows: seal.row...seal.row, kind: .altered))
                }
            }
            if expected < next { holes.append(expected...next - 1) }
            hurt += gaps.map { Hurt(rows: $0, kind: .unreadable) }
            if rows < kept {
                let all = first...next - 1
                let claimed = min(max(Int64.fromDatabaseValue(books["claimed_to"]) ?? 0, first - 1), next - 1)
                let due = Int64(kept) == next - first ? [all] : undelivered(of: route, in: all, claimedTo: claimed)
                hurt += due.flatMap { range in
                    holes.filter(range.overlaps).map { Hurt(rows: $0.clamped(to: range), kind: .unreadable) }
                }
            }
        }
        add(hurt, of: route)
        // A tree that lost a branch can still be read from end to end, and SQLite's own check may find it sound.
        if rows != kept {
            damage.file.append("\(route.stream): \(rows) rows can be read, the books say \(kept)")
        }
    }

    private struct Hurt {
        var rows: ClosedRange<Int64>
        var kind: SpoolDamage.Rows.Kind
    }

    /// Where no row may be missing: retention removes delivered rows only. A damaged list of requests may leave some out.
    private func undelivered(
        of route: Route, in rows: ClosedRange<Int64>, claimedTo claimed: Int64
    ) -> [ClosedRange<Int64>] {
        let open = try? Row.fetchAll(
            database,
            sql: """
                SELECT first_row, last_row FROM request_log WHERE route = ? AND state IN ('pending', 'sending', 'in_doubt')
                    AND first_row BETWEEN ? AND last_row AND last_row <= ?
                """, arguments: [route.number, rows.lowerBound, rows.upperBound])
        let fresh = claimed < rows.upperBound ? [claimed + 1...rows.upperBound] : []
        let ranges = (open ?? []).compactMap { row -> ClosedRange<Int64>? in
            guard let first: Int64 = try? row.read("first_row"), let last: Int64 = try? row.read("last_row"),
                first <= last
            else { return nil }
            return first...last
        }
        return ranges + fresh
    }

    /// Notes what is hurt, in order, each row once.
    private mutating func add(_ hurt: [Hurt], of route: Route) {
        var found: [Hurt] = []
        for part in hurt.sorted(by: { $0.rows.lowerBound < $1.rows.lowerBound }) {
            if let last = found.last, last.kind == part.kind, part.rows.lowerBound <= last.rows.upperBound + 1 {
                let upper = max(last.rows.upperBound, part.rows.upperBound)
                found[found.count - 1].rows = last.rows.lowerBound...upper
            } else {
                found.append(part)
            }
        }
        damage.rows += found.map {
            SpoolDamage.Rows(
                stream: route.stream, table: route.table, first: RowID($0.rows.lowerBound),
                last: RowID($0.rows.upperBound), kind: $0.kind)
        }
    }
}
