internal import GRDB

/// Values of a row that may come from a damaged page: a column that is never null may be null there, or hold anything else.
///
/// GRDB's own subscripts end the process where a value can't be had as the type asked for.
extension Row {
    /// - Throws: `DatabaseError` `SQLITE_CORRUPT`, which becomes `SpoolError.damaged`.
    func read<Value: DatabaseValueConvertible & StatementColumnConvertible>(_ column: String) throws -> Value {
        do { return try decode(forColumn: column) } catch {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "\(column) of a record holds what it never can")
        }
    }

    /// A count: far below what would overflow when some are added up.
    func read(_ column: String) throws -> Int {
        let count: Int64 = try read(column)
        return try Self.checked(count, column)
    }

    /// A text that is never null and that the statement reads as bytes.
    func readExact(_ column: String) throws -> ExactText {
        guard let text = exact(column) else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "\(column) of a record holds what it never can")
        }
        return text
    }

    fileprivate static func checked(_ count: Int64, _ what: String) throws -> Int {
        guard count.magnitude <= 1 << 53 else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "\(what) of a record is no count: \(count)")
        }
        return Int(count)
    }
}

extension Database {
    /// The sum that a query gives, 0 where it gives none; like `Row.read` a count that can be added to others.
    func sum(_ sql: String, _ arguments: StatementArguments = []) throws -> Int {
        try Row.checked(try Int64.fetchOne(self, sql: sql, arguments: arguments) ?? 0, "the sum")
    }
}
