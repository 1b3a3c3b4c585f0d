import TestSupport
import Testing
import Transport

@Suite struct HTTPStreamTests {
    let client = HTTPClient(environment: [:])

    @Test func `200 MB pass through while the unread part stays small`() async throws {
        let total = 200_000_000
        try await withLoopbackServer { _ in
            .zeros(count: total)
        } _: { server in
            let response = try await client.stream(HTTPRequest(.get, server.url))
            #expect(response.status == 200)
            #expect(response.headers["content-length"] == "\(total)")
            // Nobody reads: the server gets stuck once the socket buffers and the queue are full.
            #expect(await eventually { server.isBlocked })
            #expect(server.bytesWritten < 24_000_000)
            var read = 0
            var mostUnread = 0
            var largest = 0
            for try await chunk in response.body {
                read += chunk.count
                largest = max(largest, chunk.count)
                mostUnread = max(mostUnread, server.bytesWritten - read)
            }
            #expect(read == total)
            #expect(largest <= 1 << 20)
            #expect(mostUnread < 24_000_000)
        }
    }

    @Test func `a paused reader is no silence`() async throws {
        try await withLoopbackServer { _ in
            .zeros(count: 50_000_000)
        } _: { server in
            let response = try await client.stream(
                HTTPRequest(.get, server.url, timeouts: HTTPTimeouts(silence: .seconds(1))))
            let resumed = ContinuousClock.now + .seconds(3)
            #expect(await eventually { ContinuousClock.now > resumed })
            #expect(try await response.body.collect().count == 50_000_000)
        }
    }

    @Test func `an error status is streamed like any other`() async throws {
        try await withLoopbackServer { _ in
            .text(503, "later")
        } _: { server in
            let response = try await client.stream(HTTPRequest(.get, server.url))
            #expect(response.status == 503)
            #expect(try await response.body.collect() == Array("later".utf8))
        }
    }

    @Test func `a compressed stream is decoded`() async throws {
        try await withLoopbackServer { _ in
            .respond(headers: ["Content-Encoding": "gzip"], body: HTTPClientTests.gzipped)
        } _: { server in
            let response = try await client.stream(HTTPRequest(.get, server.url))
            #expect(try await response.body.collect() == Array("hello hello hello hello\n".utf8))
        }
    }

    @Test func `an empty body has no chunks`() async throws {
        try await withLoopbackServer { _ in
            .respond(204)
        } _: { server in
            let response = try await client.stream(HTTPRequest(.get, server.url))
            var iterator = response.body.makeAsyncIterator()
            #expect(try await iterator.next() == nil)
            #expect(try await iterator.next() == nil)
        }
    }

    @Test func `a body that is cut off throws after the chunks that arrived`() async throws {
        try await withLoopbackServer { _ in
            .truncated(body: [1, 2, 3], promised: 10)
        } _: { server in
            let response = try await client.stream(HTTPRequest(.get, server.url))
            var read: [UInt8] = []
            let error = await #expect(throws: HTTPError.self) {
                for try await chunk in response.body { read += chunk }
            }
            #expect(error?.kind == .connectionLost)
            #expect(read == [1, 2, 3])
        }
    }

    @Test func `no connection is an error of the call, not of the body`() async throws {
        let port = try LoopbackServer.unusedPort()
        let error = await #expect(throws: HTTPError.self) {
            _ = try await client.stream(HTTPRequest(.get, "http://127.0.0.1:\(port)/"))
        }
        #expect(error?.kind == .connect)
    }

    @Test func `letting the stream go ends the transfer`() async throws {
        try await withLoopbackServer { _ in
            .endless
        } _: { server in
            do {
                let response = try await client.stream(HTTPRequest(.get, server.url))
                var iterator = response.body.makeAsyncIterator()
                #expect(try await iterator.next()?.isEmpty == false)
            }
            #expect(await eventually { server.openConnections == 0 })
        }
    }

    @Test func `cancelling the reader ends the transfer`() async throws {
        try await withLoopbackServer { _ in
            .stall(after: Array("HTTP/1.1 200 OK\r\n\r\nx".utf8))
        } _: { server in
            let response = try await client.stream(HTTPRequest(.get, server.url))
            let failure = await withTaskGroup(of: HTTPError?.self) { group in
                group.addTask {
                    do throws(HTTPError) {
                        for try await _ in response.body {}
                        return nil
                    } catch { return error }
                }
                group.cancelAll()
                return await group.next() ?? nil
            }
            #expect(failure?.kind == .cancelled)
            #expect(await eventually { server.openConnections == 0 })
        }
    }

    @Test func `a stream goes on when its client is let go`() async throws {
        try await withLoopbackServer { _ in
            .zeros(count: 5_000_000)
        } _: { server in
            var short: HTTPClient? = HTTPClient(environment: [:])
            let response = try await short?.stream(HTTPRequest(.get, server.url))
            short = nil
            #expect(try await response?.body.collect().count == 5_000_000)
        }
    }

    @Test func `twenty slow readers do not hold up other requests`() async throws {
        try await withLoopbackServer {
            $0.path == "/big" ? .zeros(count: 3_000_000) : .text(200, "ok")
        } _: { server in
            var streams: [HTTPStreamedResponse] = []
            for _ in 0..<20 { streams.append(try await client.stream(HTTPRequest(.get, server.url + "/big"))) }
            #expect(try await client.send(HTTPRequest(.get, server.url + "/small")).text == "ok")
            for stream in streams { #expect(try await stream.body.collect().count == 3_000_000) }
        }
    }
}
