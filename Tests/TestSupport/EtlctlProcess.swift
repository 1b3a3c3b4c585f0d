import Foundation
package import JSONBytes
import Synchronization

/// The built program, run as a user runs it: arguments, environment, a configuration; its streams and its end.
package struct EtlctlProcess: Sendable {
    package struct Outcome: Sendable {
        /// The exit code; nil if a signal ended it.
        package var code: Int32?
        package var signal: Int32?
        package var output: String
        package var diagnostics: String

        /// The object on standard output.
        package func json() throws -> JSONValue { try JSONValue(parsing: Array(output.utf8)) }
    }

    package var folder: String
    package var environment: [String: String]

    /// - Parameter folder: holds `etl.yaml` and all that the program writes.
    package init(folder: String, environment: [String: String] = [:]) {
        self.folder = folder
        var all = ["PATH": "/usr/bin:/bin", "HOME": folder, "ETLCTL_CONFIG": folder + "/etl.yaml"]
        all.merge(environment) { $1 }
        self.environment = all
    }

    /// The binary beside the test bundle.
    package static var binary: String {
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        return bundle.appendingPathComponent("etlctl").path
    }

    /// Runs it to its end.
    package func run(_ arguments: String...) async throws -> Outcome { try await run(arguments) }

    /// Runs it to its end, or kills it with SIGKILL after a delay.
    package func run(_ arguments: [String], killAfter delay: Duration? = nil) async throws -> Outcome {
        let started = try start(arguments)
        if let delay {
            let killer = Task {
                try await Task.sleep(for: delay)
                started.send(SIGKILL)
            }
            defer { killer.cancel() }
            return await started.wait()
        }
        return await started.wait()
    }

    /// Starts it and returns at once.
    package func start(_ arguments: [String]) throws -> Started {
        let scratch = folder + "/.streams-\(UUID().uuidString)"
        let process = try ChildProcess.start(
            [Self.binary] + arguments, environment: environment, folder: FileManager.default.currentDirectoryPath,
            output: .path(scratch + ".out"), errors: .path(scratch + ".err"))
        return Started(process: process, scratch: scratch)
    }

    /// A process that runs.
    package struct Started: Sendable {
        fileprivate let process: ChildProcess
        fileprivate let scratch: String

        package func send(_ signal: Int32) { process.send(signal) }

        package var isRunning: Bool { process.isRunning }

        /// What it has printed so far.
        package var output: String { (try? String(contentsOfFile: scratch + ".out", encoding: .utf8)) ?? "" }
        package var diagnostics: String { (try? String(contentsOfFile: scratch + ".err", encoding: .utf8)) ?? "" }

        /// Whether a signal was sent and not taken yet.
        package func hasPending(_ signal: Int32) -> Bool {
            let status = (try? String(contentsOfFile: "/proc/\(process.identifier)/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("ShdPnd:") }
            let mask = line.flatMap { UInt64($0.dropFirst(7).drop { $0 == "\t" }, radix: 16) } ?? 0
            return mask & (1 << UInt64(signal - 1)) != 0
        }

        /// Waits for its end as `wait` does, and tells how much memory it had at its peak (resident, in bytes). Looks every 5 ms: what `wait4`
        /// would tell counts the parent's memory too, in which a spawned process begins.
        package func waitMeasuringMemory() async -> (outcome: Outcome, peakMemory: Int) {
            let watch = MemoryWatch(process.identifier)
            // A thread of its own: tasks wait for each other while many tests run.
            Thread.detachNewThread { watch.run() }
            let outcome = await wait()
            return (outcome, watch.stop())
        }

        /// Waits for its end, on a thread of its own.
        package func wait() async -> Outcome {
            let status = await process.ended()
            return Outcome(
                code: status.code, signal: status.signal, output: Self.read(scratch + ".out"),
                diagnostics: Self.read(scratch + ".err"))
        }

        private static func read(_ path: String) -> String {
            defer { unlink(path) }
            return (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        }
    }
}

/// Follows how much memory a process has had at its peak.
private final class MemoryWatch: Sendable {
    private let process: Int32
    private let state = Mutex((peak: 0, isStopped: false))

    init(_ process: Int32) { self.process = process }

    func run() {
        while !state.withLock({ $0.isStopped }) {
            let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
            // Before it has begun to be another program it is still this one.
            if status.hasPrefix("Name:\tetlctl\n"), let line {
                let kibibytes = line.split { $0 == " " || $0 == "\t" }.dropFirst().first.flatMap { Int($0) } ?? 0
                state.withLock { $0.peak = max($0.peak, kibibytes << 10) }
            }
            usleep(5000)
        }
    }

    func stop() -> Int {
        state.withLock { state in
            state.isStopped = true
            return state.peak
        }
    }
}
