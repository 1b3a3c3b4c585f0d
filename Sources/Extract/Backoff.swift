/// Pauses between attempts: exponential from half a second to a minute, with full jitter, never shorter than what the server asked for.
struct Backoff {
    private static let longest = 60.0
    /// Seconds; the ceiling of the first pause.
    private let first: Double
    private var attempt = 0

    init(first: Duration) { self.first = first / .seconds(1) }

    mutating func next(retryAfter: Duration?) -> Duration {
        let ceiling = min(Self.longest, first * Double(1 << min(attempt, 7)))
        attempt += 1
        let pause = Duration.seconds(Double.random(in: 0...ceiling))
        guard let retryAfter else { return pause }
        return max(pause, retryAfter)
    }
}
