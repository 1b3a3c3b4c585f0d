import TestSupport
import Testing

@testable import Transport

@Suite struct TransferThreadTests {
    @Test func `the thread ends with the last reference, also while transfers run`() async throws {
        try await withLoopbackServer { _ in
            .stall()
        } _: { server in
            let sink = WholeResponse(limit: 100)
            weak var running: TransferLoop?
            do {
                let thread = TransferThread(settings: ClientSettings(userAgent: "test"))
                let loop = try #require(thread.loop)
                running = loop
                let target = try #require(HTTPTarget(url: server.url))
                loop.start(Transfer(HTTPRequest(.get, server.url), to: target, sink: sink))
                #expect(await eventually { server.requests.count == 1 })
            }
            // The thread holds the loop until it ends, and letting go of the owner waits for that.
            #expect(running == nil)
            let outcome = await sink.outcome()
            #expect(throws: HTTPError.self) { try outcome.get() }
            #expect(await eventually { server.openConnections == 0 })
        }
    }

    @Test(arguments: [
        ("http://localhost/", true), ("https://a.localhost:1/", true), ("http://127.1.2.3:9050/x", true),
        ("http://[::1]:80/", true), ("http://example.com/", false), ("http://127.0.0.1.example.com/", false),
        ("http://[::2]/", false), ("http://localhost.example.com/", false),
    ])
    func `this machine is known by its names and addresses`(url: String, expected: Bool) {
        #expect(HTTPTarget(url: url)?.isLoopback == expected)
    }

    @Test func `a target is written without path, query and with its port`() {
        #expect(HTTPTarget(url: "https://Example.com/a?b")?.description == "Example.com:443")
        #expect(HTTPTarget(url: "http://[::1]/")?.description == "[::1]:80")
    }
}
