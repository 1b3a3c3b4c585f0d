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
            database, sql: "SELECT next_row, spooled - retired AS kept FROM routes WHERE route = ?",
            arguments: [route.number])
        let first = route.rowRange.lowerBound.rawValue
        guard let books, let next = Int64.fromDatabaseValue(books["next_row"]) else { return }
        var rows = 0
        if next > first {
            let columns = "row_id, shape, op, extracted_at, checksum, insert_id, payload"
            let table = DamagedTable("row_data", key: "row_id", in: database)
            let gaps = try table.scan(columns, in: first...next - 1) { row in
                rows += 1
                let seal = RowSeal(
                    row: row.integer(0), shape: row.integer(1), operation: row.integer(2), extractedAt: row.integer(3))
                let (insertID, payload) = (row.bytes(5), row.bytes(6))
                let isIntact =
                    seal.checksum(insertID: insertID, payload: payload) == row.integer(4)
                    && payloadMatches(payload, insertID)
                if !isIntact, !quarantined.contains(seal.row) { add(seal.row...seal.row, .altered, of: route) }
            }
            for gap in gaps { add(gap, .unreadable, of: route) }
        }
        // A tree that lost a branch can still be read from end to end, and SQLite's own check may find it sound.
        let kept = Int.fromDatabaseValue(books["kept"]) ?? 0
        if rows != kept {
            damage.file.append("\(route.stream): \(rows) rows can be read, the books say \(kept)")
        }
    }

    private mutating func add(_ rows: ClosedRange<Int64>, _ kind: SpoolDamage.Rows.Kind, of route: Route) {
        let (first, last) = (RowID(rows.lowerBound), RowID(rows.upperBound))
        if let index = damage.rows.indices.last, damage.rows[index].kind == kind, damage.rows[index].last.next == first
        {
            damage.rows[index].last = last
        } else {
            damage.rows.append(
                SpoolDamage.Rows(stream: route.stream, table: route.table, first: first, last: last, kind: kind))
        }
    }
}
