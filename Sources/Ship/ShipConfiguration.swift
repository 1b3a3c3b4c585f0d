package import Spool
internal import Synchronization

/// What the shipper is told about the destination and about how to treat it. The command resolves it from configuration and flags.
package struct ShipConfiguration: Sendable {
    package enum Verify: Sendable { case auto, never }

    package var project: String
    package var dataset: String
    /// Used when the dataset is created, and for questions to it.
    package var location: String?
    /// Scheme, host and port without a slash at the end.
    package var endpoint: String
    /// Create dataset, tables and views that are missing.
    package var create = true
    /// Add columns that are missing; else their values go to `_rescued`.
    package var evolveSchema = true
    package var latestViews = true
    package var maximumRowsPerRequest = 500
    /// Bytes of one request's body before compression.
    package var maximumRequestBytes = 5 << 20
    package var maximumInFlight = 8
    /// 0: no limit of ours.
    package var rowsPerSecond = 0
    package var verify = Verify.auto
    /// How long nothing but transient failures is put up with; nil: for ever.
    package var patience: Duration? = .seconds(60)
    /// How long metadata is given to settle after a table or column appeared.
    package var settle: Duration = .seconds(600)
    /// Go on when everything is delivered, and wait for more.
    package var follow = false
    /// Never send more rows than this in one run.
    package var rowLimit: Int?
    /// Compress bodies; nil: where the endpoint is not loopback.
    package var compress: Bool?
    /// Ship only what these streams have spooled; nil: everything.
    package var only: Set<String>?
    /// An empty snapshot may become the one that the latest view shows.
    package var allowEmptySnapshot = false
    package var retry = RetryPolicy()
    package var clock = ShipClock()
    /// How often a spool that is drained is looked at again with `follow`.
    package var pollInterval: Duration = .milliseconds(500)
    /// How long requests under way may go on after a stop.
    package var grace: Duration = .seconds(4)

    package init(project: String, dataset: String, endpoint: String) {
        self.project = project
        self.dataset = dataset
        self.endpoint = endpoint
    }

    var compresses: Bool { compress ?? (normalizedEndpoint(endpoint) != loopbackEndpoint) }
}

/// What the shipper must know of a configured stream. Rows of streams that are no longer configured are shipped with the defaults.
package struct StreamDelivery: Sendable {
    package var name: String
    /// Pinned BigQuery types by final column name, in their canonical spelling.
    package var types: [String: String] = [:]
    /// Whether rows have a key, so that the latest view shows one row per key.
    package var hasKey = true
    /// Firestore: rows are told apart by `_path` and ordered by `_updated_at`.
    package var isFirestore = false
    /// Full mode: the latest view shows the last snapshot that was delivered whole.
    package var isSnapshot = false
    /// Metadata columns that were renamed: canonical name to column name.
    package var renamedMetadata: [String: String] = [:]

    package init(name: String) { self.name = name }
}

/// The clocks, in one place for tests.
package struct ShipClock: Sendable {
    /// The wall clock; it may step.
    package var now: @Sendable () -> Timestamp = { .now() }
    /// Time since some moment of this process; it never steps.
    package var uptime: @Sendable () -> Duration = {
        let instant = ContinuousClock.now
        return ShipClock.origin.duration(to: instant)
    }
    /// Ends early, without an error, when the task is cancelled.
    package var sleep: @Sendable (Duration) async -> Void = { try? await Task.sleep(for: $0) }

    package init() {}

    private static let origin = ContinuousClock.now

    /// The same clock, whose wall time never stands or goes back: what comes later has a later time, whatever is done to the machine's clock.
    func rising() -> ShipClock {
        let last = Mutex(Timestamp(microseconds: .min))
        var clock = self
        clock.now = { [now] in
            let time = now()
            return last.withLock { last in
                last = max(time, Timestamp(microseconds: last.microseconds + 1))
                return last
            }
        }
        return clock
    }
}

/// How every loopback endpoint is spelt in the spool: ports of emulators and test servers change, the data stays.
package let loopbackEndpoint = "loopback"

/// The destination's endpoint as the spool keeps it beside rows: without a slash at the end, in lower case, and `loopback` for every address
/// of this machine.
package func normalizedEndpoint(_ url: String) -> String {
    var text = url.lowercased()
    while text.hasSuffix("/") { text.removeLast() }
    let rest = text.split(separator: "://", maxSplits: 1).last.map(String.init) ?? text
    let authority = rest.split(separator: "/", maxSplits: 1).first.map(String.init) ?? rest
    let host: Substring
    if authority.hasPrefix("[") {
        host = authority.dropFirst().prefix { $0 != "]" }
    } else {
        host = authority.prefix { $0 != ":" }
    }
    if host == "localhost" || host.hasSuffix(".localhost") || host == "::1" || isLoopbackAddress(host) {
        return loopbackEndpoint
    }
    return text
}

/// 127.0.0.0/8; a name like `127.example.org` is none.
private func isLoopbackAddress(_ host: Substring) -> Bool {
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
}
