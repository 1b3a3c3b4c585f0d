import ArgumentParser

/// A duration on the command line, written as in the configuration file: `90s`, `5m`, `12h`, `7d`.
struct DurationArgument: Sendable, Equatable, ExpressibleByArgument, CustomStringConvertible {
    let duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(argument: String) {
        guard let duration = ValueText.duration(argument) else { return nil }
        self.duration = duration
    }

    /// The largest unit that gives a whole number, so that help shows a default as it would be written.
    var description: String { ValueText.text(of: duration) }

    var defaultValueDescription: String { description }
}
