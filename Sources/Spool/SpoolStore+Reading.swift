internal import GRDB
internal import GRDBSQLite
internal import Synchronization

extension SpoolStore {
    /// Reads rows in spool order and hands each to `body`, until it returns false. No copy is made and nothing is allocated per row.
    ///
    /// Ends with a `CancellationError` when the task is cancelled.
    ///
    /// - Throws: `SpoolError.damaged` where the file is; what `body` got until then are rows of the spool, in order.
    /// - Parameter body: runs on the spool's own queue; the bytes it gets are valid only until it returns.
    package func readRows(
        _ selection: RowSelection, limit: Int, _ body: @escaping @Sendable (RowBytes) throws -> Bool
    ) async throws {
        let isCopied = isCopied.load(ordering: .relaxed)
        try await scan { database in
            let statement = try Self.statement(for: selection, limit: limit, isCopied: isCopied, database)
            let raw = statement.sqliteStatement
            defer { sqlite3_reset(raw) }
            let hasHistory = sqlite3_column_count(raw) > Self.columnCount
            var last: Int64 = 0
            while true {
                let code = sqlite3_step(raw)
                if code == SQLITE_DONE { return }
                guard code == SQLITE_ROW else {
                    throw DatabaseError(
                        resultCode: ResultCode(rawValue: code),
                        message: database.sqliteConnection.map { String(cString: sqlite3_errmsg($0)) })
                }
                let row = Self.row(raw, hasHistory)
                // A damaged page gives rows that were not asked for, without end or in another order.
                guard row.id.rawValue > last else {
                    throw DatabaseError(
                        resultCode: .SQLITE_CORRUPT, message: "row \(row.id.rawValue) does not stand where it belongs")
                }
                last = row.id.rawValue
                guard try body(row) else { return }
            }
        }
    }

