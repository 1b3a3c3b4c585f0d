import Foundation
import Synchronization

@testable import etlctl

/// A context of its own for every test: collected output, a clock that stands still unless it is moved.
final class TestContext: Sendable {
    private struct State {
        var output = ""
        var diagnostics = ""
        var uptime = Duration.zero
    }

    private let state = Mutex(State())

    var output: String { state.withLock { $0.output } }
    var diagnostics: String { state.withLock { $0.diagnostics } }

    func advance(_ duration: Duration) { state.withLock { $0.uptime += duration } }

    /// - Parameters:
    ///   - isTerminal: whether standard error is one.
    func context(
        environment: [String: String] = [:], workingDirectory: String = "/nowhere", isTerminal: Bool = false,
        width: Int = 80
    ) -> CommandContext {
        CommandContext(
            environment: environment, workingDirectory: workingDirectory,
            now: { Date(timeIntervalSince1970: 1_764_082_677.5) },
            uptime: { self.state.withLock { $0.uptime } },
            // Until the work it ticks for is over and cancels it: no test waits for time to pass.
            sleep: { _ in try await Task.sleep(for: .seconds(3_600)) },
            output: TextStream(isTerminal: false, width: 80) { text in self.state.withLock { $0.output += text } },
            diagnostics: TextStream(isTerminal: isTerminal, width: width) { text in
                self.state.withLock { $0.diagnostics += text }
            })
    }
}

/// Runs the body with a folder that is removed afterwards.
func withTemporaryFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "etlctl-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder.path)
}
