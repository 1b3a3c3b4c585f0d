import Foundation
import TestSupport
import Testing
import Transport

@Suite struct CredentialSearchTests {
    let client = HTTPClient(environment: [:])

    private func resolve(_ environment: [String: String], file: String? = nil) async throws -> any TokenProvider {
        try await GoogleCredentials.resolve(
            file: file, scopes: ["s1", "s2"], environment: environment, client: client, now: { TestClock().now })
    }

    /// A metadata server; it names itself unless told otherwise.
    @Sendable private static func metadata(_ request: LoopbackServer.Request) -> LoopbackServer.Answer {
        let headers = ["Metadata-Flavor": "Google"]
        guard request.headers["metadata-flavor"] == "Google" else { return .text(403, "no") }
        switch request.path {
        case "/": return .respond(headers: headers, body: Array("computeMetadata/".utf8))
        case "/computeMetadata/v1/instance/service-accounts/default/token":
            return .respond(headers: headers, body: Array(#"{"access_token":"machine","expires_in":1800}"#.utf8))
        case "/computeMetadata/v1/instance/service-accounts/default/email":
            return .respond(headers: headers, body: Array("machine@p.iam.gserviceaccount.com\n".utf8))
        default: return .text(404, "not found")
        }
    }

    @Test func `the named file comes before gcloud's, and that before the metadata server`() async throws {
        try await withFolder { folder in
            try await withLoopbackServer(answer: Self.metadata) { server in
                let named = folder + "/named.json"
                try write(serviceAccount(tokenURL: server.url), to: named)
                let home = folder + "/home"
                let gcloud = home + "/.config/gcloud/application_default_credentials.json"
                try FileManager.default.createDirectory(
                    atPath: home + "/.config/gcloud", withIntermediateDirectories: true)
                try write(authorizedUser(tokenURL: server.url), to: gcloud)
                let host = "127.0.0.1:\(server.port)"

                var environment = ["GOOGLE_APPLICATION_CREDENTIALS": named, "HOME": home, "GCE_METADATA_HOST": host]
                #expect(try await resolve(environment).principal == "loader@p.iam.gserviceaccount.com")
                environment["GOOGLE_APPLICATION_CREDENTIALS"] = ""
                #expect(try await resolve(environment).principal == "application default credentials (\(gcloud))")
                environment["HOME"] = folder
                #expect(server.startedRequests == 0)
                let machine = try await resolve(environment)
                #expect(try await machine.token().value == "machine")
                #expect(await machine.principal == "machine@p.iam.gserviceaccount.com")
                #expect(server.requests.map(\.target).contains { $0.hasSuffix("/token?scopes=s1%2Cs2") })
                environment["CLOUDSDK_CONFIG"] = home + "/.config/gcloud"
                #expect(try await resolve(environment).principal == "application default credentials (\(gcloud))")
                // A file asked for by name wins over all of them.
                environment["GOOGLE_APPLICATION_CREDENTIALS"] = gcloud
                #expect(try await resolve(environment, file: named).principal == "loader@p.iam.gserviceaccount.com")
            }
        }
    }

    @Test func `a named file that can't be used is an error, not a reason to look further`() async throws {
        try await withLoopbackServer(answer: Self.metadata) { server in
            let environment = [
                "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json", "GCE_METADATA_HOST": "127.0.0.1:\(server.port)",
            ]
            let error = await #expect(throws: AuthError.self) { _ = try await resolve(environment) }
            guard case .unreadableFile("/nowhere/key.json", let reason)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(reason.contains("No such file"))
            #expect(server.connections == 0)
        }
    }

    @Test func `nothing found tells the ways to provide credentials`() async throws {
        try await withFolder { folder in
            let error = await #expect(throws: AuthError.self) {
                _ = try await resolve(["HOME": folder, "NO_GCE_CHECK": "true"])
            }
            guard case .noCredentials? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            let text = error?.description ?? ""
            for part in [
                "GOOGLE_APPLICATION_CREDENTIALS", folder, "gcloud auth application-default login", "NO_GCE_CHECK",
            ] {
                #expect(text.contains(part))
            }
        }
    }

    @Test func `an answer that does not name itself is no metadata server`() async throws {
        try await withLoopbackServer { _ in
            .text(200, "a hotel's login page")
        } _: { server in
            let error = await #expect(throws: AuthError.self) {
                _ = try await resolve(["GCE_METADATA_HOST": "127.0.0.1:\(server.port)"])
            }
            guard case .noCredentials? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(server.requests.count == 1)
        }
    }

