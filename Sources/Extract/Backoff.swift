/// Pauses between attempts: exponential from half a second to a minute, with full jitter, never shorter than what the server asked for.
struct Backoff {
    private static let first = 0.5
    private static let longest = 60.0
    private var attempt = 0

    mutating func next(retryAfter: Duration?) -> Duration {
        let ceiling = min(Self.longest, Self.first * Double(1 << min(attempt, 7)))
        attempt += 1
        let pause = Duration.seconds(Double.random(in: 0...ceiling))
        guard let retryAfter else { return pause }
        return max(pause, retryAfter)
    }
}
