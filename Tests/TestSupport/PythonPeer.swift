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
        let process = Process()
        process.executableURL = URL(fileURLWithPath: interpreter)
        process.arguments = [script(name)] + arguments
        let (standardInput, standardOutput) = (Pipe(), Pipe())
        process.standardInput = standardInput
        process.standardOutput = standardOutput
        try process.run()
        // A thread of its own: both ends of the pipes block.
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                try? standardInput.fileHandleForWriting.write(contentsOf: input)
                try? standardInput.fileHandleForWriting.close()
                let output = (try? standardOutput.fileHandleForReading.readToEnd()) ?? Data()
                process.waitUntilExit()
                guard process.terminationStatus == 0 else {
                    return continuation.resume(
                        throwing: Failure(description: "\(name).py ended with \(process.terminationStatus)"))
                }
                continuation.resume(returning: output)
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
    private let lifeline: FileHandle

    private init(url: String, lifeline: FileHandle) {
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
        let process = Process()
        process.executableURL = URL(fileURLWithPath: PythonPeer.interpreter)
        process.arguments = [PythonPeer.script(name)]
        let (standardInput, standardOutput) = (Pipe(), Pipe())
        process.standardInput = standardInput
        process.standardOutput = standardOutput
        // Not this process's: a reader of the tests' output would wait for the server's end.
        process.standardError = FileHandle.nullDevice
        try process.run()
        let url: String = try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                var line: [UInt8] = []
                while let byte = try? standardOutput.fileHandleForReading.read(upToCount: 1)?.first, byte != 0x0A {
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
        return PeerServer(url: url, lifeline: standardInput.fileHandleForWriting)
    }
}
