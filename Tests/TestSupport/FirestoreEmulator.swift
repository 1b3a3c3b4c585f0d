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
        // The writing end stays open here until the process is gone, and nowhere else.
        let ends = try ChildProcess.connectedEnds()
        defer { close(ends.theirs) }
        let script = """
            "$0" emulators firestore start --host-port="$1" </dev/null & gcloud=$!
            read -r _
            kill -TERM "-$gcloud" || kill -TERM "$gcloud"
            sleep 3
            kill -KILL "-$gcloud"
            """
        _ = try ChildProcess.start(
            ["bash", "-c", script, gcloud, host], input: .descriptor(ends.theirs), ownGroup: true)
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
