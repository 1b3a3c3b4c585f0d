/// How a run of the shipper ended.
package struct ShipSummary: Sendable {
    package enum Status: String, Sendable {
        /// Everything is delivered or rejected.
        case drained
        /// Rows wait for the metadata of a new or changed table to settle.
        case settling
        /// The destination could not be reached, or answered nothing but transient refusals, for longer than the patience.
        case offline
        /// BigQuery refused a table's rows as a whole, or a table does not fit.
        case refused
        /// Stopped by a signal or at the row limit.
        case stopped
    }

    package var status: Status
    package var streams: [StreamSummary]
    /// The first reason why a table, or everything, was stopped.
    package var stop: ShipStop?
    /// Rows that were spooled and not delivered, rejected or discarded when the run ended.
    package var rowsLeft: Int { streams.reduce(0) { $0 + $1.pending + $1.inDoubt } }
    package var rejected: Int { streams.reduce(0) { $0 + $1.rejected } }

    package init(status: Status, streams: [StreamSummary], stop: ShipStop?) {
        self.status = status
        self.streams = streams
        self.stop = stop
    }
}

package struct StreamSummary: Sendable, Equatable {
    package var stream: String
    /// `project.dataset.table`.
    package var table: String
    /// Rows delivered in this run.
    package var delivered = 0
    /// Rows rejected in this run.
    package var rejected = 0
    /// What is left: pending and being sent.
    package var pending = 0
    package var inDoubt = 0
    package var requests = 0
    package var retries = 0
    /// Values that did not fit their columns and went to `_rescued`.
    package var rescued = 0
    /// Bytes of bodies sent, before compression.
    package var bytes = 0
    package var seconds = 0.0
    package var stop: ShipStop?

    package init(stream: String, table: String) {
        self.stream = stream
        self.table = table
    }

    /// Adds what was done later in the same run; how it ended is the later one's.
    mutating func goOn(with later: StreamSummary) {
        delivered += later.delivered
        rejected += later.rejected
        requests += later.requests
        retries += later.retries
        rescued += later.rescued
        bytes += later.bytes
        seconds += later.seconds
        stop = later.stop
    }
}

/// Why a table, or everything, was stopped, with what a user can do about it.
package struct ShipStop: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable {
        /// Credentials or permission refused: exit 77.
        case denied
        /// The configuration and the destination do not agree: exit 78.
        case configuration
        /// Not reachable, or only transient refusals: exit 75.
        case unavailable
        /// BigQuery finds our request bad: exit 1.
        case badRequest
    }

    package var kind: Kind
    package var message: String
    package var hint: String?

    package init(_ kind: Kind, _ message: String, hint: String? = nil) {
        self.kind = kind
        self.message = message
        self.hint = hint
    }

    package var description: String { hint.map { "\(message) (\($0))" } ?? message }
}

/// What happens while the shipper runs, for progress displays and logs.
package enum ShipEvent: Sendable {
    /// Rows of a stream settled: so many delivered, rejected or put in doubt just now.
    case progress(stream: String, table: String, delivered: Int, rejected: Int, inDoubt: Int)
    /// Something a user should know; `code` is stable.
    case warning(code: String, message: String, table: String?)
    /// Something done, such as a table created.
    case note(message: String, table: String?)
    /// One request and what came of it.
    case detail(message: String, table: String?)
}
