import Foundation
import TestSupport
import Testing
import Transport

@Suite struct FederationTests {
    let client = HTTPClient(environment: [:])
    static let impersonation = "/v1/projects/-/serviceAccounts/target@p.iam.gserviceaccount.com:generateAccessToken"

    /// Token services and IAM on one host; the other provider's tokens are at `/subject`.
    @Sendable private static func services(_ request: LoopbackServer.Request) -> LoopbackServer.Answer {
        switch request.path {
        case "/token", "/sts": return .json(200, #"{"access_token":"canary-source","expires_in":3600}"#)
        case "/subject": return .json(200, #"{"value":"canary-subject","n":1}"#)
        case Self.impersonation where request.headers["authorization"] == "Bearer canary-source":
            return .json(200, #"{"accessToken":"target-token","expireTime":"2025-11-24T17:00:00Z"}"#)
        default: return .json(403, #"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#)
        }
    }

    @Test func `a token of another account is asked for with the source's token`() async throws {
        try await withFolder { folder in
            try await withLoopbackServer(answer: Self.services) { server in
                let path = folder + "/key.json"
                try write(
                    json: [
                        "type": "impersonated_service_account", "delegates": ["d"],
                        "service_account_impersonation_url": server.url + Self.impersonation,
                        "source_credentials": authorizedUser(tokenURL: server.url + "/token"),
                    ], to: path)
                let provider = try await GoogleCredentials.of(path, client: client)
                let token = try await provider.token()
                #expect(token == AccessToken("target-token", expiresAt: Date(timeIntervalSince1970: 1_764_003_600)))
                #expect(await provider.principal == "target@p.iam.gserviceaccount.com")
                #expect(await provider.quotaProject == nil)
                let body = try object(#require(server.requests.last).body)
                #expect(body["delegates"] as? [String] == ["d"])
                #expect(body["lifetime"] as? String == "3600s")
                #expect((body["scope"] as? [String])?.count == 2)
            }
        }
    }

    @Test func `an impersonation that is refused names the role that is missing`() async throws {
        try await withFolder { folder in
            try await withLoopbackServer {
                $0.path == "/token" ? Self.services($0) : .json(403, #"{"error":{"message":"canary-source is bad"}}"#)
            } _: { server in
                let path = folder + "/key.json"
                try write(
                    json: [
                        "type": "impersonated_service_account",
                        "service_account_impersonation_url": server.url + Self.impersonation,
                        "source_credentials": serviceAccount(tokenURL: server.url + "/token"),
                    ], to: path)
                let provider = try await GoogleCredentials.of(path, client: client)
                let error = try await #require(throws: AuthError.self) { _ = try await provider.token() }
                #expect(error.description.contains("roles/iam.serviceAccountTokenCreator"))
                #expect(error.description.contains("loader@p.iam.gserviceaccount.com"))
                #expect(!error.description.contains("canary"))
                let assertion = try #require(server.requests.first.flatMap { form($0)["assertion"] })
                let claims = object(base64URLDecoded(assertion.split(separator: ".")[1]))
                #expect(claims["scope"] as? String == "https://www.googleapis.com/auth/cloud-platform")
            }
        }
    }

    @Test(arguments: ["file", "url"], [true, false])
    func `another provider's token is exchanged`(origin: String, isImpersonating: Bool) async throws {
        try await withFolder { folder in
            try await withLoopbackServer(answer: Self.services) { server in
                let subject = folder + "/subject"
                try Data("canary-subject\n".utf8).write(to: URL(fileURLWithPath: subject))
                let format = ["type": "json", "subject_token_field_name": "value"]
                let source: [String: Any] =
                    origin == "file"
                    ? ["file": subject]
                    : ["url": server.url + "/subject", "headers": ["X-Request_Header": "yes"], "format": format]
                var document: [String: Any] = [
                    "type": "external_account", "audience": "//iam/pool", "token_url": server.url + "/sts",
                    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "credential_source": source,
                ]
                if isImpersonating { document["service_account_impersonation_url"] = server.url + Self.impersonation }
                try write(json: document, to: folder + "/key.json")
                let provider = try await GoogleCredentials.of(folder + "/key.json", client: client)
                let token = try await provider.token()
                #expect(token.value == (isImpersonating ? "target-token" : "canary-source"))
                let exchange = form(try #require(server.requests.first { $0.path == "/sts" }))
                #expect(exchange["subject_token"] == "canary-subject")
                #expect(exchange["audience"] == "//iam/pool")
                #expect(exchange["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange")
                #expect(exchange["scope"]?.contains("cloud-platform") == isImpersonating)
                let asked = server.requests.first { $0.path == "/subject" }
                #expect((asked?.headers["x-request_header"] == "yes") == (origin == "url"))
            }
        }
    }

    @Test(arguments: ["executable", "certificate", "aws"])
    func `an origin that is not supported is refused by name`(origin: String) async throws {
        try await withFolder { folder in
            let source: [String: Any] =
                origin == "aws"
                ? ["environment_id": "aws1", "url": "http://169.254.169.254/x"] : [origin: ["command": "x"]]
            try write(
                json: [
                    "type": "external_account", "audience": "a", "subject_token_type": "t", "credential_source": source,
                ], to: folder + "/key.json")
            let error = await #expect(throws: AuthError.self) {
                _ = try await GoogleCredentials.of(folder + "/key.json", client: client)
            }
            #expect(error?.description.contains("AWS, executables and certificates are not supported") == true)
        }
    }
}
