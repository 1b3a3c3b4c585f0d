import Logging
import Synchronization

/// Shows how far long work is: on a terminal one line that is redrawn, elsewhere a log line every 10 s.
///
/// Works report absolute numbers as often as they like; nothing is printed more often than a person can read.
final class ProgressReporter: Sendable {
    private struct Work {
        var rows: Int64 = 0
        var total: Int64?
    }

    private struct State {
        var works: [String: Work] = [:]
        /// Times and rows of the last seconds, which the rate is taken from.
        var samples: [(time: Duration, rows: Int64)] = []
        var lastShown: Duration
    }

    private static let redrawInterval = Duration.milliseconds(100)
    private static let lineInterval = Duration.seconds(10)
    private static let rateWindow = Duration.seconds(15)
    private static let sampleInterval = Duration.milliseconds(500)

    private let console: Console
    /// What happens to the rows: `read`, `delivered`.
    private let verb: String
    private let state: Mutex<State>

    private var drawsLine: Bool { console.context.diagnostics.isTerminal && console.options.logFormat == .text }

    init(_ console: Console, verb: String) {
        self.console = console
        self.verb = verb
        state = Mutex(State(lastShown: console.context.uptime()))
    }

    /// - Parameters:
    ///   - rows: so far, in this run.
    ///   - total: where it is known.
    func update(_ work: String, rows: Int64, total: Int64? = nil) {
        state.withLock { $0.works[work] = Work(rows: rows, total: total) }
        tick()
    }

    /// One step of the work, for `--verbose`.
    func detail(_ message: @autoclosure () -> String) { console.log.debug("\(message())") }

    /// Shows what there is to show if it is time. Called by the clock too, so that stalled work is still reported.
    func tick() {
        guard !console.options.isQuiet else { return }
        let now = console.context.uptime()
        let snapshot: Snapshot? = state.withLock { state in
            guard !state.works.isEmpty else { return nil }
            Self.sample(&state, now: now)
            guard now - state.lastShown >= (drawsLine ? Self.redrawInterval : Self.lineInterval) else { return nil }
            state.lastShown = now
            return Self.snapshot(of: state)
        }
        guard let snapshot else { return }
        if drawsLine {
            console.diagnostics.setStatus(snapshot.text(verb: verb, width: console.context.diagnostics.width))
        } else {
            var fields: Logger.Metadata = [:]
            if console.options.logFormat == .json {
                fields["rows"] = .stringConvertible(snapshot.rows)
                fields["rows_per_second"] = .stringConvertible(snapshot.rate)
                if let left = snapshot.secondsLeft { fields["seconds_left"] = .stringConvertible(left) }
            }
            console.log.info("\(snapshot.text(verb: verb, width: nil))", metadata: fields)
        }
    }

    /// Takes the line away; the result is printed next.
    func close() { console.diagnostics.setStatus("") }

    private static func sample(_ state: inout State, now: Duration) {
        let rows = state.works.values.reduce(0) { $0 + $1.rows }
        if let last = state.samples.last, now - last.time < sampleInterval { return }
        state.samples.append((now, rows))
        // One sample older than the window stays, so that there always is a span to divide by.
        while state.samples.count > 2, now - state.samples[1].time > rateWindow { state.samples.removeFirst() }
    }

    private static func snapshot(of state: State) -> Snapshot {
        let totals = state.works.values.map(\.total)
        let names = state.works.keys.sorted()
        var rate: Int64 = 0
        if let first = state.samples.first, let last = state.samples.last, last.time > first.time {
            let span = (last.time - first.time) / Duration.seconds(1)
            rate = Int64((Double(last.rows - first.rows) / span).rounded())
        }
        return Snapshot(
            name: names.count == 1 ? names[0] : "\(names.count) streams",
            rows: state.works.values.reduce(0) { $0 + $1.rows },
            total: totals.contains(nil) ? nil : totals.reduce(0) { $0 + ($1 ?? 0) },
            rate: max(rate, 0))
    }
}

/// The numbers of one moment.
private struct Snapshot {
    let name: String
    let rows: Int64
    let total: Int64?
    /// Rows a second.
    let rate: Int64

    var secondsLeft: Int64? {
        guard let total, rate > 0 else { return nil }
        return max(total - rows, 0) / rate
    }

    /// - Parameter width: of the terminal; nil for a log line, which has no bar.
    func text(verb: String, width: Int?) -> String {
        var parts: [String] = []
        if let total, total > 0 {
            parts.append("\(Readable.count(rows)) of \(Readable.count(total, "row")) \(verb)")
        } else {
            parts.append("\(Readable.count(rows, "row")) \(verb)")
        }
        parts.append("\(Readable.count(rate))/s")
        if let secondsLeft { parts.append("\(Readable.duration(.seconds(secondsLeft))) left") }
        let numbers = parts.joined(separator: ", ")
        guard let width, let total, total > 0 else { return "\(name): \(numbers)" }
        let share = min(Double(rows) / Double(total), 1)
        // The numbers matter more than the bar, which takes what is left of the line.
        let room = width - name.count - numbers.count - 12
        guard room >= 8 else { return "\(name): \(Int(share * 100))%, \(numbers)" }
        let size = min(room, 30)
        let filled = Int(share * Double(size))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: size - filled)
        return "\(name) [\(bar)] \(Int(share * 100))%, \(numbers)"
    }
}

extension Console {
    /// Runs long work with its progress shown, and takes the line away at its end, also when it throws.
    ///
    /// - Parameter verb: what happens to the rows: `read`, `delivered`.
    func withProgress<Result: Sendable>(
        _ verb: String, _ work: @Sendable (ProgressReporter) async throws -> Result
    ) async throws -> Result {
        let progress = ProgressReporter(self, verb: verb)
        defer { progress.close() }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            let sleep = context.sleep
            group.addTask {
                // Ends by cancellation alone, which is how the group stops it.
                while !Task.isCancelled {
                    do { try await sleep(.seconds(1)) } catch { return }
                    progress.tick()
                }
            }
            defer { group.cancelAll() }
            return try await work(progress)
        }
    }
}
