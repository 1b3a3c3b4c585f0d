import Foundation
import Synchronization
import TestSupport
import Testing
import Transport

/// Gives out `t-1`, `t-2` ...: another one after each invalidation.
private final class CountingTokens: TokenProvider {
    private let count = Mutex(1)
    let quotaProject: String? = "payer"
    let principal = "someone"

    func token() async throws(AuthError) -> AccessToken {
        AccessToken("t-\(count.withLock { $0 })", expiresAt: .distantFuture)
    }

    func invalidate(_ token: AccessToken) async { count.withLock { $0 += 1 } }
}

@Suite struct AuthorizedClientTests {
    let client = HTTPClient(environment: [:])

    @Test func `a refused token is refreshed once and the request replayed whole`() async throws {
        try await withLoopbackServer {
            $0.headers["authorization"] == "Bearer t-2" ? .respond(body: $0.body) : .text(401, "expired")
        } _: { server in
            let authorized = AuthorizedClient(client: client, tokens: CountingTokens())
            let body = HTTPBody([UInt8](repeating: 7, count: 1_000_000))
            let response = try await authorized.send(
                HTTPRequest(.post, server.url, headers: [HTTPHeader("authorization", "old")], body: body))
            #expect(response.status == 200)
            #expect(response.body.count == 1_000_000)
            #expect(server.requests.map { $0.headers["authorization"] } == ["Bearer t-1", "Bearer t-2"])
            #expect(server.requests.allSatisfy { $0.headers["x-goog-user-project"] == "payer" })
        }
    }

    @Test func `a second refusal is the answer`() async throws {
        try await withLoopbackServer { _ in
            .text(401, "never")
        } _: { server in
            let authorized = AuthorizedClient(client: client, tokens: CountingTokens())
            let response = try await authorized.send(HTTPRequest(.get, server.url))
            #expect(response.status == 401)
            #expect(server.requests.count == 2)
        }
    }

    @Test func `a streamed request is replayed too`() async throws {
        try await withLoopbackServer {
            $0.headers["authorization"] == "Bearer t-2" ? .text(200, "rows") : .text(401, "expired")
        } _: { server in
            let response = try await AuthorizedClient(client: client, tokens: CountingTokens()).stream(
                HTTPRequest(.get, server.url))
            #expect(response.status == 200)
            #expect(try await response.body.collect() == Array("rows".utf8))
        }
    }

    @Test func `a fixed token is not tried twice`() async throws {
        try await withLoopbackServer { _ in
            .text(401, "never")
        } _: { server in
            let authorized = AuthorizedClient(client: client, tokens: StaticToken("owner"))
            let response = try await authorized.send(HTTPRequest(.get, server.url))
            #expect(response.status == 401)
            #expect(server.requests.map { $0.headers["authorization"] } == ["Bearer owner"])
        }
    }

    @Test func `without tokens a request goes out as it is`() async throws {
        try await withLoopbackServer { _ in
            .text(401, "who?")
        } _: { server in
            let response = try await AuthorizedClient(client: client, tokens: nil).send(HTTPRequest(.get, server.url))
            #expect(response.status == 401)
            #expect(server.requests.count == 1)
            #expect(server.requests.first?.headers["authorization"] == nil)
            #expect(server.requests.first?.headers["x-goog-user-project"] == nil)
        }
    }

    @Test func `a redirect takes the token nowhere`() async throws {
        try await withLoopbackServer { _ in
            .text(200, "thanks")
        } _: { other in
            try await withLoopbackServer { _ in
                .respond(302, headers: ["Location": other.url])
            } _: { server in
                let authorized = AuthorizedClient(client: client, tokens: StaticToken("owner"))
                let response = try await authorized.send(HTTPRequest(.get, server.url))
                #expect(response.status == 302)
                #expect(other.connections == 0)
            }
        }
    }

    @Test func `a refusal that repeats the token is handed on without it`() async throws {
        try await withLoopbackServer { request in
            .text(403, "You sent \(request.headers["authorization"] ?? "nothing"), the owner said no")
        } _: { server in
            let secret = AuthorizedClient(client: client, tokens: StaticToken("canary-canary-canary"))
            let wanted = "You sent Bearer ***, the owner said no"
            #expect(try await secret.send(HTTPRequest(.get, server.url)).text == wanted)
            let streamed = try await secret.stream(HTTPRequest(.get, server.url)).body.collect()
            #expect(String(decoding: streamed, as: UTF8.self) == wanted)
            // An emulator's word is none.
            let word = AuthorizedClient(client: client, tokens: StaticToken("owner"))
            #expect(try await word.send(HTTPRequest(.get, server.url)).text.contains("the owner said no"))
        }
    }

    @Test func `a token that can't be had is an error of the credentials, before anything is sent`() async throws {
        try await withFolder { folder in
            try await withLoopbackServer {
                $0.path == "/token" ? .json(400, #"{"error":"invalid_grant"}"#) : .text(200, "ok")
            } _: { server in
                try write(authorizedUser(tokenURL: server.url + "/token"), to: folder + "/user.json")
                let tokens = try await GoogleCredentials.of(folder + "/user.json", client: client)
                let error = await #expect(throws: AuthError.self) {
                    _ = try await AuthorizedClient(client: client, tokens: tokens).send(HTTPRequest(.get, server.url))
                }
                #expect(error?.description.contains("gcloud auth application-default login") == true)
                #expect(server.requests.map(\.path) == ["/token"])
            }
        }
    }

    @Test func `cancelling while a token is fetched is a cancelled request`() async throws {
        try await withFolder { folder in
            try await withLoopbackServer { _ in
                .stall()
            } _: { server in
                try write(serviceAccount(tokenURL: server.url + "/token"), to: folder + "/key.json")
                let tokens = try await GoogleCredentials.of(folder + "/key.json", client: client)
                let task = Task {
                    try await AuthorizedClient(client: client, tokens: tokens).send(HTTPRequest(.get, server.url))
                }
                #expect(await eventually { server.requests.count == 1 })
                task.cancel()
                let error = await #expect(throws: HTTPError.self) { _ = try await task.value }
                #expect(error?.kind == .cancelled)
            }
        }
    }
}
