internal import GRDB
internal import GRDBSQLite
internal import JSONBytes

extension TableStore {
    /// Stores checked rows in one transaction. On any error nothing is stored.
    func insert(_ rows: CheckedRows, at indices: [Int], into layout: TableLayout, time: Int64) throws {
        try queue.write { database in
            let statement = try database.cachedStatement(sql: layout.insertSQL)
            let handle = statement.sqliteStatement
            for index in indices {
                sqlite3_reset(handle)
                sqlite3_clear_bindings(handle)
                sqlite3_bind_int64(handle, 1, time)
                let row = rows.rows[index]
                if let insertID = row.insertID { bind(text: rows.bytes(insertID), handle, 2) }
                // Bound without a copy: it must live until the step.
                let more = ByteBuffer(capacity: 64)
                bindCells(of: row, rows, handle, more)
                if more.count > 0 { bind(text: more.bytes, handle, 3) }
                let code = withExtendedLifetime(more) { sqlite3_step(handle) }
                guard code == SQLITE_DONE else {
                    let message = String(cString: sqlite3_errmsg(sqlite3_db_handle(handle)))
                    sqlite3_reset(handle)
                    throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message)
                }
            }
            // The statement must not keep pointers into the request's buffers.
            sqlite3_reset(handle)
            sqlite3_clear_bindings(handle)
        }
    }

    private func bindCells(of row: CheckedRow, _ rows: CheckedRows, _ handle: OpaquePointer, _ more: ByteBuffer) {
        for cell in rows.cells[row.cells] {
            guard cell.column < TableLayout.maximumColumns else {
                more.append(UInt8(ascii: more.count == 0 ? "{" : ","))
                appendMore(cell, rows, more)
                continue
            }
            let position = Int32(cell.column + 4)
            switch cell.value {
            case .null: break
            case .integer(let number): sqlite3_bind_int64(handle, position, number)
            case .double(let number):
                if number.isNaN {
                    // SQLite would store NaN as NULL. The bytes are static.
                    let nan: StaticString = "NaN"
                    bind(text: UnsafeRawBufferPointer(start: nan.utf8Start, count: 3), handle, position)
                } else {
                    sqlite3_bind_double(handle, position, number)
                }
            case .text(let reference): bind(text: rows.bytes(reference), handle, position)
            case .blob(let reference):
                let bytes = rows.bytes(reference)
                sqlite3_bind_blob64(handle, position, bytes.baseAddress, UInt64(bytes.count), nil)
            }
        }
        if more.count > 0 { more.append(UInt8(ascii: "}")) }
    }

    /// A value of a column beyond SQLite's limit: `"index":value` in the forms that RECORD members use.
    private func appendMore(_ cell: CheckedCell, _ rows: CheckedRows, _ more: ByteBuffer) {
        more.appendJSONString(String(cell.column))
        more.append(UInt8(ascii: ":"))
        switch cell.value {
        case .null: more.append("null")
        case .integer(let number): more.append(decimal: number)
        case .double(let number):
            number.isFinite ? more.append("\(number)") : more.appendJSONString(FloatText.text(number))
        case .text(let reference): more.appendJSONString(rows.bytes(reference))
        case .blob(let reference): more.appendJSONString(Base64.encode(rows.bytes(reference)))
        }
    }

    /// Binds without a copy: the bytes must stay until the statement is reset.
    private func bind(text: UnsafeRawBufferPointer, _ handle: OpaquePointer, _ position: Int32) {
        guard let start = text.baseAddress, !text.isEmpty else {
            sqlite3_bind_text(handle, position, "", 0, nil)
            return
        }
        sqlite3_bind_text64(
            handle, position, start.assumingMemoryBound(to: CChar.self), UInt64(text.count), nil, UInt8(SQLITE_UTF8))
    }

    struct Page: Sendable {
        var rows: [[SQLValue]] = []
        /// `$id` of the last row; the next page starts after it. Zero if there is none.
        var lastID: Int64 = 0
    }

    /// Rows in order of arrival, each with a value for every column. An offset costs time in proportion to it; `previous`, the last id of
    /// the page before, does not.
    func rows(
        of layout: TableLayout, offset: Int = 0, after previous: Int64 = 0, limit: Int = .max, upTo latest: Int64? = nil
    ) throws -> Page {
        let names = ["\"$id\"", "\"$more\""] + layout.directFields.map { TableLayout.quoted($0.name) }
        let bound = latest.map { " AND \"$time\" <= \($0)" } ?? ""
        let sql =
            "SELECT \(names.joined(separator: ",")) FROM \(layout.quotedName) WHERE \"$id\" > \(previous)\(bound) ORDER BY \"$id\" LIMIT \(limit) OFFSET \(offset)"
        let overflow = layout.fields.dropFirst(TableLayout.maximumColumns)
        return try queue.read { database in
            var result = Page()
            let statement = try database.makeStatement(sql: sql)
            while true {
                let code = sqlite3_step(statement.sqliteStatement)
                if code == SQLITE_DONE { return result }
                guard code == SQLITE_ROW else { throw DatabaseError(resultCode: ResultCode(rawValue: code)) }
                var row = (0..<layout.directFields.count).map {
                    Self.value(statement.sqliteStatement, Int32($0 + 2))
                }
                if !overflow.isEmpty {
                    var more: JSONValue = .null
                    if case .text(let text) = Self.value(statement.sqliteStatement, 1) {
                        more = try JSONValue(parsing: text)
                    }
                    row += overflow.indices.map { Self.overflowValue(more[String($0)], layout.fields[$0]) }
                }
                result.rows.append(row)
                result.lastID = sqlite3_column_int64(statement.sqliteStatement, 0)
            }
        }
    }

    private static func overflowValue(_ value: JSONValue?, _ field: FieldSchema) -> SQLValue {
        guard let value, !value.isNull else { return .null }
        switch value {
        case .number(let text):
            if field.type == .float { return .real(Double(text) ?? 0) }
            return .integer(Int64(text) ?? 0)
        case .string(let text):
            if field.type == .bytes, field.mode != .repeated {
                return .blob(text.withBytes { Base64.decode($0) } ?? [])
            }
            return .text(text)
        default: return .text(value.text)
        }
    }

    static func value(_ statement: OpaquePointer, _ column: Int32) -> SQLValue {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: return .integer(sqlite3_column_int64(statement, column))
        case SQLITE_FLOAT: return .real(sqlite3_column_double(statement, column))
        case SQLITE_TEXT:
            let count = Int(sqlite3_column_bytes(statement, column))
            guard let text = sqlite3_column_text(statement, column) else { return .text("") }
            return .text(String(decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self))
        case SQLITE_BLOB:
            let count = Int(sqlite3_column_bytes(statement, column))
            guard let bytes = sqlite3_column_blob(statement, column) else { return .blob([]) }
            return .blob([UInt8](UnsafeRawBufferPointer(start: bytes, count: count)))
        default: return .null
        }
    }
}
