import Foundation
import TestSupport
import Testing
import Transport

@Suite struct TokenTests {
    let client = HTTPClient(environment: [:])

    /// A service account whose token service answers as told.
    private func withAccount(
        clock: TestClock = TestClock(), answer: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Answer,
        _ body: (any TokenProvider, LoopbackServer) async throws -> Void
    ) async throws {
        try await withFolder { folder in
            try await withLoopbackServer(answer: answer) { server in
                try write(serviceAccount(tokenURL: server.url + "/token"), to: folder + "/key.json")
                try await body(GoogleCredentials.of(folder + "/key.json", client: client, clock: clock), server)
            }
        }
    }

    private func expect(
        _ value: String, from provider: any TokenProvider, at location: SourceLocation = #_sourceLocation
    ) async throws {
        let token = try await provider.token()
        #expect(token.value == value, sourceLocation: location)
    }

    @Test func `a service account states who it is, signed with its key`() async throws {
        let clock = TestClock()
        try await withAccount(clock: clock) { _ in
            .json(200, #"{"access_token":"t-1","expires_in":3599,"token_type":"Bearer"}"#)
        } _: { provider, server in
            let token = try await provider.token()
            #expect(token.value == "t-1")
            #expect(token.expiresAt == clock.now + 3599)
            #expect(await provider.principal == "loader@p.iam.gserviceaccount.com")
            #expect(await provider.quotaProject == nil)

            let request = try #require(server.requests.first)
            #expect(request.method == "POST")
            #expect(request.headers["content-type"] == "application/x-www-form-urlencoded")
            let fields = form(request)
            #expect(fields["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer")
            let parts = try #require(fields["assertion"]).split(separator: ".")
            #expect(parts.count == 3)
            let header = object(base64URLDecoded(parts[0]))
            #expect(header["alg"] as? String == "RS256")
            #expect(header["typ"] as? String == "JWT")
            #expect(header["kid"] as? String == "key-1")
            let claims = object(base64URLDecoded(parts[1]))
            #expect(claims["iss"] as? String == "loader@p.iam.gserviceaccount.com")
            // Google's own name, although the exchange goes elsewhere.
            #expect(claims["aud"] as? String == "https://oauth2.googleapis.com/token")
            #expect(claims["iat"] as? Int == 1_764_000_000)
            #expect(claims["exp"] as? Int == 1_764_003_600)
            #expect(claims["scope"] as? String == "https://www.googleapis.com/auth/a https://www.googleapis.com/auth/b")
            let signed = Array("\(parts[0]).\(parts[1])".utf8)
            #expect(try KeyPair.shared.get().verifies(base64URLDecoded(parts[2]), of: signed))
        }
    }

    @Test func `a user's refresh token is exchanged, and the user's project pays`() async throws {
        try await withFolder { folder in
            try await withLoopbackServer { _ in
                .json(200, #"{"access_token":"t","expires_in":"3599"}"#)
            } _: { server in
                let path = folder + "/user.json"
                try write(authorizedUser(tokenURL: server.url), to: path)
                let clock = TestClock()
                let provider = try await GoogleCredentials.of(path, client: client, clock: clock)
                #expect(try await provider.token() == AccessToken("t", expiresAt: clock.now + 3599))
                #expect(await provider.quotaProject == "file-project")
                #expect(await provider.principal.contains(path))
                #expect(
                    try form(#require(server.requests.first)) == [
                        "grant_type": "refresh_token", "client_id": "client-1", "client_secret": "canary-secret",
                        "refresh_token": "1//canary-refresh",
                    ])
                let named = try await GoogleCredentials.resolve(
                    file: path, scopes: [], environment: ["GOOGLE_CLOUD_QUOTA_PROJECT": "named"], client: client)
                #expect(await named.quotaProject == "named")
            }
        }
    }

    @Test func `a token is kept until 3 min 45 s before its end`() async throws {
        let clock = TestClock()
        try await withAccount(clock: clock) { request in
            .json(200, #"{"access_token":"t-\#(request.number)","expires_in":3600}"#)
        } _: { provider, server in
            try await expect("t-1", from: provider)
            clock.advance(by: 3600 - 226)
            try await expect("t-1", from: provider)
            clock.advance(by: 2)
            try await expect("t-2", from: provider)
            #expect(server.requests.count == 2)
        }
    }

    @Test func `a token that is short-lived from the start is used for half its life`() async throws {
        let clock = TestClock()
        try await withAccount(clock: clock) { request in
            .json(200, #"{"access_token":"t-\#(request.number)","expires_in":100}"#)
        } _: { provider, _ in
            try await expect("t-1", from: provider)
            clock.advance(by: 49)
            try await expect("t-1", from: provider)
            clock.advance(by: 2)
            try await expect("t-2", from: provider)
        }
    }

    @Test func `many callers at once cost one exchange`() async throws {
        try await withAccount { request in
            .json(200, #"{"access_token":"t-\#(request.number)","expires_in":3600}"#)
        } _: { provider, server in
            let values = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<100 { group.addTask { try await provider.token().value } }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            #expect(values == ["t-1"])
            #expect(server.requests.count == 1)
        }
    }

    @Test func `a caller that gives up leaves the exchange to the others`() async throws {
        try await withAccount { request in
            request.number == 1 ? .stall() : .json(200, #"{"access_token":"second","expires_in":3600}"#)
        } _: { provider, server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                let first = Task { try await provider.token() }
                #expect(await eventually { server.requests.count == 1 })
                for _ in 0..<5 { group.addTask { try await expect("second", from: provider) } }
                first.cancel()
                let error = await #expect(throws: AuthError.self) { _ = try await first.value }
                #expect(error == .cancelled)
                try await group.waitForAll()
            }
            #expect(server.requests.count == 2)
        }
    }

    @Test func `a refused token is not given out again, a newer one stays`() async throws {
        try await withAccount { request in
            .json(200, #"{"access_token":"t-\#(request.number)","expires_in":3600}"#)
        } _: { provider, _ in
            let first = try await provider.token()
            await provider.invalidate(first)
            try await expect("t-2", from: provider)
            await provider.invalidate(first)
            try await expect("t-2", from: provider)
        }
    }

    @Test func `while the token service is down a token that still lasts is used`() async throws {
        let clock = TestClock()
        try await withAccount(clock: clock) { request in
            request.number == 1 ? .json(200, #"{"access_token":"t-1","expires_in":3600}"#) : .text(503, "down")
        } _: { provider, server in
            try await expect("t-1", from: provider)
            clock.advance(by: 3600 - 200)
            try await expect("t-1", from: provider)
            try await expect("t-1", from: provider)
            #expect(server.requests.count == 2)
            clock.advance(by: 31)
            try await expect("t-1", from: provider)
            #expect(server.requests.count == 3)
            clock.advance(by: 165)
            let error = await #expect(throws: AuthError.self) { _ = try await provider.token() }
            #expect(error?.isTransient == true)
        }
    }

    @Test(arguments: [
        LoopbackServer.Answer.text(200, "<html><title>Login</title></html>", type: "text/html"), .text(200, ""),
        .json(200, "[]"), .json(200, #"{"access_token":"","expires_in":3600}"#),
        .json(200, #"{"access_token":"a\r\nX-Evil: 1","expires_in":3600}"#), .json(200, #"{"access_token":"t"}"#),
        .json(200, #"{"access_token":"t","expires_in":-5}"#), .json(200, #"{"access_token":"t","expires_in":"soon"}"#),
        .text(500, "oops"), .text(503, "down"), .text(429, "slow down"), .text(408, "late"),
        .respond(302, headers: ["Location": "http://127.0.0.1:9/"]),
        .json(400, #"{"error":"temporarily_unavailable"}"#),
        .endless, .endlessHead, .reset, .close, .truncated(body: [1], promised: 5), .raw(Array("nonsense".utf8)),
    ])
    func `nonsense and passing trouble of the token service are told apart from a refusal`(
        answer: LoopbackServer.Answer
    ) async throws {
        try await withAccount { _ in
            answer
        } _: { provider, server in
            let error = await #expect(throws: AuthError.self) { _ = try await provider.token() }
            #expect(error?.isTransient == true)
            #expect(error?.description.contains("127.0.0.1:\(server.port)") == true)
            // It is the caller who tries again, as often as it likes.
            #expect(server.startedRequests == 1)
        }
    }

    @Test(arguments: [
        (400, #"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#, "create a new one"),
        (
            400, #"{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token"}"#,
            "clock"
        ),
        (400, #"{"error":"invalid_grant","error_description":"Account not found"}"#, "disabled or deleted"),
        (401, #"{"error":"invalid_client","error_description":"The OAuth client was not found."}"#, "invalid_client"),
        (
            403, #"{"error":{"code":403,"message":"Permission denied","status":"PERMISSION_DENIED"}}"#,
            "Permission denied"
        ),
        (404, "<html>not found</html>", "HTTP 404"),
    ])
    func `a refusal names the account and what to do`(status: Int, body: String, expected: String) async throws {
        try await withAccount { _ in
            .text(status, body)
        } _: { provider, _ in
            let error = await #expect(throws: AuthError.self) { _ = try await provider.token() }
            #expect(error?.isTransient == false)
            #expect(error?.description.contains("loader@p.iam.gserviceaccount.com") == true)
            #expect(error?.description.contains(expected) == true)
        }
    }

    @Test func `no error shows what was sent in confidence, even if the service repeats it`() async throws {
        try await withFolder { folder in
            try await withLoopbackServer { request in
                // Once as it was sent, once decoded.
                let text = request.number.isMultiple(of: 2) ? request.text : form(request).values.joined(separator: " ")
                let body = try? JSONEncoder().encode(["error": "invalid_grant", "error_description": text])
                return .respond(400, body: Array(body ?? Data()))
            } _: { server in
                try write(authorizedUser(tokenURL: server.url), to: folder + "/user.json")
                try write(serviceAccount(tokenURL: server.url), to: folder + "/key.json")
                for name in ["user", "user", "key", "key"] {
                    let provider = try await GoogleCredentials.of("\(folder)/\(name).json", client: client)
                    let error = try await #require(throws: AuthError.self) { _ = try await provider.token() }
                    for text in ["\(error)", String(reflecting: error), "\(provider)", String(reflecting: provider)] {
                        #expect(!text.contains("canary"))
                    }
                    for request in server.requests {
                        if let assertion = form(request)["assertion"] { #expect(!"\(error)".contains(assertion)) }
                    }
                }
            }
        }
        let token = AccessToken("canary", expiresAt: .distantFuture)
        #expect(!"\(token) \(String(reflecting: token)) \(StaticToken("canary"))".contains("canary"))
        var dumped = ""
        dump([token], to: &dumped)
        #expect(!dumped.contains("canary"))
    }
}
