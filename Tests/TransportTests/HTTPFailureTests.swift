import TestSupport
import Testing
import Transport

@Suite struct HTTPFailureTests {
    let client = HTTPClient(environment: [:])
    let body = HTTPBody([UInt8](repeating: 0x61, count: 100_000))

    private func failure(_ request: HTTPRequest, maximumResponseBytes: Int = 1 << 20) async throws -> HTTPError {
        try await #require(throws: HTTPError.self) {
            _ = try await client.send(request, maximumResponseBytes: maximumResponseBytes)
        }
    }

    @Test func `a port nobody listens on is no connection, with nothing sent`() async throws {
        let port = try LoopbackServer.unusedPort()
        let error = try await failure(HTTPRequest(.post, "http://127.0.0.1:\(port)/secret?key=secret", body: body))
        #expect(error.kind == .connect)
        #expect(error.isTransient)
        #expect(error.bodyBytesSent == 0)
        #expect(error.host == "127.0.0.1:\(port)")
        #expect(error.message.contains("127.0.0.1:\(port)"))
        #expect(!error.message.contains("secret"))
    }

    @Test func `a name without an address fails to resolve, with nothing sent`() async throws {
        let error = try await failure(HTTPRequest(.post, "http://no-such-host.invalid/", body: body))
        #expect(error.kind == .resolve)
        #expect(error.isTransient)
        #expect(error.bodyBytesSent == 0)
    }

    @Test(arguments: [
        "", "no url", "/path", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://", "https://user:canary@127.0.0.1/",
        "http://127.0.0.1:99999/", "http://exa mple/", "http://127.0.0.1/\u{0}x",
    ])
    func `a URL that can't be used is refused before anything is tried`(url: String) async throws {
        let error = try await failure(HTTPRequest(.get, url))
        #expect(error.kind == .invalidURL)
        #expect(!error.isTransient)
        #expect(!error.message.contains("canary"))
    }

    @Test(arguments: [
        HTTPHeader("X-A", "1\r\nX-B: 2"), HTTPHeader("X-A: b\r\nX", "1"), HTTPHeader("", "1"),
        HTTPHeader("X-A", "\u{0}"),
    ])
    func `a header that would break the request is refused`(header: HTTPHeader) async throws {
        try await withLoopbackServer { _ in
            .text(200, "ok")
        } _: { server in
            let error = try await failure(HTTPRequest(.get, server.url, headers: [header]))
            #expect(!error.isTransient)
            #expect(server.connections == 0)
        }
    }

    @Test func `a reset after the body is a lost connection with the body sent`() async throws {
        try await withLoopbackServer { _ in
            .reset
        } _: { server in
            let error = try await failure(HTTPRequest(.post, server.url, body: body))
            #expect(error.kind == .connectionLost)
            #expect(error.isTransient)
            #expect(error.bodyBytesSent == 100_000)
            #expect(server.requests.count == 1)
        }
    }

    @Test func `a connection closed without an answer is lost with the body sent`() async throws {
        try await withLoopbackServer { _ in
            .close
        } _: { server in
            let error = try await failure(HTTPRequest(.post, server.url, body: body))
            #expect(error.kind == .connectionLost)
            #expect(error.bodyBytesSent == 100_000)
        }
    }

    @Test func `a kept connection that breaks after a body is not used to send the body twice`() async throws {
        try await withLoopbackServer {
            $0.number == 1 ? .text(200, "ok") : .close
        } _: { server in
            #expect(try await client.send(HTTPRequest(.post, server.url, body: body)).status == 200)
            let error = try await failure(HTTPRequest(.post, server.url, body: body))
            #expect(error.kind == .connectionLost)
            #expect(error.bodyBytesSent > 0)
            // The first request and one more: nothing was repeated behind the caller's back.
            #expect(server.startedRequests == 2)
        }
    }

    @Test func `a kept connection that was closed meanwhile does not fail a request without a body`() async throws {
        try await withLoopbackServer {
            $0.number == 2 ? .close : .text(200, "ok")
        } _: { server in
            for _ in 0..<2 {
                let response = try await client.send(HTTPRequest(.get, server.url))
                #expect(response.status == 200)
            }
            #expect(server.connections == 2)
        }
    }

    @Test func `an answer that is cut off is a lost connection`() async throws {
        try await withLoopbackServer { _ in
            .truncated(body: [1, 2, 3], promised: 10)
        } _: { server in
            let error = try await failure(HTTPRequest(.get, server.url))
            #expect(error.kind == .connectionLost)
        }
    }

    @Test func `an answer beyond the limit is refused without reading on`() async throws {
        try await withLoopbackServer { _ in
            .endless
        } _: { server in
            let error = try await failure(HTTPRequest(.get, server.url), maximumResponseBytes: 100_000)
            #expect(error.kind == .responseTooLarge)
            #expect(!error.isTransient)
            #expect(error.message.contains("100000"))
        }
    }

    @Test func `an answer of exactly the limit is taken`() async throws {
        try await withLoopbackServer { _ in
            .zeros(count: 100_000)
        } _: { server in
            let response = try await client.send(HTTPRequest(.get, server.url), maximumResponseBytes: 100_000)
            #expect(response.body.count == 100_000)
        }
    }

    @Test func `header fields without end are refused`() async throws {
        try await withLoopbackServer { _ in
            .endlessHead
        } _: { server in
            let error = try await failure(HTTPRequest(.get, server.url))
            #expect(error.kind == .responseTooLarge)
        }
    }

    @Test func `bytes that are no HTTP are an error`() async throws {
        try await withLoopbackServer { _ in
            .raw(Array("SSH-2.0-OpenSSH_9.2\r\n".utf8))
        } _: { server in
            let error = try await failure(HTTPRequest(.get, server.url))
            #expect(error.kind == .other(code: 1))
        }
    }

    @Test func `a refusal that comes while the body is still on its way is the answer`() async throws {
        let large = HTTPBody([UInt8](repeating: 0, count: 20_000_000))
        try await withLoopbackServer(early: { _ in
            .after(bytes: 1000, .text(413, "<html>too large</html>", type: "text/html"))
        }) { _ in
            .close
        } _: { server in
            do throws(HTTPError) {
                let response = try await client.send(HTTPRequest(.post, server.url, body: large))
                #expect(response.status == 413)
            } catch {
                // The kernel throws the answer away when its RST overtakes it; then at least what was sent is right.
                #expect(error.kind == .connectionLost)
                #expect(error.bodyBytesSent > 0 && error.bodyBytesSent < 20_000_000)
            }
        }
    }
}
