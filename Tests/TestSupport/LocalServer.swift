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
        if getuid() == 0 { try ChildProcess.run(["chown", user, folder]) }
        return folder
    }

    /// Starts a server behind a shell that ends it, and removes the folder, when its standard input ends: with this process.
    package static func start(_ command: [String], stopSignal: String, folder: String) throws {
        // The writing end stays open here until the process is gone, and nowhere else.
        let ends = try ChildProcess.connectedEnds()
        defer { close(ends.theirs) }
        let script = """
            folder=$1 signal=$2; shift 2
            "$@" </dev/null & server=$!
            read -r _
            kill -"$signal" $server; wait $server; rm -rf "$folder"
            """
        let log = ChildProcess.Stream.path(folder + "/server.log")
        _ = try ChildProcess.start(
            ["bash", "-c", script, "bash", folder, stopSignal] + command, input: .descriptor(ends.theirs), output: log,
            errors: log, ownGroup: true)
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