    @Test func `no metadata server is found out at once where the connection is refused`() async throws {
        let port = try LoopbackServer.unusedPort()
        let start = ContinuousClock.now
        await #expect(throws: AuthError.self) { _ = try await resolve(["GCE_METADATA_HOST": "127.0.0.1:\(port)"]) }
        #expect(ContinuousClock.now - start < .seconds(8))
    }

    @Test func `a machine without a service account is refused`() async throws {
        try await withLoopbackServer {
            $0.path == "/" ? Self.metadata($0) : .text(404, "not found")
        } _: { server in
            let provider = try await resolve(["GCE_METADATA_HOST": "127.0.0.1:\(server.port)"])
            let error = await #expect(throws: AuthError.self) { _ = try await provider.token() }
            #expect(error?.isTransient == false)
            #expect(error?.description.contains("service account has to be attached") == true)
            #expect(await provider.principal.contains("metadata server"))
        }
    }

    struct BrokenFile: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var text: String
        var expected: String
    }

    static let brokenFiles = [
        BrokenFile(testDescription: "empty", text: "", expected: "no JSON object"),
        BrokenFile(testDescription: "text", text: "canary", expected: "no JSON object"),
        BrokenFile(testDescription: "array", text: #"["canary"]"#, expected: "no JSON object"),
        BrokenFile(testDescription: "no type", text: #"{"client_email":"canary"}"#, expected: "\"type\""),
        BrokenFile(
            testDescription: "unknown type", text: #"{"type":"gdch_service_account"}"#, expected: "gdch_service_account"
        ),
        BrokenFile(
            testDescription: "no e-mail", text: #"{"type":"service_account","private_key":"canary"}"#,
            expected: "client_email"),
        BrokenFile(
            testDescription: "no key", text: #"{"type":"service_account","client_email":"a@b"}"#,
            expected: "private_key"),
        BrokenFile(
            testDescription: "no PEM",
            text: #"{"type":"service_account","client_email":"a@b","private_key":"canary"}"#, expected: "RSA key"),
        BrokenFile(
            testDescription: "encrypted key",
            text: """
                {"type":"service_account","client_email":"a@b","private_key":"-----BEGIN ENCRYPTED PRIVATE KEY-----\\nMII=\\n\
                -----END ENCRYPTED PRIVATE KEY-----\\n"}
                """, expected: "RSA key"),
        BrokenFile(
            testDescription: "no secret", text: #"{"type":"authorized_user","client_id":"a","refresh_token":"canary"}"#,
            expected: "client_secret"),
        BrokenFile(
            testDescription: "token service without TLS",
            text: """
                {"type":"authorized_user","client_id":"a","client_secret":"canary","refresh_token":"canary",\
                "token_uri":"http://example.com/token"}
                """, expected: "https"),
    ]

    @Test(arguments: brokenFiles)
    func `a broken file is named with what is wrong, without its content`(file: BrokenFile) async throws {
        try await withFolder { folder in
            let path = folder + "/key.json"
            try Data(file.text.utf8).write(to: URL(fileURLWithPath: path))
            let error = try await #require(throws: AuthError.self) { _ = try await resolve([:], file: path) }
            guard case .unreadableFile(path, let reason) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(reason.contains(file.expected))
            #expect(!"\(error)".contains("canary"))
        }
    }

    @Test func `a key that is not RSA is refused`() async throws {
        try await withFolder { folder in
            var members = try serviceAccount(tokenURL: "https://example.com")
            members["private_key"] = try KeyPair(algorithm: "EC").pem
            try write(members, to: folder + "/key.json")
            let error = await #expect(throws: AuthError.self) { _ = try await resolve([:], file: folder + "/key.json") }
            #expect(error?.description.contains("RSA key") == true)
        }
    }

    @Test func `a folder is no credentials file`() async throws {
        try await withFolder { folder in
            let error = await #expect(throws: AuthError.self) { _ = try await resolve([:], file: folder) }
            #expect(error?.description.contains("Is a directory") == true)
        }
    }
}
