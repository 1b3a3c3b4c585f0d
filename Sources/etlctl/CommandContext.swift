import Foundation
import Synchronization

/// Everything outside the process that a command may touch besides files and the network. Tests pass their own.
struct CommandContext: Sendable {
    var environment: [String: String]
    /// Absolute; what relative paths of arguments start from.
    var workingDirectory: String
    /// The wall clock.
    var now: @Sendable () -> Date
    /// A monotonic clock, for rates and time-outs; its zero means nothing.
    var uptime: @Sendable () -> Duration
    /// Waits that long, or throws `CancellationError` when the task is cancelled.
    var sleep: @Sendable (Duration) async throws -> Void
    /// Standard output: what was asked for, and nothing else.
    var output: TextStream
    /// Standard error: logs, progress and failures.
    var diagnostics: TextStream

    /// The process as it was started.
    static func process() -> CommandContext {
        let start = ContinuousClock.now
        return CommandContext(
            environment: ProcessInfo.processInfo.environment,
            workingDirectory: FileManager.default.currentDirectoryPath,
            now: { Date() },
            uptime: { ContinuousClock.now - start },
            sleep: { try await Task.sleep(for: $0) },
            output: .fileDescriptor(1),
            diagnostics: .fileDescriptor(2))
    }
}

/// Where text goes, and whether a person is looking.
struct TextStream: Sendable {
    var isTerminal: Bool
    /// Columns of the terminal.
    var width: Int
    /// Writes the text as it is. A reader that has gone away is no error: the text is dropped.
    var write: @Sendable (String) throws(Failure) -> Void

    /// A descriptor of this process. SIGPIPE must be ignored, or a closed pipe ends the process.
    static func fileDescriptor(_ descriptor: Int32) -> TextStream {
        let writer = DescriptorWriter(descriptor)
        var size = winsize()
        let hasSize = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return TextStream(
            isTerminal: isatty(descriptor) == 1, width: hasSize ? Int(size.ws_col) : 80,
            write: { text throws(Failure) in try writer.write(text) })
    }
}

/// Writes whole texts to a descriptor, one after the other.
private final class DescriptorWriter: Sendable {
    private let descriptor: Int32
    private let isClosed = Mutex(false)

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    func write(_ text: String) throws(Failure) {
        let bytes = Array(text.utf8)
        let problem: Int32? = isClosed.withLock { isClosed in
            guard !isClosed else { return nil }
            var offset = 0
            while offset < bytes.count {
                let count = bytes.withUnsafeBytes { buffer in
                    Foundation.write(descriptor, buffer.baseAddress?.advanced(by: offset), buffer.count - offset)
                }
                if count >= 0 {
                    offset += count
                    continue
                }
                switch errno {
                case EINTR: continue
                case EAGAIN:
                    // Someone else made the descriptor non-blocking: wait until it takes more.
                    var descriptors = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&descriptors, 1, -1)
                case EPIPE:
                    // `etlctl status | head -1`: the reader has what it wanted.
                    isClosed = true
                    return nil
                default: return errno
                }
            }
            return nil
        }
        if let problem {
            throw .unexpected("The output can't be written: \(String(cString: strerror(problem))).")
        }
    }
}