    private static func row(_ raw: OpaquePointer, _ hasHistory: Bool) -> RowBytes {
        func bytes(_ column: CInt) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(
                start: sqlite3_column_text(raw, column), count: Int(sqlite3_column_bytes(raw, column)))
        }
        let insertID = bytes(5)
        let payload = bytes(6)
        let isTransient = hasHistory && sqlite3_column_type(raw, 8) != SQLITE_NULL
        let seal = RowSeal(
            row: sqlite3_column_int64(raw, 0), shape: sqlite3_column_int64(raw, 1),
            operation: sqlite3_column_int64(raw, 2), extractedAt: sqlite3_column_int64(raw, 3))
        return RowBytes(
            id: RowID(seal.row), shape: seal.shape, extractedAt: Timestamp(microseconds: seal.extractedAt),
            insertID: insertID, payload: payload,
            isIntact: seal.checksum(insertID: insertID, payload: payload) == sqlite3_column_int64(raw, 4),
            transientAttempts: hasHistory ? Int(sqlite3_column_int64(raw, 7)) : 0,
            firstTransientAt: isTransient ? Timestamp(microseconds: sqlite3_column_int64(raw, 8)) : nil)
    }

    private static let columns = "d.row_id, d.shape, d.op, d.extracted_at, d.checksum, d.insert_id, d.payload"
    private static let columnCount: CInt = 7

    /// Behind the last row that may be sent: with `isCopied`, the last one that the copy holds.
    private static func end(of route: Int64, isCopied: Bool, _ database: Database) throws -> Int64 {
        let end = RowID(route: route + 1, position: 0).rawValue
        return isCopied ? min(end - 1, try lastSaved(of: route, database)) + 1 : end
    }

    private static func statement(
        for selection: RowSelection, limit: Int, isCopied: Bool, _ database: Database
    ) throws -> Statement {
        let statement: Statement
        switch selection {
        case .fresh(let route, let after):
            let claimed = try Int64.fetchOne(
                database.cachedStatement(sql: "SELECT claimed_to FROM routes WHERE route = ?"), arguments: [route])
            let first = max(after?.rawValue ?? 0, claimed ?? 0)
            let end = try end(of: route, isCopied: isCopied, database)
            // A row spooled as rejected, or discarded before it was claimed, has a fate and is stepped over. Mostly there is none, and then
            // not every row needs to be looked up.
            let hasFates = try Bool.fetchOne(
                database.cachedStatement(
                    sql: "SELECT EXISTS (SELECT 1 FROM row_fates WHERE row_id > ? AND row_id < ?)"),
                arguments: [first, end])
            let stepsOver =
                hasFates == true ? "AND NOT EXISTS (SELECT 1 FROM row_fates f WHERE f.row_id = d.row_id)" : ""
            statement = try database.cachedStatement(
                sql: """
                    SELECT \(columns) FROM row_data d
                    WHERE d.row_id > ? AND d.row_id < ? \(stepsOver) ORDER BY d.row_id LIMIT ?
                    """)
            try statement.setArguments([first, end, limit])
        case .leftOver(let route, let after):
            statement = try database.cachedStatement(
                sql: """
                    SELECT \(columns), f.transient_attempts, f.first_transient_at
                    FROM row_fates f CROSS JOIN row_data d ON d.row_id = f.row_id
                    WHERE f.state = 'pending' AND f.row_id > ? AND f.row_id < ? ORDER BY f.row_id LIMIT ?
                    """)
            try statement.setArguments([
                max(after?.rawValue ?? 0, RowID(route: route, position: 0).rawValue),
                end(of: route, isCopied: isCopied, database), limit,
            ])
        case .request(let request):
            let range = try Row.fetchOne(
                database.cachedStatement(sql: "SELECT first_row, last_row FROM request_log WHERE request_id = ?"),
                arguments: [request.rawValue])
            if let first = try range?.read("first_row") as Int64?, let last = try range?.read("last_row") as Int64? {
                statement = try database.cachedStatement(
                    sql: """
                        SELECT \(columns) FROM row_data d WHERE d.row_id BETWEEN ? AND ?
                            AND NOT EXISTS (SELECT 1 FROM row_fates f WHERE f.row_id = d.row_id)
                        ORDER BY d.row_id LIMIT ?
                        """)
                try statement.setArguments([first, last, limit])
            } else {
                statement = try database.cachedStatement(
                    sql: """
                        SELECT \(columns), f.transient_attempts, f.first_transient_at
                        FROM row_fates f CROSS JOIN row_data d ON d.row_id = f.row_id
                        WHERE f.request_id = ? AND f.\(claimedFates) ORDER BY f.row_id LIMIT ?
                        """)
                try statement.setArguments([request.rawValue, limit])
            }
        case .all(let route):
            statement = try database.cachedStatement(
                sql: "SELECT \(columns) FROM row_data d WHERE d.row_id > ? AND d.row_id < ? ORDER BY 1 LIMIT ?"
            )
            try statement.setArguments([
                RowID(route: route, position: 0).rawValue, RowID(route: route + 1, position: 0).rawValue, limit,
            ])
        case .state(let state, let route, let after):
            statement = try database.cachedStatement(
                sql: """
                    SELECT \(columns) FROM spooled_rows v JOIN row_data d ON d.row_id = v.row_id
                    WHERE v.row_id > ? AND v.row_id < ? AND v.state = ? ORDER BY v.row_id LIMIT ?
                    """)
            try statement.setArguments([
                max(after?.rawValue ?? 0, RowID(route: route, position: 0).rawValue),
                RowID(route: route + 1, position: 0).rawValue, state.rawValue, limit,
            ])
        }
        return statement
    }

    /// The definitions and row counts of a route's shapes. O(shapes).
    package func shapes(of route: Route) async throws -> [RowShape] {
        try await read { database in
            let rows = try Row.fetchAll(
                database, sql: "SELECT shape, definition, rows FROM shapes WHERE route = ? ORDER BY shape",
                arguments: [route.number])
            return try rows.map {
                try RowShape(number: $0.read("shape"), definition: $0.read("definition"), rows: $0.read("rows"))
            }
        }
    }

    /// The columns of a stream by source field, under their final names.
    package func columnNames(stream number: Int64) async throws -> [ExactText: String] {
        try await read { database in
            var columns: [ExactText: String] = [:]
            let pairs = try Row.fetchCursor(
                database,
                sql: "SELECT \(ExactText.terms("field")), column_name FROM column_names WHERE stream_no = ?",
                arguments: [number])
            while let pair = try pairs.next() { columns[try pair.readExact("field")] = try pair.read("column_name") }
            return columns
        }
    }
}

/// One distinct list of columns and types, and how many rows had it.
package struct RowShape: Sendable, Equatable {
    package var number: Int64
    /// As the extractor wrote it; opaque to the spool.
    package var definition: String
    package var rows: Int
}
