/// Something that goes wrong on purpose. docs/sandbox.md describes the specs that `init(parsing:)` reads.
package struct Fault: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        case status(Int, reason: String?, message: String?, retryAfter: Int?)
        case html(Int)
        case drop
        case reset
        case truncate
        case garbage
        case rawGarbage
        case stall(Duration)
        case latency(Duration)
        case rowError(String)
        case loseRows
        case newTableDelay(Duration)
        case loseNewTable(Duration)
        case schemaDelay(Duration)
        case dedupeWindow(Duration)
        case deny
        case pendingJob
        /// The connection is reset once more bytes of a body than these have come.
        case cutUpload(Int)
        case seed(UInt64)
    }

    /// Whether the request takes effect before the fault strikes.
    enum Moment: String, Sendable {
        case before
        case after
    }

    /// As it was given.
    package let spec: String
    let kind: Kind
    var moment = Moment.before
    /// Nil: every operation.
    var operations: Set<Operation>?
    /// A table id or `dataset.table`.
    var table: String?
    /// The share of matching requests (of rows, for `row-error`) that are struck.
    var rate = 1.0
    /// How many matching requests pass first.
    var after = 0
    /// How many requests are struck at most.
    var times: Int?

    func matches(_ operation: Operation, table key: TableKey?) -> Bool {
        if let operations, !operations.contains(operation) { return false }
        guard let table else { return true }
        guard let key else { return false }
        return table == key.table || table == "\(key.dataset).\(key.table)" || table == key.description
    }
}
