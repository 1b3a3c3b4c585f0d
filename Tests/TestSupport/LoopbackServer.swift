import Glibc
import Synchronization

/// A raw HTTP/1.1 server on 127.0.0.1 for tests: answers as it is told, also the way broken servers and networks do.
///
/// Every connection has a thread. `stop` closes all sockets and joins all threads; `withLoopbackServer` calls it.
package final class LoopbackServer: Sendable {
    package struct Request: Sendable {
        package var method: String
        /// Path and query as sent.
        package var target: String
        /// Names in lower case.
        package var headers: [String: String]
        package var body: [UInt8]
        /// Which connection it came over, counted from 1.
        package var connection: Int
        /// Counted from 1 over all connections.
        package var number: Int

        package var path: String { String(target.prefix { $0 != "?" }) }
        package var text: String { String(decoding: body, as: UTF8.self) }
    }

    package enum Answer: Sendable {
        case respond(_ status: Int = 200, headers: [String: String] = [:], body: [UInt8] = [])
        /// `Transfer-Encoding: chunked`.
        case chunked(_ status: Int = 200, headers: [String: String] = [:], chunks: [[UInt8]])
        /// `count` bytes of the body, as fast as they are taken.
        case zeros(count: Int)
        /// Chunked, until the client goes away.
        case endless
        /// A head that promises more than the body holds, then the end of the connection.
        case truncated(body: [UInt8], promised: Int)
        /// These bytes and nothing more, until the client goes away.
        case stall(after: [UInt8] = [])
        /// Neither reads nor writes until the client goes away.
        case stallUnread
        /// These bytes, then the end of the connection.
        case raw([UInt8])
        /// Header fields until the client goes away.
        case endlessHead
        /// RST.
        case reset
        /// FIN without an answer.
        case close

        package static func text(_ status: Int = 200, _ text: String, type: String = "text/plain") -> Answer {
            .respond(status, headers: ["Content-Type": type], body: Array(text.utf8))
        }

        package static func json(_ status: Int = 200, _ text: String) -> Answer {
            .text(status, text, type: "application/json")
        }
    }

    /// What to do before the body of a request is read, its head being known.
    package enum EarlyAnswer: Sendable {
        case readBody
        /// Reads that much of the body, then answers and closes.
        case after(bytes: Int, Answer)
    }

    private struct State {
        var isStopped = false
        var descriptors: Set<Int32> = []
        var threads: [pthread_t] = []
        var connections = 0
        var requests: [Request] = []
        var started = 0
        var bytesWritten = 0
        var isBlocked = false
    }

    package let port: Int
    private let listener: Int32
    private let greeting: [UInt8]?
    private let early: @Sendable (Request) -> EarlyAnswer
    private let answer: @Sendable (Request) -> Answer
    private let state = Mutex(State())

    package var url: String { "http://127.0.0.1:\(port)" }
    /// Requests that were read whole, in order.
    package var requests: [Request] { state.withLock { $0.requests } }
    /// Requests whose head was read, whole or not.
    package var startedRequests: Int { state.withLock { $0.started } }
    package var connections: Int { state.withLock { $0.connections } }
    package var openConnections: Int { state.withLock { $0.descriptors.count } }
    /// Bytes of bodies that the sockets took.
    package var bytesWritten: Int { state.withLock { $0.bytesWritten } }
    /// Whether a write has been waiting for the client for a fifth of a second.
    package var isBlocked: Bool { state.withLock { $0.isBlocked } }

    package struct StartFailure: Error {
        package var call: String
        package var code: Int32
    }

    /// - Parameter greeting: answers whatever bytes come first with these and closes, without looking for HTTP.
    package init(
        greeting: [UInt8]? = nil,
        early: @escaping @Sendable (Request) -> EarlyAnswer = { _ in .readBody },
        _ answer: @escaping @Sendable (Request) -> Answer
    ) throws {
        let (listener, port) = try Self.listen()
        self.listener = listener
        self.port = port
        self.greeting = greeting
        self.early = early
        self.answer = answer
        try startThread { self.acceptConnections() }
    }

    /// A port nobody listens on: it was free a moment ago.
    package static func unusedPort() throws -> Int {
        let (descriptor, port) = try listen()
        Glibc.close(descriptor)
        return port
    }

    /// May be called once more, without effect.
    package func stop() {
        let threads = state.withLock { state -> [pthread_t] in
            guard !state.isStopped else { return [] }
            state.isStopped = true
            for descriptor in state.descriptors { shutdown(descriptor, Int32(SHUT_RDWR)) }
            defer { state.threads = [] }
            return state.threads
        }
        guard !threads.isEmpty else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        for thread in threads { pthread_join(thread, nil) }
        // The accepting thread may have started another one meanwhile.
        let late = state.withLock { state in
            defer { state.threads = [] }
            return state.threads
        }
        for thread in late { pthread_join(thread, nil) }
        Glibc.close(listener)
    }

    private static func listen() throws -> (descriptor: Int32, port: Int) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw StartFailure(call: "socket", code: errno) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            // Room for every connection of a test at once: beyond it the kernel resets some.
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard bind(descriptor, address, length) == 0, Glibc.listen(descriptor, 1024) == 0,
                    getsockname(descriptor, address, &length) == 0
                else { return errno }
                return 0
            }
        }
        guard code == 0 else {
            Glibc.close(descriptor)
            throw StartFailure(call: "bind", code: code)
        }
        return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
    }

    private func startThread(_ body: @escaping @Sendable () -> Void) throws {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(ThreadBody(body))
        let code = pthread_create(&thread, nil, runThreadBody, box.toOpaque())
        guard code == 0 else {
            box.release()
            throw StartFailure(call: "pthread_create", code: code)
        }
        state.withLock { $0.threads.append(thread) }
    }

    private func acceptConnections() {
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else {
                if errno == EINTR || errno == ECONNABORTED { continue }
                return
            }
            // Not inherited: a child process of another test would keep the connection open.
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            let number = state.withLock { state -> Int? in
                guard !state.isStopped else { return nil }
                state.connections += 1
                state.descriptors.insert(descriptor)
                return state.connections
            }
            guard let number else {
                Glibc.close(descriptor)
                return
            }
            do {
                try startThread { self.serve(descriptor, number: number) }
            } catch {
                close(descriptor, withReset: true)
            }
        }
    }

    private func close(_ descriptor: Int32, withReset: Bool) {
        if withReset {
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        }
        // Under the lock: stop() must not shut down a number that already names another socket.
        state.withLock { state in
            state.descriptors.remove(descriptor)
            Glibc.close(descriptor)
        }
    }

    private func serve(_ descriptor: Int32, number: Int) {
        let connection = LoopbackConnection(descriptor: descriptor) { [self] written, isBlocked in
            state.withLock { state in
                state.bytesWritten += written
                state.isBlocked = isBlocked
            }
        }
        if let greeting {
            let ending = connection.greet(greeting)
            return close(descriptor, withReset: ending == .reset)
        }
        var ending = LoopbackConnection.Ending.keepAlive
        while ending == .keepAlive, var request = connection.readHead() {
            request.connection = number
            request.number = state.withLock { state in
                state.started += 1
                return state.started
            }
            if case .after(let bytes, let answer) = early(request) {
                _ = connection.readBody(bytes)
                ending = connection.perform(answer)
                ending = ending == .reset ? .reset : .close
                break
            }
            guard let body = connection.readBody(of: request) else { break }
            request.body = body
            state.withLock { [request] in $0.requests.append(request) }
            ending = connection.perform(answer(request), isHead: request.method == "HEAD")
        }
        close(descriptor, withReset: ending == .reset)
    }
}

/// Lends a server to the body and stops it afterwards.
package func withLoopbackServer<Result>(
    early: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.EarlyAnswer = { _ in .readBody },
    answer: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Answer,
    _ body: (LoopbackServer) async throws -> Result
) async throws -> Result {
    let server = try LoopbackServer(early: early, answer)
    defer { server.stop() }
    return try await body(server)
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private func runThreadBody(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
    return nil
}
