/// What a stream is, as configured now.
package struct StreamDefinition: Sendable {
    package var name: String
    /// The source's name, for people.
    package var source: String
    package var mode: String
    package var endpoint: String
    /// `project.dataset.table`.
    package var table: String
    /// What the stream's position belongs to; opaque, compared as text.
    package var identity: String

    package init(name: String, source: String, mode: String, endpoint: String, table: String, identity: String) {
        self.name = name
        self.source = source
        self.mode = mode
        self.endpoint = endpoint
        self.table = table
        self.identity = identity
    }
}

/// What the spool knows of a stream when an extraction starts.
package struct StreamState: Sendable {
    package var number: Int64
    package var name: String
    package var mode: String
    /// What the kept position belongs to.
    package var identity: String
    /// True if there is a position that `identity` guards: a watermark, known versions or a run cut off.
    package var hasPosition: Bool
    /// What rows were normalised with in the last run; opaque.
    package var fingerprint: String?
    package var generation: Int
    package var watermark: Watermark?
    package var lastExtractedAt: Timestamp
    /// From here on (as sort key) the insertIds of spooled rows are known without a temporary index; nil: from nowhere.
    package var recentFrom: [UInt8]?
    package var knownVersions: Int
    /// The run that was cut off, if one was.
    package var unfinishedRun: Run?
    /// The source's own notes, such as when it last counted; opaque.
    package var notes: String?
    /// Base name of the column by source field, as first assigned.
    package var columns: [ExactText: String]
    package var hasRows: Bool
    /// Objects (files) that have been read.
    package var objects: Int
    /// Versions were forgotten by a reset, and no run has looked at all records since.
    package var hasForgottenVersions: Bool
}

/// One extraction of one stream.
package struct Run: Sendable {
    package enum Status: String, Sendable, CaseIterable {
        case running
        case complete
        case interrupted
        case failed
        /// Left behind by `--restart` or a reset; never continued.
        case abandoned
    }

    package var number: Int64
    package var id: String
    package var streamNumber: Int64
    package var route: Int64
    package var mode: String
    package var status: Status
    package var generation: Int
    package var startedAt: Timestamp
    package var counters: RunCounters
    package var watermarkFrom: String?
    /// Where the run stands and its bounds; the source's own, opaque.
    package var position: String?
}

package struct RunCounters: Sendable, Equatable {
    package var rowsRead = 0
    package var rowsSpooled = 0
    package var rowsUnchanged = 0
    package var deletes = 0
    /// Reads the source bills for.
    package var sourceReads = 0

    package init() {}
}
