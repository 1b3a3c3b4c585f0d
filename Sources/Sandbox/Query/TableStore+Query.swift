internal import GRDB
internal import GRDBSQLite

extension TableStore {
    /// Runs a compiled query.
    ///
    /// - Throws: `APIError` invalidQuery for what goes wrong in the query's own arithmetic.
    func run(_ query: CompiledQuery, _ arguments: [SQLValue]) throws(APIError) -> [[SQLValue]] {
        do {
            return try queue.read { database in
                let statement = try database.makeStatement(sql: query.sql)
                try statement.setArguments(StatementArguments(arguments.map(\.databaseValue)))
                let handle = statement.sqliteStatement
                var result: [[SQLValue]] = []
                while true {
                    let code = sqlite3_step(handle)
                    if code == SQLITE_DONE { return result }
                    guard code == SQLITE_ROW else {
                        let message = String(cString: sqlite3_errmsg(sqlite3_db_handle(handle)))
                        throw APIError.invalidQuery(message)
                    }
                    result.append((0..<query.columns.count).map { Self.value(handle, Int32($0)) })
                }
            }
        } catch let error as APIError {
            throw error
        } catch {
            throw .invalidQuery("The sandbox's SQLite does not take this query: \(error)")
        }
    }
}
