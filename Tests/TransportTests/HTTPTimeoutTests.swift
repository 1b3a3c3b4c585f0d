import TestSupport
import Testing
import Transport

@Suite struct HTTPTimeoutTests {
    let client = HTTPClient(environment: [:])
    let body = HTTPBody([UInt8](repeating: 0x61, count: 100_000))

    private func failure(_ request: HTTPRequest) async throws -> HTTPError {
        try await #require(throws: HTTPError.self) { _ = try await client.send(request) }
    }

    @Test func `a server that never answers is silent`() async throws {
        try await withLoopbackServer { _ in
            .stall()
        } _: { server in
            let timeouts = HTTPTimeouts(silence: .milliseconds(200))
            let error = try await failure(HTTPRequest(.post, server.url, body: body, timeouts: timeouts))
            #expect(error.kind == .timeout(.silence))
            #expect(error.isTransient)
            #expect(error.bodyBytesSent == 100_000)
            #expect(error.message.contains("silent for 0.2 s"))
        }
    }

    @Test func `a server that stops in the middle of its answer is silent`() async throws {
        let part = Array("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123".utf8)
        try await withLoopbackServer { _ in
            .stall(after: part)
        } _: { server in
            let error = try await failure(
                HTTPRequest(.get, server.url, timeouts: HTTPTimeouts(silence: .milliseconds(200))))
            #expect(error.kind == .timeout(.silence))
        }
    }

    @Test func `a server that does not take the body is silent`() async throws {
        let large = HTTPBody([UInt8](repeating: 0, count: 50_000_000))
        try await withLoopbackServer(early: { _ in .after(bytes: 1000, .stallUnread) }) { _ in
            .close
        } _: { server in
            let error = try await failure(
                HTTPRequest(.post, server.url, body: large, timeouts: HTTPTimeouts(silence: .milliseconds(300))))
            #expect(error.kind == .timeout(.silence))
            #expect(error.bodyBytesSent > 0 && error.bodyBytesSent < 50_000_000)
        }
    }

    @Test func `an answer that never ends runs into the total limit`() async throws {
        try await withLoopbackServer { _ in
            .endless
        } _: { server in
            let request = HTTPRequest(.get, server.url, timeouts: HTTPTimeouts(total: .milliseconds(300)))
            let error = try await #require(throws: HTTPError.self) {
                _ = try await client.send(request, maximumResponseBytes: .max)
            }
            #expect(error.kind == .timeout(.total))
        }
    }

    @Test func `a connection that does not come about runs into the connect limit, with nothing sent`() async throws {
        // TLS to a server that waits for a request: the handshake never ends.
        try await withLoopbackServer { _ in
            .stall()
        } _: { server in
            let error = try await failure(
                HTTPRequest(
                    .post, "https://127.0.0.1:\(server.port)/", body: body,
                    timeouts: HTTPTimeouts(connect: .milliseconds(200))))
            #expect(error.kind == .timeout(.connect))
            #expect(error.isTransient)
            #expect(error.bodyBytesSent == 0)
        }
    }

    @Test func `cancelling the task ends the transfer at once`() async throws {
        try await withLoopbackServer { _ in
            .stall()
        } _: { server in
            let outcome = await withTaskGroup(of: HTTPError?.self) { group in
                group.addTask {
                    do throws(HTTPError) {
                        _ = try await client.send(HTTPRequest(.post, server.url, body: body))
                        return nil
                    } catch { return error }
                }
                #expect(await eventually { server.requests.count == 1 })
                group.cancelAll()
                return await group.next() ?? nil
            }
            #expect(outcome?.kind == .cancelled)
            #expect(outcome?.bodyBytesSent == 100_000)
        }
    }

    @Test func `a task that is cancelled already sends nothing`() async throws {
        try await withLoopbackServer { _ in
            .text(200, "ok")
        } _: { server in
            let outcome = await withTaskGroup(of: HTTPError?.self) { group in
                group.cancelAll()
                group.addTask {
                    do throws(HTTPError) {
                        _ = try await client.send(HTTPRequest(.post, server.url, body: body))
                        return nil
                    } catch { return error }
                }
                return await group.next() ?? nil
            }
            #expect(outcome?.kind == .cancelled)
            #expect(outcome?.bodyBytesSent == 0)
            #expect(server.startedRequests == 0)
        }
    }
}
