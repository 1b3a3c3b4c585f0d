internal import GRDB
internal import GRDBSQLite

/// Reads what can still be read of a table in a damaged file.
struct DamagedTable {
    /// One row while it is being read.
    struct ScannedRow {
        let statement: OpaquePointer

        func integer(_ column: CInt) -> Int64 { sqlite3_column_int64(statement, column) }

        /// Valid until the next row is read.
        func bytes(_ column: CInt) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(
                start: sqlite3_column_text(statement, column), count: Int(sqlite3_column_bytes(statement, column)))
        }
    }

    private let name: String
    /// The column that is the row's number.
    private let key: String
    private let database: Database

    init(_ name: String, key: String, in database: Database) {
        self.name = name
        self.key = key
        self.database = database
    }

    /// Hands every row that can be read to `body`, in key order, and returns the ranges of keys in which nothing can be read.
    ///
    /// - Parameter columns: the first one is the key.
    func scan(
        _ columns: String, in range: ClosedRange<Int64>, _ body: (ScannedRow) throws -> Void
    ) throws -> [ClosedRange<Int64>] {
        var gaps: [ClosedRange<Int64>] = []
        var position = range.lowerBound
        while true {
            var last: Int64?
            let isWhole = try read(columns, from: position, to: range.upperBound) { row in
                // Keys out of order come from a damaged tree; what follows them can't be trusted.
                guard (position...range.upperBound).contains(row.integer(0)), last.map({ $0 < row.integer(0) }) ?? true
                else { return false }
                last = row.integer(0)
                try body(row)
                return true
            }
            if isWhole { return gaps }
            let failed = last.map { $0 + 1 } ?? position
            guard failed <= range.upperBound else { return gaps }
            guard let next = try nextReadable(after: failed, through: range.upperBound) else {
                return gaps + [failed...range.upperBound]
            }
            gaps.append(failed...next - 1)
            position = next
        }
    }

    /// The keys that can be read.
    func keys() throws -> [Int64] {
        var keys: [Int64] = []
        _ = try scan(key, in: 0...Int64.max) { keys.append($0.integer(0)) }
        return keys
    }

    /// The first key from which on reading works again, found in O(log n) probes.
    private func nextReadable(after failed: Int64, through last: Int64) throws -> Int64? {
        if failed == last { return nil }
        var bad = failed
        var step: Int64 = 1
        while true {
            let sum = failed.addingReportingOverflow(step)
            let probe = sum.overflow ? last : min(sum.partialValue, last)
            if try canRead(from: probe, to: last) {
                var good = probe
                while good - bad > 1 {
                    let middle = bad + (good - bad) / 2
                    if try canRead(from: middle, to: last) { good = middle } else { bad = middle }
                }
                return good
            }
            if probe == last { return nil }
            bad = probe
            step = step > Int64.max / 2 ? Int64.max : step * 2
        }
    }

    private func canRead(from first: Int64, to last: Int64) throws -> Bool {
        // A damaged tree may find a row that was not asked for.
        try read("\(key), *", from: first, to: last, limit: 1) { (first...last).contains($0.integer(0)) }
    }

    /// False when SQLite met damage, or `body` did.
    private func read(
        _ columns: String, from first: Int64, to last: Int64, limit: Int64 = .max, _ body: (ScannedRow) throws -> Bool
    ) throws -> Bool {
        var statement: OpaquePointer?
        let sql = "SELECT \(columns) FROM \(name) WHERE \(key) BETWEEN ? AND ? ORDER BY \(key) LIMIT ?"
        guard sqlite3_prepare_v2(database.sqliteConnection, sql, -1, &statement, nil) == SQLITE_OK, let statement else {
            return false
        }
        defer { sqlite3_finalize(statement) }
        sqlite3_bind_int64(statement, 1, first)
        sqlite3_bind_int64(statement, 2, last)
        sqlite3_bind_int64(statement, 3, limit)
        while true {
            let code = sqlite3_step(statement)
            // GRDB turns extended codes on; the lower byte is the plain one.
            switch code & 0xFF {
            case SQLITE_DONE: return true
            case SQLITE_ROW: guard try body(ScannedRow(statement: statement)) else { return false }
            case SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_IOERR: return false
            default:
                throw DatabaseError(
                    resultCode: ResultCode(rawValue: code),
                    message: database.sqliteConnection.map { String(cString: sqlite3_errmsg($0)) })
            }
        }
    }
}
