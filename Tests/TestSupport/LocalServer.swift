import Foundation

/// Runs servers that tests start themselves, in folders of their own below the temporary one; they end with this process, in whatever way
/// it ends.
package enum LocalServer {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    /// The first of these programs that is there.
    package static func program(_ names: [String], in folders: [String]) -> String? {
        let paths = folders + (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        for name in names {
            if let folder = paths.first(where: { access("\($0)/\(name)", X_OK) == 0 }) { return "\(folder)/\(name)" }
        }
        return nil
    }

    /// Words in front of a command that make it run as another user where this one is root: servers refuse to.
    package static func unprivileged(_ user: String) -> [String] {
        getuid() == 0 ? ["setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups"] : []
    }

    /// A folder that the user may write to.
    package static func folder(for user: String) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "etlctl-\(UUID().uuidString.prefix(8))"
        ).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if getuid() == 0 { try run(["chown", user, folder]) }
        return folder
    }

    /// Runs a command to its end and returns what it printed.
    @discardableResult
    package static func run(_ command: [String], input: String? = nil, environment: [String: String] = [:]) throws
        -> String
    {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let (output, errors, feed) = (Pipe(), Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = feed
        let gathered = Gathered<Data>()
        let reader = Thread { gathered.add(errors.fileHandleForReading.readDataToEndOfFile()) }
        try process.run()
        reader.start()
        // A command that ends early breaks the pipe; its status tells.
        signal(SIGPIPE, SIG_IGN)
        if let input { try? feed.fileHandleForWriting.write(contentsOf: Data(input.utf8)) }
        try? feed.fileHandleForWriting.close()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            while !reader.isFinished { sched_yield() }
            let problem = String(decoding: gathered.items.first ?? Data(), as: UTF8.self)
            throw Failure(
                description: "\(command.joined(separator: " ")) ended with \(process.terminationStatus): \(problem)")
        }
        return String(decoding: data, as: UTF8.self)
    }

    /// Starts a server behind a shell that ends it, and removes the folder, when its standard input ends: with this process.
    package static func start(_ command: [String], stopSignal: String, folder: String) throws {
        var ends: [Int32] = [0, 0]
        // The writing end stays open here until the process is gone, and nowhere else. Sockets, for they are closed to children from their
        // first moment; pipe2 can't be called from Swift.
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw Failure(description: "socketpair failed: \(errno)")
        }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        for descriptor in [1, 2] as [Int32] {
            posix_spawn_file_actions_addopen(
                &actions, descriptor, folder + "/server.log", O_WRONLY | O_CREAT | O_APPEND, 0o644)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Threads of the test runner block signals; the shell and the server must not inherit that.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        // Of pipes that Foundation makes for other processes at this moment, none is kept: its reader would wait for this server's end.
        let script = """
            for fd in /proc/$$/fd/*; do fd=${fd##*/}; [ "$fd" -gt 2 ] && [ "$fd" -ne 255 ] && eval "exec $fd>&-"; done
            folder=$1 signal=$2; shift 2
            cd /; "$@" </dev/null & server=$!
            read -r _
            kill -"$signal" $server; wait $server; rm -rf "$folder"
            """
        var arguments: [UnsafeMutablePointer<CChar>?] = (["bash", "-c", script, "bash", folder, stopSignal] + command)
            .map {
                strdup($0)
            }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        let code = posix_spawn(&process, "/bin/bash", &actions, &attributes, &arguments, environ)
        guard code == 0 else { throw Failure(description: "starting \(command[0]) failed: \(code)") }
    }

    /// Waits until a server answers.
    package static func wait(for name: String, folder: String, _ answers: () throws -> Void) async throws {
        let end = ContinuousClock.now + .seconds(60)
        while true {
            do { return try answers() } catch {
                guard ContinuousClock.now < end else {
                    let log = (try? String(contentsOfFile: folder + "/server.log", encoding: .utf8)) ?? ""
                    throw Failure(
                        description: "\(name) did not answer within 60 seconds: \(error)\n\(log.suffix(2000))")
                }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }
}
