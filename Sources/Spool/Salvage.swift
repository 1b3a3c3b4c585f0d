internal import GRDB
internal import GRDBSQLite

/// Copies what can be read of a damaged spool into a new file and makes its books true again.
///
/// What is lost is accounted for: a row whose bytes can't be read is rejected with the reason `damaged`, or counted as removed after delivery
/// where the books say that it was delivered. A row whose fate can't be read is in doubt, so that BigQuery is asked about it.
struct Salvage {
    /// Copied by number, so that reading can go on behind a damaged place.
    static let numbered = [
        ("stream_defs", "stream_no"), ("routes", "route"), ("run_log", "run_no"), ("shapes", "shape"),
        ("request_log", "request_id"), ("row_fates", "row_id"), ("quarantined_rows", "row_id"), ("row_data", "row_id"),
        ("objects", "object_no"),
    ]
    /// Copied from both ends, up to a damaged place.
    static let keyed = [
        ("spool_meta", "name"), ("destination_tables", "endpoint, table_name"), ("column_names", "stream_no, field"),
        ("recent_ids", "stream_no, watermark, insert_id"), ("known_versions", "stream_no, key"),
        ("scan_findings", "stream_no, key"), ("retired_days", "route, day"), ("equal_rows", "stream_no, scope, hash"),
        ("object_log", "object_no, seq"),
    ]

    private let source: Database
    private let target: Database
    /// Per table, the numbers between which nothing can be read.
    private(set) var gaps: [String: [ClosedRange<Int64>]] = [:]

    init(from source: Database, to target: Database) {
        self.source = source
        self.target = target
    }

    /// - Throws: `SpoolError.damaged` when streams or routes are lost: without them no row has a destination.
    mutating func copyAll(path: String) throws {
        for (table, key) in Self.numbered { gaps[table] = try copy(table, key: key) }
        // Pages that changed places can be read, but hold what belongs to other tables.
        let strays =
            try Int.fetchOne(
                target,
                sql: """
                    SELECT count(*) FROM routes r LEFT JOIN stream_defs s ON s.stream_no = r.stream_no
                    WHERE s.stream_no IS NULL OR typeof(s.name) <> 'text' OR typeof(r.table_name) <> 'text'
                        OR typeof(r.next_row) <> 'integer' OR r.next_row >> 40 <> r.route
                    """) ?? 0
        guard gaps["stream_defs"] == [], gaps["routes"] == [], strays == 0 else {
            throw SpoolError.damaged(path: path, reason: "its list of streams can't be read")
        }
        for (table, key) in Self.keyed { try copyFromBothEnds(table, key: key) }
    }

    private func columns(of table: String) throws -> [String] {
        try String.fetchAll(target, sql: "SELECT name FROM pragma_table_info(?) ORDER BY cid", arguments: [table])
    }

    private func copy(_ table: String, key: String) throws -> [ClosedRange<Int64>] {
        let columns = [key] + (try self.columns(of: table)).filter { $0 != key }
        let inserter = try RawInserter(table, columns: columns, in: target)
        let damaged = DamagedTable(table, key: key, in: source)
        return try ranges(of: key).flatMap { range in
            try damaged.scan(columns.joined(separator: ", "), in: range) { try inserter.insert($0.statement) }
        }
    }

    /// What to read in one go. Rows are read route by route: a misplaced page of one does not hide those of the others.
    private func ranges(of key: String) throws -> [ClosedRange<Int64>] {
        guard key == "row_id" else { return [0...Int64.max] }
        let starts = try Int64.fetchAll(
            target, sql: "SELECT route << 40 FROM routes WHERE route BETWEEN 1 AND 8388607 ORDER BY 1")
        let ends = starts.map { $0 - 1 } + [Int64.max]
        return zip([0] + starts, ends).map { $0...$1 }
    }

    private func copyFromBothEnds(_ table: String, key: String) throws {
        let columns = try self.columns(of: table)
        let inserter = try RawInserter(table, columns: columns, in: target)
        let backwards = key.split(separator: ",").map { "\($0) DESC" }.joined(separator: ",")
        for order in [key, backwards] {
            let sql = "SELECT \(columns.joined(separator: ", ")) FROM \(table) ORDER BY \(order)"
            var statement: OpaquePointer?
            guard sqlite3_prepare_v2(source.sqliteConnection, sql, -1, &statement, nil) == SQLITE_OK, let statement
            else { continue }
            defer { sqlite3_finalize(statement) }
            var code = sqlite3_step(statement)
            while code == SQLITE_ROW {
                try inserter.insert(statement)
                code = sqlite3_step(statement)
            }
            if code == SQLITE_DONE { return }
        }
    }
}

/// Inserts the current row of a statement of another connection.
private final class RawInserter {
    private let statement: Statement
    private let database: Database
    private let count: CInt

    init(_ table: String, columns: [String], in database: Database) throws {
        self.database = database
        count = CInt(columns.count)
        let places = columns.map { _ in "?" }.joined(separator: ", ")
        statement = try database.makeStatement(
            sql: "INSERT OR IGNORE INTO \(table) (\(columns.joined(separator: ", "))) VALUES (\(places))")
    }

    func insert(_ row: OpaquePointer) throws {
        let raw = statement.sqliteStatement
        sqlite3_reset(raw)
        for index in 0..<count { sqlite3_bind_value(raw, index + 1, sqlite3_column_value(row, index)) }
        let code = sqlite3_step(raw)
        sqlite3_reset(raw)
        sqlite3_clear_bindings(raw)
        // A row that no longer fits its own table (a NULL where none may be) is lost like one that can't be read.
        guard code == SQLITE_DONE || code & 0xFF == SQLITE_CONSTRAINT else {
            throw DatabaseError(
                resultCode: ResultCode(rawValue: code),
                message: database.sqliteConnection.map { String(cString: sqlite3_errmsg($0)) })
        }
    }
}
