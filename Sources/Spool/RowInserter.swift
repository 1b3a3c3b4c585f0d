internal import GRDB
internal import GRDBSQLite

#if canImport(Glibc)
    import Glibc
#endif

/// Inserts the rows of one page. The path of every row: prepared statements, raw bytes, nothing allocated per row.
struct RowInserter {
    private let page: PageCommit
    private let database: Database
    private let insert: Statement
    private let lookups: Lookups
    /// The spool's number of each of the batch's shapes, once a row needs it; a shape of skipped rows alone is not kept.
    private var shapes: [Int64?]
    private var shapeCounts: [Int]
    private(set) var nextRow: Int64
    private(set) var rejected = 0

    init(page: PageCommit, database: Database, nextRow: Int64) throws {
        self.page = page
        self.database = database
        self.nextRow = nextRow
        insert = try database.cachedStatement(
            sql: """
                INSERT INTO row_data (row_id, run_no, shape, op, extracted_at, checksum, insert_id, id, payload)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        lookups = try Lookups(database, usesTemporaryIndex: page.usesTemporaryIndex)
        shapes = [Int64?](repeating: nil, count: page.rows.shapes.count)
        shapeCounts = [Int](repeating: 0, count: shapes.count)
    }

    private static func intern(_ definition: String, route: Int64, _ database: Database) throws -> Int64 {
        let find = try database.cachedStatement(sql: "SELECT shape FROM shapes WHERE route = ? AND definition = ?")
        if let known = try Int64.fetchOne(find, arguments: [route, definition]) { return known }
        try database.execute(
            sql: "INSERT INTO shapes (route, definition) VALUES (?, ?)", arguments: [route, definition])
        return database.lastInsertedRowID
    }

    private mutating func shape(_ number: Int32) throws -> Int64 {
        if let known = shapes[Int(number)] { return known }
        let shape = try Self.intern(page.rows.shapes[Int(number)], route: page.run.route, database)
        shapes[Int(number)] = shape
        return shape
    }

    mutating func insertAll() throws -> AppendResult {
        var result = AppendResult()
        // The bytes that are bound below belong to the batch and outlive this call only by chance.
        defer { sqlite3_clear_bindings(insert.sqliteStatement) }
        let rows = page.rows
        try rows.storage.withUnsafeBytes { storage in
            for entry in rows.entries {
                if entry.mayRepeat, try isSpooled(entry, storage) {
                    result.unchanged += 1
                    // After a reset the row is in the spool, but no longer in what later runs look up.
                    try remember(entry, storage)
                    continue
                }
                try insertRow(entry, storage)
                result.spooled += 1
                if entry.operation == .delete { result.deletes += 1 }
            }
        }
        let count = try database.cachedStatement(sql: "UPDATE shapes SET rows = rows + ? WHERE shape = ?")
        for (index, added) in shapeCounts.enumerated() {
            if let shape = shapes[index] { try count.execute(arguments: [added, shape]) }
        }
        return result
    }

    private mutating func insertRow(_ entry: RowBatch.Entry, _ storage: UnsafeRawBufferPointer) throws {
        let payload = UnsafeRawBufferPointer(rebasing: storage[entry.payload])
        let shape = try shape(entry.shape)
        let seal = RowSeal(
            row: nextRow, shape: shape, operation: Int64(entry.operation.rawValue), extractedAt: entry.extractedAt)
        let insertID = UnsafeRawBufferPointer(rebasing: storage[entry.insertID])
        let statement = insert.sqliteStatement
        sqlite3_reset(statement)
        sqlite3_bind_int64(statement, 1, nextRow)
        sqlite3_bind_int64(statement, 2, page.run.number)
        sqlite3_bind_int64(statement, 3, shape)
        sqlite3_bind_int64(statement, 4, Int64(entry.operation.rawValue))
        sqlite3_bind_int64(statement, 5, entry.extractedAt)
        sqlite3_bind_int64(statement, 6, seal.checksum(insertID: insertID, payload: payload))
        bindText(statement, 7, storage, entry.insertID)
        bindText(statement, 8, storage, entry.id)
        bindText(statement, 9, storage, entry.payload)
        try step(insert)
        if entry.rejection >= 0 {
            let rejection = page.rows.rejections[Int(entry.rejection)]
            try database.execute(
                sql: """
                    INSERT INTO row_fates (row_id, state, reason, message, decided_at)
                    VALUES (?, 'rejected', ?, CAST(? AS TEXT), ?)
                    """,
                arguments: [
                    nextRow, rejection.reason, rejection.message.exact.asData, Timestamp.now().microseconds,
                ])
            rejected += 1
        }
        shapeCounts[Int(entry.shape)] += 1
        nextRow += 1
        try remember(entry, storage)
        if entry.mayRepeat { try noteSeen(entry, storage) }
    }

    /// Notes the row where later runs look: as a recent id within the lookback, and as the known version of its key.
    private func remember(_ entry: RowBatch.Entry, _ storage: UnsafeRawBufferPointer) throws {
        if let sortKey = entry.sortKey, let floor = page.recentFloor, isAtLeast(floor, storage[sortKey]) {
            let statement = lookups.noteRecent
            sqlite3_reset(statement.sqliteStatement)
            sqlite3_bind_int64(statement.sqliteStatement, 1, page.run.streamNumber)
            bindBlob(statement.sqliteStatement, 2, storage, sortKey)
            bindText(statement.sqliteStatement, 3, storage, entry.insertID)
            try step(statement)
        }
        guard let key = entry.knownKey else { return }
        if entry.knownVersion != nil || entry.knownChanges != nil {
            let statement = lookups.noteVersion
            sqlite3_reset(statement.sqliteStatement)
            sqlite3_bind_int64(statement.sqliteStatement, 1, page.run.streamNumber)
            bindBlob(statement.sqliteStatement, 2, storage, key)
            bindBlob(statement.sqliteStatement, 3, storage, entry.knownVersion)
            if let changes = entry.knownChanges {
                sqlite3_bind_int64(statement.sqliteStatement, 4, changes)
            } else {
                sqlite3_bind_null(statement.sqliteStatement, 4)
            }
            sqlite3_bind_int64(statement.sqliteStatement, 5, page.run.number)
            try step(statement)
        } else {
            let statement = lookups.forgetVersion
            sqlite3_reset(statement.sqliteStatement)
            sqlite3_bind_int64(statement.sqliteStatement, 1, page.run.streamNumber)
            bindBlob(statement.sqliteStatement, 2, storage, key)
            try step(statement)
        }
    }

    private func isAtLeast(_ floor: [UInt8], _ key: Slice<UnsafeRawBufferPointer>) -> Bool {
        let key = UnsafeRawBufferPointer(rebasing: key)
        return floor.withUnsafeBytes { floor in
            let common = min(key.count, floor.count)
            guard common > 0, let left = key.baseAddress, let right = floor.baseAddress else { return floor.isEmpty }
            let order = memcmp(left, right, common)
            return order == 0 ? key.count >= floor.count : order > 0
        }
    }

    /// Rows that this run spools itself must be found as well when it meets them again.
    private func noteSeen(_ entry: RowBatch.Entry, _ storage: UnsafeRawBufferPointer) throws {
        guard let statement = lookups.noteSeen else { return }
        sqlite3_reset(statement.sqliteStatement)
        sqlite3_bind_int64(statement.sqliteStatement, 1, page.run.streamNumber)
        bindText(statement.sqliteStatement, 2, storage, entry.insertID)
        try step(statement)
    }

    private func isSpooled(_ entry: RowBatch.Entry, _ storage: UnsafeRawBufferPointer) throws -> Bool {
        if let sortKey = entry.sortKey {
            let statement = lookups.findRecent
            sqlite3_reset(statement.sqliteStatement)
            sqlite3_bind_int64(statement.sqliteStatement, 1, page.run.streamNumber)
            bindBlob(statement.sqliteStatement, 2, storage, sortKey)
            bindText(statement.sqliteStatement, 3, storage, entry.insertID)
            if try found(statement) { return true }
        }
        guard let statement = lookups.findSeen else { return false }
        sqlite3_reset(statement.sqliteStatement)
        sqlite3_bind_int64(statement.sqliteStatement, 1, page.run.streamNumber)
        bindText(statement.sqliteStatement, 2, storage, entry.insertID)
        return try found(statement)
    }

    private func found(_ statement: Statement) throws -> Bool {
        let code = sqlite3_step(statement.sqliteStatement)
        sqlite3_reset(statement.sqliteStatement)
        guard code == SQLITE_ROW || code == SQLITE_DONE else { throw failure(code) }
        return code == SQLITE_ROW
    }

    private func step(_ statement: Statement) throws {
        let code = sqlite3_step(statement.sqliteStatement)
        sqlite3_reset(statement.sqliteStatement)
        guard code == SQLITE_DONE else { throw failure(code) }
    }

    private func failure(_ code: CInt) -> DatabaseError {
        DatabaseError(
            resultCode: ResultCode(rawValue: code),
            message: database.sqliteConnection.map { String(cString: sqlite3_errmsg($0)) })
    }

    /// Bound without a copy (SQLITE_STATIC): the storage outlives the statement's step, after which it is bound anew.
    private func bindText(
        _ statement: OpaquePointer, _ index: CInt, _ storage: UnsafeRawBufferPointer, _ range: Range<Int>?
    ) {
        guard let range, let base = storage.baseAddress else {
            sqlite3_bind_null(statement, index)
            return
        }
        let text = (base + range.lowerBound).assumingMemoryBound(to: CChar.self)
        sqlite3_bind_text(statement, index, text, CInt(range.count), nil)
    }

    private func bindBlob(
        _ statement: OpaquePointer, _ index: CInt, _ storage: UnsafeRawBufferPointer, _ range: Range<Int>?
    ) {
        guard let range, let base = storage.baseAddress else {
            sqlite3_bind_null(statement, index)
            return
        }
        sqlite3_bind_blob(statement, index, base + range.lowerBound, CInt(range.count), nil)
    }
}
