internal import GRDB

/// A row's place in the spool. Rows of one route are numbered without gaps: the route in the upper bits, the position in the lower 40.
package struct RowID: Sendable, Hashable, Comparable {
    package let rawValue: Int64

    package init(_ rawValue: Int64) { self.rawValue = rawValue }

    init(route: Int64, position: Int64) { rawValue = route << 40 | position }

    package static func < (left: RowID, right: RowID) -> Bool { left.rawValue < right.rawValue }

    package var next: RowID { RowID(rawValue + 1) }
}

/// One insertAll request on record.
package struct RequestID: Sendable, Hashable {
    package let rawValue: Int64

    package init(_ rawValue: Int64) { self.rawValue = rawValue }
}

/// Where a row is on its way (contract section 6).
package enum RowState: String, Sendable, CaseIterable {
    case pending
    case sending
    case inDoubt = "in_doubt"
    case delivered
    case rejected
    case discarded
}

/// Why rows are in doubt.
package enum Doubt: String, Sendable {
    /// The request was sent and its outcome is not known.
    case unknown
    /// The rows were accepted by a table so new or just changed that they may still be lost.
    case settling
}

package enum RowOperation: Int, Sendable {
    case upsert = 0
    case delete = 1

    package var name: String { self == .upsert ? "upsert" : "delete" }
}

/// One stream's way into one table. A stream whose table was changed has several; rows stay on the one they were spooled for.
package struct Route: Sendable, Hashable {
    package let number: Int64
    package let stream: String
    package let streamNumber: Int64
    /// The destination's endpoint; all loopback endpoints are spelt alike by the caller.
    package let endpoint: String
    /// `project.dataset.table`.
    package let table: String

    /// Numbers that leave room for the route's rows.
    static let numbers: ClosedRange<Int64> = 1...(1 << 23 - 2)

    /// - Throws: `DatabaseError` `SQLITE_CORRUPT` for a number that no route can have.
    static func number(_ number: Int64) throws -> Int64 {
        if numbers.contains(number) { return number }
        throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "a route has the number \(number)")
    }

    /// All row ids that this route can ever have.
    var rowRange: ClosedRange<RowID> {
        RowID(route: number, position: 1)...RowID(RowID(route: number + 1, position: 0).rawValue - 1)
    }
}
