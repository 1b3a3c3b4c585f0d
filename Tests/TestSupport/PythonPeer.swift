package import Foundation
package import Testing

/// The vendors' own code and the servers of `Tests/Peers`, in the virtual environment that `Scripts/test.sh` makes.
package enum PythonPeer {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    static var interpreter: String { root.appendingPathComponent(".venv/bin/python3").path }
    static func script(_ name: String) -> String { root.appendingPathComponent("Tests/Peers/\(name).py").path }

    /// Whether the environment is there. In CI it has to be: tests fail there instead of being skipped.
    package static var isInstalled: Bool {
        FileManager.default.isExecutableFile(atPath: interpreter) || ProcessInfo.processInfo.environment["CI"] != nil
    }

    package struct Failure: Error {
        package var description: String
    }

    /// Runs a script to its end and returns what it printed.
    package static func run(_ name: String, arguments: [String] = [], input: Data = Data()) async throws -> Data {
        let command = [interpreter, script(name)] + arguments
        // A thread of its own: it waits.
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try ChildProcess.output(of: command, input: input) })
            }
        }
    }
}

extension Trait where Self == ConditionTrait {
    /// For tests that need `Tests/Peers`.
    package static var needsPython: Self {
        .enabled("the virtual environment .venv is missing: Scripts/test.sh makes it") { PythonPeer.isInstalled }
    }
}

/// A server of `Tests/Peers`, one for all tests of the process; it ends with the process.
package final class PeerServer: Sendable {
    package let url: String
    /// Its standard input: the server ends when it closes, and it closes with this process.
    private let lifeline: Int32

    private init(url: String, lifeline: Int32) {
        self.url = url
        self.lifeline = lifeline
    }

    private actor Registry {
        var running: [String: Task<PeerServer, any Error>] = [:]

        func server(_ name: String) async throws -> PeerServer {
            let task = running[name] ?? Task { try await PeerServer.start(name) }
            running[name] = task
            return try await task.value
        }
    }

    private static let registry = Registry()

    /// The server of that script; started when it is first asked for.
    package static func shared(_ name: String) async throws -> PeerServer { try await registry.server(name) }

    private static func start(_ name: String) async throws -> PeerServer {
        let (lifeline, output) = (try ChildProcess.connectedEnds(), try ChildProcess.connectedEnds())
        // What it prints on standard error is not this process's: a reader of the tests' output would wait for the server's end.
        _ = try ChildProcess.start(
            [PythonPeer.interpreter, PythonPeer.script(name)], input: .descriptor(lifeline.theirs),
            output: .descriptor(output.theirs))
        close(lifeline.theirs)
        close(output.theirs)
        let lines = FileHandle(fileDescriptor: output.ours, closeOnDealloc: true)
        let url: String = try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                var line: [UInt8] = []
                while let byte = try? lines.read(upToCount: 1)?.first, byte != 0x0A {
                    line.append(byte)
                }
                let url = String(decoding: line, as: UTF8.self)
                guard url.hasPrefix("http") else {
                    return continuation.resume(
                        throwing: PythonPeer.Failure(description: "\(name).py did not start; is .venv up to date?"))
                }
                continuation.resume(returning: url)
            }
        }
        return PeerServer(url: url, lifeline: lifeline.ours)
    }
}
