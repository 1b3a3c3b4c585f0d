import Synchronization
import TestSupport
import Testing
import Transport

@Suite struct HTTPProgressTests {
    /// What an observer was told, in its order.
    private final class Told: Sendable {
        private let moments = Mutex<[HTTPProgress]>([])
        var all: [HTTPProgress] { moments.withLock { $0 } }
        func add(_ moment: HTTPProgress) { moments.withLock { $0.append(moment) } }
    }

    private let client = HTTPClient(environment: [:])

    private func request(_ server: LoopbackServer, bytes: Int?, _ told: Told) -> HTTPRequest {
        var request = HTTPRequest(
            bytes == nil ? .get : .post, server.url, body: bytes.map { HTTPBody([UInt8](repeating: 0x61, count: $0)) })
        request.observer = { told.add($0) }
        return request
    }

    @Test(arguments: [0, 1, 100_000, 3_000_000])
    func `a body that has left is reported before its answer`(bytes: Int) async throws {
        try await withLoopbackServer { _ in
            .text(200, "ok")
        } _: { server in
            let told = Told()
            _ = try await client.send(request(server, bytes: bytes, told))
            #expect(told.all == [.bodySent, .headReceived])
        }
    }

    @Test func `a request without a body has only an answer`() async throws {
        try await withLoopbackServer { _ in
            .text(404, "no")
        } _: { server in
            let told = Told()
            _ = try await client.send(request(server, bytes: nil, told))
            #expect(told.all == [.headReceived])
        }
    }

    @Test func `a body that has left is reported while nobody answers`() async throws {
        try await withLoopbackServer { _ in
            .stall()
        } _: { server in
            let told = Told()
            let sending = Task { [client] in try await client.send(request(server, bytes: 100_000, told)) }
            #expect(await eventually { told.all == [.bodySent] })
            #expect(await eventually { server.requests.first?.body.count == 100_000 }, "it has arrived")
            sending.cancel()
            _ = try? await sending.value
            #expect(told.all == [.bodySent])
        }
    }

    @Test func `a body that is not taken has not left`() async throws {
        try await withLoopbackServer(early: { _ in .after(bytes: 1000, .stallUnread) }) { _ in
            .close
        } _: { server in
            let told = Told()
            let sending = Task { [client] in try await client.send(request(server, bytes: 50_000_000, told)) }
            #expect(await eventually { server.startedRequests > 0 })
            sending.cancel()
            _ = try? await sending.value
            #expect(told.all.isEmpty)
        }
    }
}
