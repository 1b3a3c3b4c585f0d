/// How records of a stream are read.
package enum ReadMode: String, Sendable, CaseIterable {
    case full
    case incremental
    case changes
}

/// How far behind the watermark an incremental run begins.
package enum Lookback: Sendable, Equatable {
    case duration(Duration)
    case number(Double)
}

/// What to read of one stream, resolved: what `Extractor` and the sources go by.
package struct ExtractRequest: Sendable {
    package var name: String
    /// The name of its source in the configuration.
    package var source: String
    package var from: String?
    package var query: String?
    package var key: [String] = []
    package var mode = ReadMode.full
    package var watermark: String?
    package var columns: [String]?
    package var exclude: [String] = []
    package var rename: [String: String] = [:]
    /// BigQuery type by final column name.
    package var types: [String: String] = [:]
    /// True for `nested: json`.
    package var nestsAsJSON = false
    /// Nil: 5 minutes for time watermarks, else nothing.
    package var lookback: Lookback?
    package var parallel = 1
    package var generation = 0
    /// Billed reads a command may make; 0 for no limit.
    package var maximumReads = 0
    /// `project.dataset.table`.
    package var table: String
    /// The destination's endpoint; loopback endpoints are all spelt alike.
    package var endpoint: String

    /// How objects are read; only files streams look at it.
    package var files = FilesRequest()

    /// What the stream's position belongs to; kept with it and compared as text.
    package var identity: String
    /// What decides the form of rows besides the position; a difference from the last run is worth a warning.
    package var fingerprint: String

    package init(
        name: String, source: String, table: String, endpoint: String, identity: String, fingerprint: String
    ) {
        self.name = name
        self.source = source
        self.table = table
        self.endpoint = endpoint
        self.identity = identity
        self.fingerprint = fingerprint + " normalizer 1"
    }
}
