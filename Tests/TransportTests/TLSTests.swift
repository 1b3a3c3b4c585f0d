import Foundation
import TestSupport
import Testing
import Transport

/// Against OpenSSL's own test server, with a certificate for 127.0.0.1 that nobody has signed.
@Suite(.serialized) struct TLSTests {
    private func withTLSServer(_ body: (_ port: Int, _ certificate: String) async throws -> Void) async throws {
        try await withFolder { folder in
            try await run(
                [
                    "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days",
                    "2",
                    "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1",
                ], in: folder)
            try Data("hello".utf8).write(to: URL(fileURLWithPath: folder + "/page"))
            let port = try LoopbackServer.unusedPort()
            let server = try ChildProcess.start(
                [
                    "openssl", "s_server", "-accept", "127.0.0.1:\(port)", "-cert", "cert.pem", "-key", "key.pem",
                    "-WWW",
                    "-quiet",
                ], folder: folder)
            defer {
                server.send(SIGKILL)
                server.wait()
            }
            let probe = HTTPClient(environment: [:])
            #expect(
                await eventually {
                    do throws(HTTPError) {
                        _ = try await probe.send(HTTPRequest(.get, "https://127.0.0.1:\(port)/page"))
                        return true
                    } catch { return error.kind != .connect }
                })
            try await body(port, folder + "/cert.pem")
        }
    }

    private func run(_ arguments: [String], in folder: String) async throws {
        try #require(await ChildProcess.start(["openssl"] + arguments, folder: folder).ended().code == 0)
    }

    @Test func `only a certificate that is trusted, for the host that was asked, is talked to`() async throws {
        try await withTLSServer { port, certificate in
            let body = HTTPBody(Array("secret".utf8))
            let request = HTTPRequest(.post, "https://127.0.0.1:\(port)/page", body: body)

            let stranger = try await #require(throws: HTTPError.self) {
                _ = try await HTTPClient(environment: [:]).send(request)
            }
            #expect(stranger.kind == .tls)
            #expect(!stranger.isTransient)
            #expect(stranger.bodyBytesSent == 0)

            for variable in ["CURL_CA_BUNDLE", "SSL_CERT_FILE"] {
                let trusting = HTTPClient(environment: [variable: certificate])
                let response = try await trusting.send(HTTPRequest(.get, request.url))
                #expect(response.text == "hello")

                let otherName = try await #require(throws: HTTPError.self) {
                    _ = try await trusting.send(HTTPRequest(.get, "https://localhost:\(port)/page"))
                }
                #expect(otherName.kind == .tls)
            }

            let missing = try await #require(throws: HTTPError.self) {
                _ = try await HTTPClient(environment: ["SSL_CERT_FILE": "/nowhere.pem"]).send(request)
            }
            #expect(missing.kind == .tls)
            #expect(missing.message.contains("/nowhere.pem"))
        }
    }

    @Test func `a server that speaks no TLS is refused for good, one that hangs up is not`() async throws {
        let timeouts = HTTPTimeouts(connect: .seconds(5))
        try await withPlainServer(answer: Array("HTTP/1.0 400 Bad Request\r\n\r\n".utf8)) { url in
            let error = try await #require(throws: HTTPError.self) {
                _ = try await HTTPClient(environment: [:]).send(HTTPRequest(.get, url, timeouts: timeouts))
            }
            #expect(error.kind == .tls)
        }
        try await withPlainServer(answer: []) { url in
            let error = try await #require(throws: HTTPError.self) {
                _ = try await HTTPClient(environment: [:]).send(HTTPRequest(.get, url, timeouts: timeouts))
            }
            #expect(error.kind == .connectionLost)
            #expect(error.isTransient)
        }
    }

    /// Takes whatever comes first for a request.
    private func withPlainServer(answer: [UInt8], _ body: (String) async throws -> Void) async throws {
        let server = try LoopbackServer(greeting: answer) { _ in .close }
        defer { server.stop() }
        try await body("https://127.0.0.1:\(server.port)/")
    }
}
