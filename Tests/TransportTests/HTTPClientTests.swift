import Synchronization
import TestSupport
import Testing
import Transport

@Suite struct HTTPClientTests {
    let client = HTTPClient(environment: [:])

    @Test func `a request arrives as it was given and its answer comes back whole`() async throws {
        try await withLoopbackServer { request in
            .respond(201, headers: ["X-Name": "A", "Content-Type": "text/plain"], body: request.body)
        } _: { server in
            let body = [UInt8]((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            let response = try await client.send(
                HTTPRequest(
                    .post, server.url + "/a/../b%20c?q=1",
                    headers: [HTTPHeader("X-Mine", "yes"), HTTPHeader("X-Empty", "")],
                    body: HTTPBody(body)))
            #expect(response.status == 201)
            #expect(response.headers["x-NAME"] == "A")
            #expect(response.body == body)
            let request = try #require(server.requests.first)
            #expect(request.method == "POST")
            #expect(request.target == "/a/../b%20c?q=1")
            #expect(request.headers["x-mine"] == "yes")
            #expect(request.headers["x-empty"] == "")
            #expect(request.headers["user-agent"] == "etlctl/0.1 (gzip)")
            #expect(request.headers["accept-encoding"]?.contains("gzip") == true)
            #expect(request.headers["expect"] == nil)
            #expect(request.headers["content-type"] == nil)
            #expect(request.body == body)
        }
    }

    @Test(arguments: [HTTPRequest.Method.get, .post, .put, .patch, .delete, .head])
    func `every method goes out under its own name, with and without a body`(method: HTTPRequest.Method) async throws {
        try await withLoopbackServer {
            .respond(body: $0.body)
        } _: { server in
            let plain = try await client.send(HTTPRequest(method, server.url + "/x"))
            #expect(plain.status == 200)
            #expect(plain.body.isEmpty)
            if method != .head {
                let full = try await client.send(HTTPRequest(method, server.url, body: HTTPBody(Array("hello".utf8))))
                #expect(full.text == "hello")
            }
            #expect(server.requests.allSatisfy { $0.method == method.rawValue })
            #expect(server.connections == 1)
        }
    }

    @Test func `connections are kept and used again`() async throws {
        try await withLoopbackServer {
            .text(200, $0.path)
        } _: { server in
            for number in 0..<20 {
                let response = try await client.send(HTTPRequest(.get, server.url + "/\(number)"))
                #expect(response.text == "/\(number)")
            }
            #expect(server.connections == 1)
        }
    }

    @Test func `many requests at once each get their own answer`() async throws {
        try await withLoopbackServer {
            .respond(body: $0.body)
        } _: { server in
            let answers = try await withThrowingTaskGroup(of: (Int, String).self) { group in
                for number in 0..<200 {
                    group.addTask {
                        let body = HTTPBody(Array("body \(number)".utf8))
                        return (number, try await client.send(HTTPRequest(.post, server.url, body: body)).text)
                    }
                }
                return try await group.reduce(into: [Int: String]()) { $0[$1.0] = $1.1 }
            }
            #expect(answers == Dictionary(uniqueKeysWithValues: (0..<200).map { ($0, "body \($0)") }))
        }
    }

    @Test func `a chunked answer is joined`() async throws {
        try await withLoopbackServer { _ in
            .chunked(chunks: [Array("one ".utf8), Array("two".utf8)])
        } _: { server in
            let response = try await client.send(HTTPRequest(.get, server.url))
            #expect(response.text == "one two")
        }
    }

    /// gzip of "hello hello hello hello\n"
    static let gzipped: [UInt8] = [
        0x1F, 0x8B, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 0x57, 0xC8, 0x40,
        0x27,
        0xB9, 0x00, 0x00, 0x88, 0x59, 0x0B, 0x18, 0x00, 0x00, 0x00,
    ]

    @Test func `a compressed answer is decoded unless the raw bytes are asked for`() async throws {
        try await withLoopbackServer { request in
            .respond(headers: ["Content-Encoding": "gzip"], body: Self.gzipped)
        } _: { server in
            let raw = try await client.send(HTTPRequest(.get, server.url, decodesContent: false))
            #expect(raw.body == Self.gzipped)
            #expect(server.requests.first?.headers["accept-encoding"] == nil)
            let decoded = try await client.send(HTTPRequest(.get, server.url))
            #expect(decoded.text == "hello hello hello hello\n")
        }
    }

    @Test func `a redirect is handed to the caller and nobody else gets the credentials`() async throws {
        try await withLoopbackServer { _ in
            .text(200, "elsewhere")
        } _: { other in
            try await withLoopbackServer { _ in
                .respond(307, headers: ["Location": other.url + "/steal"])
            } _: { server in
                let response = try await client.send(
                    HTTPRequest(.get, server.url, headers: [HTTPHeader("Authorization", "Bearer secret")]))
                #expect(response.status == 307)
                #expect(response.headers["location"] == other.url + "/steal")
                #expect(other.connections == 0)
            }
        }
    }

    @Test func `interim answers and trailers are not taken for the answer`() async throws {
        let bytes = """
            HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Real: 1 \r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n
            """
        try await withLoopbackServer { _ in
            .raw(Array(bytes.utf8))
        } _: { server in
            let response = try await client.send(HTTPRequest(.get, server.url))
            #expect(response.status == 200)
            #expect(response.headers["link"] == nil)
            #expect(response.headers["x-real"] == "1")
            #expect(response.headers["x-trailer"] == nil)
            #expect(response.text == "ok")
        }
    }

    @Test(arguments: [
        ("0", Duration.seconds(0)), ("7", .seconds(7)), ("99999999", .seconds(86_400)), ("-1", nil), ("soon", nil),
        ("Wed, 21 Oct 2015 07:28:30 GMT", .seconds(30)), ("Wed, 21 Oct 2015 07:00:00 GMT", .seconds(0)),
        ("Wednesday, 21-Oct-15 07:28:30 GMT", .seconds(30)), ("", nil),
    ])
    func `Retry-After is read as seconds or as a date`(text: String, expected: Duration?) {
        let headers = HTTPHeaders([
            HTTPHeader("Retry-After", text), HTTPHeader("Date", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ])
        #expect(headers.retryAfter == expected)
    }
}
