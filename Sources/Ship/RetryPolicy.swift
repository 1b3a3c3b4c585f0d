/// When to try again. Pure: attempt in, delay out.
///
/// Exponential backoff with full jitter: a delay is drawn evenly from nothing up to a bound that doubles with every attempt, so that many
/// shippers never come back at the same moment.
package struct RetryPolicy: Sendable {
    /// The bound of the first delay.
    package var first: Duration = .milliseconds(500)
    /// Where the bound stops to double.
    package var maximum: Duration = .seconds(60)
    /// The longest `Retry-After` that is honoured: a server that asks for more is asked again after this.
    package var longestRetryAfter: Duration = .seconds(3600)

    package init() {}

    /// The bound of the delay after `attempt` failed attempts (at least 1).
    package func bound(attempt: Int) -> Duration {
        var bound = first
        for _ in 1..<max(attempt, 1) {
            bound *= 2
            if bound >= maximum { return maximum }
        }
        return min(bound, maximum)
    }

    /// - Parameters:
    ///   - retryAfter: what the server asked for; never less is waited.
    ///   - fraction: evenly distributed in 0 to 1.
    package func delay(attempt: Int, retryAfter: Duration? = nil, fraction: Double) -> Duration {
        let drawn = bound(attempt: attempt) * min(max(fraction, 0), 1)
        guard let retryAfter else { return drawn }
        return max(drawn, min(retryAfter, longestRetryAfter))
    }

    func delay(attempt: Int, retryAfter: Duration? = nil) -> Duration {
        delay(attempt: attempt, retryAfter: retryAfter, fraction: Double.random(in: 0...1))
    }
}
