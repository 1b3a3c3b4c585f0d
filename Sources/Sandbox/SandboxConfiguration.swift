/// How a sandbox behaves. The defaults are a well-behaved BigQuery without authentication, in memory.
package struct SandboxConfiguration: Sendable {
    /// The port on 127.0.0.1; 0 takes a free one.
    package var port: UInt16 = 0
    /// The folder that keeps the data between runs; nil keeps it in memory.
    package var dataFolder: String?
    package var faults: [Fault] = []
    /// How long an insertId is remembered for its table, from the first row with it; zero turns de-duplication off.
    package var dedupeWindow: Duration = .seconds(60)
    /// How long a new table or column stays unknown to insertAll.
    package var metadataDelay: Duration = .zero
    /// How long rows stay in the streaming buffer, where tabledata.list and numRows do not see them.
    package var streamingBufferTime: Duration = .zero
    /// Projects that exist; nil stands for any.
    package var projects: Set<String>?
    /// Where datasets are created if the request names no location.
    package var defaultLocation = "US"
    /// Metadata updates of one table in ten seconds (quotas page: 5); nil for no limit.
    package var metadataUpdateLimit: Int?
    /// Whether column names of the flexible form are taken.
    package var allowsFlexibleNames = false
    /// Whether every call needs a token that the token endpoint granted.
    package var requiresAuthentication = false
    /// Service-account key files (their JSON text) whose signed requests for a token are granted.
    package var serviceAccountKeys: [String] = []
    package var tokenLifetime: Duration = .seconds(3599)
    /// Bytes of a request's body, decoded (quotas page: 10 MB).
    package var maximumRequestBytes = 10 << 20
    /// Bytes of a body beyond which the front end answers 413 in HTML.
    package var maximumFrontEndBytes = 12 << 20
    package var maximumRowBytes = 10 << 20
    package var maximumRowsPerRequest = 50_000
    /// How many requests the log keeps; older ones are dropped.
    package var logLimit = 10_000
    /// Whether the log keeps the decoded bodies.
    package var recordsBodies = false
    /// Microseconds since 1970; nil for the machine's clock.
    package var clock: (@Sendable () -> Int64)?

    package init() {}
}
