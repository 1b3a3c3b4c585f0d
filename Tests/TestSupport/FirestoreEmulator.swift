import Foundation
package import Testing
import Transport

/// Google's Firestore emulator: the one `FIRESTORE_EMULATOR_HOST` names, else one that this process starts and that ends with it.
package struct FirestoreEmulator: Sendable {
    /// `host:port`.
    package let host: String

    package var endpoint: String { "http://\(host)" }

    /// A database nobody else uses: any project exists in the emulator.
    package func database(_ database: String = "(default)") -> FirestoreDatabase {
        FirestoreDatabase(endpoint: endpoint, project: "t-\(UUID().uuidString.lowercased())", database: database)
    }

    package struct StartFailure: Error, CustomStringConvertible {
        package var description: String
    }

    /// The emulator of this process; starts it for the first who asks.
    package static func running() async throws -> FirestoreEmulator { try await shared.value }

    private static let shared = Task { try await find() }

    private static var namedHost: String? {
        ProcessInfo.processInfo.environment["FIRESTORE_EMULATOR_HOST"].flatMap { $0.isEmpty ? nil : $0 }
    }

    private static var gcloud: String? {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        return folders.map { "\($0)/gcloud" }.first { access($0, X_OK) == 0 }
    }

    /// False where tests that need it are to be skipped; on CI they fail instead.
    package static var isExpected: Bool {
        namedHost != nil || gcloud != nil || ProcessInfo.processInfo.environment["CI"] != nil
    }

    private static func find() async throws -> FirestoreEmulator {
        if let namedHost {
            let emulator = FirestoreEmulator(host: namedHost)
            guard await emulator.answers() else {
                throw StartFailure(description: "nothing answers at FIRESTORE_EMULATOR_HOST (\(namedHost))")
            }
            return emulator
        }
        guard let gcloud else {
            throw StartFailure(
                description:
                    "there is no Firestore emulator: install gcloud with its emulators, or set FIRESTORE_EMULATOR_HOST")
        }
        let emulator = FirestoreEmulator(host: "127.0.0.1:\(try LoopbackServer.unusedPort())")
        try start(gcloud, at: emulator.host)
        let end = ContinuousClock.now + .seconds(90)
        while ContinuousClock.now < end {
            if await emulator.answers() { return emulator }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw StartFailure(description: "the Firestore emulator did not answer within 90 seconds")
    }

    private func answers() async -> Bool {
        let response = try? await FirestoreDatabase.http.send(
            .init(.get, endpoint + "/", timeouts: .init(connect: .seconds(2))))
        return response?.status == 200
    }

    /// Starts it behind a shell that ends it when its standard input does: with this process, in whatever way it ends. gcloud makes itself the
    /// leader of a process group, which the emulator's own processes stay in.
    private static func start(_ gcloud: String, at host: String) throws {
        var ends: [Int32] = [0, 0]
        // The writing end stays open here until the process is gone, and nowhere else.
        guard pipe(&ends) == 0 else { throw StartFailure(description: "pipe failed: \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        // Of pipes that Foundation makes for other processes at this moment, none is kept: its reader would wait for the emulator's end.
        let script = """
            for fd in /proc/$$/fd/*; do fd=${fd##*/}; [ "$fd" -gt 2 ] && [ "$fd" -ne 255 ] && eval "exec $fd>&-"; done
            "$0" emulators firestore start --host-port="$1" </dev/null & gcloud=$!
            read -r _
            kill -TERM "-$gcloud" || kill -TERM "$gcloud"
            sleep 3
            kill -KILL "-$gcloud"
            """
        let words: [String] = ["bash", "-c", script, gcloud, host]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        let code = posix_spawn(&process, "/bin/bash", &actions, &attributes, &arguments, environ)
        guard code == 0 else { throw StartFailure(description: "starting \(gcloud) failed: \(code)") }
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips where there is no emulator, unless `CI` is set: then the test fails.
    package static var firestoreEmulator: Self {
        .enabled(
            if: FirestoreEmulator.isExpected,
            "needs Google's Firestore emulator: install gcloud with its emulators, or set FIRESTORE_EMULATOR_HOST")
    }
}
