/// One insertAll request on record: a range of rows, or a list of single rows that were left over from others.
package struct DeliveryRequest: Sendable {
    package var id: RequestID
    package var route: Int64
    /// First and last row of a range; nil for a list. Rows inside a range that have a fate of their own do not belong to it.
    package var range: ClosedRange<RowID>?
    package var state: RowState
    package var doubt: Doubt?
    /// The rows that share the request's fate now; discarded and retried ones have left it.
    package var rows: Int
    package var bytes: Int
    package var attempts: Int
    package var sentAt: Timestamp?
    /// When the first attempt with an unknown outcome was made, by the wall clock.
    package var unknownSince: Timestamp?
}

/// A request about to be sent.
package struct NewRequest: Sendable {
    package enum Rows: Sendable {
        /// The next rows of the route in order, all up to `last` that have no fate of their own.
        case range(first: RowID, last: RowID, count: Int)
        /// Pending rows with a fate of their own.
        case list([RowID])
    }

    package var route: Int64
    package var rows: Rows
    package var bytes: Int

    package init(route: Int64, rows: Rows, bytes: Int) {
        self.route = route
        self.rows = rows
        self.bytes = bytes
    }
}

/// What an answer, or its absence, means for each row of a request.
package struct Settlement: Sendable {
    /// The fate of all rows that `exceptions` does not name.
    package enum Rest: Sendable, Equatable {
        case delivered
        case inDoubt(Doubt)
        case pending
    }

    package var request: RequestID
    package var rest: Rest
    package var exceptions: [RowSettlement]
    /// False when the request as a whole was not an attempt (nothing of it can have been looked at).
    package var counts = true
    package var httpStatus: Int?
    package var error: String?
    package var answeredAt: Timestamp
    /// True when this outcome also tells what became of earlier attempts (BigQuery was asked). Otherwise a row that had an unknown outcome
    /// stays in doubt where it would have become pending: an earlier attempt may have arrived.
    package var clearsDoubt = false
    /// Cut a range that becomes pending, or stays in doubt, in two after this row: each half becomes a request of its own.
    package var splitAfter: RowID?

    package init(
        _ request: RequestID, rest: Rest, exceptions: [RowSettlement] = [], answeredAt: Timestamp = .now()
    ) {
        self.request = request
        self.rest = rest
        self.exceptions = exceptions
        self.answeredAt = answeredAt
    }
}

package struct RowSettlement: Sendable, Equatable {
    package enum Outcome: Sendable, Equatable {
        case delivered
        case rejected(reason: String, message: String)
        /// To be sent again. `counts`: this was an attempt against the row; `transient`: it counts towards giving the row up.
        case pending(reason: String, message: String, counts: Bool, transient: Bool)
        case inDoubt(Doubt)
    }

    package var row: RowID
    package var outcome: Outcome

    package init(_ row: RowID, _ outcome: Outcome) {
        self.row = row
        self.outcome = outcome
    }
}

/// A row as the shipper reads it. The bytes are valid only inside the closure that gets them.
package struct RowBytes {
    package let id: RowID
    package let shape: Int64
    package let extractedAt: Timestamp
    package let insertID: UnsafeRawBufferPointer
    package let payload: UnsafeRawBufferPointer
    /// False if payload, insertId, shape or moment are not what was spooled: such a row must not be sent.
    package let isIntact: Bool
    /// Attempts counted so far and the moment of the first transient refusal, for rows with a fate of their own.
    package let transientAttempts: Int
    package let firstTransientAt: Timestamp?
}

package enum RowSelection: Sendable {
    /// Rows of a route never claimed by a request, after a row (nil: from the first).
    case fresh(route: Int64, after: RowID?)
    /// Pending rows with a fate of their own, after a row.
    case leftOver(route: Int64, after: RowID?)
    /// The rows that share a request's fate.
    case request(RequestID)
    /// All rows of a route still in the spool.
    case all(route: Int64)
    /// All rows of a route still in the spool that are in this state, after a row.
    case state(RowState, route: Int64, after: RowID?)
}
