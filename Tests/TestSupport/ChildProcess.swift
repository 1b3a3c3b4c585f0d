import CSpawn
package import Foundation

/// A program that a test starts beside itself.
///
/// Not Foundation's `Process`: its children hold signals back that the thread which starts them holds back, and inherit the pipes of
/// others that are started at the same moment, whose readers then wait for both.
package struct ChildProcess: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    /// Where a standard stream of the child comes from or goes to.
    package enum Stream: Sendable {
        /// `/dev/null`.
        case none
        case path(String)
        /// Open here; the child gets a copy.
        case descriptor(Int32)
    }

    /// How it ended.
    package struct Status: Sendable {
        /// The exit code; nil if a signal ended it.
        package var code: Int32?
        package var signal: Int32?
    }

    package let identifier: Int32

    /// Starts a program with no other descriptors than the three streams, no signal held back, each with its default action.
    /// - Parameters:
    ///   - command: the program, looked up in PATH, and its arguments.
    ///   - environment: instead of this process's.
    ///   - ownGroup: whether signals to this process's group pass it by.
    package static func start(
        _ command: [String], environment: [String: String]? = nil, folder: String = "/", input: Stream = .none,
        output: Stream = .none, errors: Stream = .none, ownGroup: Bool = false
    ) throws -> ChildProcess {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addchdir_np(&actions, folder)
        for (number, stream) in [input, output, errors].enumerated() {
            let number = Int32(number)
            let mode = number == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND
            switch stream {
            case .none: posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
            case .path(let path): posix_spawn_file_actions_addopen(&actions, number, path, mode, 0o644)
            case .descriptor(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, number)
            }
        }
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Threads of the test runner block signals; the child must not inherit that.
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (ownGroup ? POSIX_SPAWN_SETPGROUP : 0)
        posix_spawnattr_setflags(&attributes, Int16(flags))
        let variables = environment ?? ProcessInfo.processInfo.environment
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        var settings: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + settings { free(text) } }
        var process = pid_t()
        let code = posix_spawnp(&process, command[0], &actions, &attributes, &words, &settings)
        guard code == 0 else {
            throw Failure(description: "starting \(command[0]) failed: \(String(cString: strerror(code)))")
        }
        return ChildProcess(identifier: process)
    }

    package func send(_ signal: Int32) { kill(identifier, signal) }

    /// Whether it has not ended yet; false too once someone has waited for it.
    package var isRunning: Bool {
        var information = siginfo_t()
        let options = WEXITED | WNOHANG | WNOWAIT
        // A child that runs on leaves the signal number 0.
        return waitid(P_PID, id_t(identifier), &information, options) == 0 && information.si_signo == 0
    }

    /// Waits for its end, in this thread; once.
    @discardableResult
    package func wait() -> Status {
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7F
        return Status(code: signal == 0 ? (status >> 8) & 0xFF : nil, signal: signal == 0 ? nil : signal)
    }

    /// Waits for its end, on a thread of its own; once.
    package func ended() async -> Status {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: wait()) }
        }
    }

    /// Runs a command to its end and returns what it printed.
    /// - Throws: `Failure` with what it printed on standard error, if it does not end with 0.
    package static func output(
        of command: [String], input: Data? = nil, environment: [String: String] = [:]
    ) throws -> Data {
        let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("etlctl-\(UUID().uuidString)").path
        defer { for stream in [".in", ".out", ".err"] { unlink(scratch + stream) } }
        if let input { try input.write(to: URL(fileURLWithPath: scratch + ".in")) }
        let process = try start(
            command, environment: ProcessInfo.processInfo.environment.merging(environment) { $1 },
            input: input == nil ? .none : .path(scratch + ".in"), output: .path(scratch + ".out"),
            errors: .path(scratch + ".err"))
        let status = process.wait()
        guard status.code == 0 else {
            let problem = (try? String(contentsOfFile: scratch + ".err", encoding: .utf8)) ?? ""
            throw Failure(description: "\(command.joined(separator: " ")) ended with \(status): \(problem)")
        }
        return try Data(contentsOf: URL(fileURLWithPath: scratch + ".out"))
    }

    /// Runs a command to its end and returns the text that it printed, as `output(of:)` does.
    @discardableResult
    package static func run(_ command: [String], input: String? = nil, environment: [String: String] = [:]) throws
        -> String
    {
        let data = try output(of: command, input: input.map { Data($0.utf8) }, environment: environment)
        return String(decoding: data, as: UTF8.self)
    }

    /// Two connected ends; both are closed to children, but for the copy that one may be given.
    package static func connectedEnds() throws -> (ours: Int32, theirs: Int32) {
        var ends: [Int32] = [0, 0]
        // Sockets, for they are closed to children from their first moment; pipe2 can't be called from Swift.
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw Failure(description: "socketpair failed: \(String(cString: strerror(errno)))")
        }
        return (ends[0], ends[1])
    }
}
