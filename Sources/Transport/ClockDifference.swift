import CCurl
package import FoundationEssentials

/// How far this machine's clock is from a server's, by the `Date` of its answer. Signatures and signed statements hold for minutes only.
package struct ClockDifference: Sendable, Equatable, CustomStringConvertible {
    /// Positive where this machine is ahead.
    package var seconds: Int64

    package init(seconds: Int64) { self.seconds = seconds }

    /// - Returns: nil for an answer without a date that can be read.
    package init?(_ headers: HTTPHeaders, now: Date = Date()) {
        guard let server = headers.date else { return nil }
        seconds = Int64(now.timeIntervalSince1970) - server
    }

    /// Worth a word in a message: more than answers take on their way.
    package var isNotable: Bool { seconds.magnitude >= 60 }

    /// AWS and Azure refuse what was signed longer ago, or later, than that (15 minutes).
    package var breaksSignatures: Bool { seconds.magnitude >= 15 * 60 }

    package var description: String {
        let minutes = Int64(seconds.magnitude) / 60
        let (hours, days) = (minutes / 60, minutes / 1440)
        let size =
            days > 1
            ? "\(days) days"
            : hours > 0 ? "\(hours) h \(minutes % 60) min" : "\(minutes) min \(Int64(seconds.magnitude) % 60) s"
        return "this machine's clock is \(size) \(seconds > 0 ? "ahead of" : "behind") the server's"
    }
}
