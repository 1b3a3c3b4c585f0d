import Glibc

/// One connection of a ``LoopbackServer``: reads requests and writes answers with blocking calls on its own thread.
final class LoopbackConnection {
    enum Ending { case keepAlive, close, reset }

    private let descriptor: Int32
    private let progress: (_ written: Int, _ isBlocked: Bool) -> Void
    private var buffer: [UInt8] = []

    init(descriptor: Int32, progress: @escaping (_ written: Int, _ isBlocked: Bool) -> Void) {
        self.descriptor = descriptor
        self.progress = progress
    }

    // MARK: Reading

    /// - Returns: nil at the end of the connection.
    func readHead() -> LoopbackServer.Request? {
        while true {
            if let end = endOfHead() {
                let head = String(decoding: buffer[..<end], as: UTF8.self)
                buffer.removeFirst(end + 4)
                var lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
                guard let first = lines.first?.split(separator: " "), first.count == 3 else { return nil }
                lines.removeFirst()
                var headers: [String: String] = [:]
                for line in lines {
                    guard let colon = line.firstIndex(of: ":") else { continue }
                    headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
                }
                return LoopbackServer.Request(
                    method: String(first[0]), target: String(first[1]), headers: headers, body: [], connection: 0,
                    number: 0)
            }
            guard receive() else { return nil }
        }
    }

    private func endOfHead() -> Int? {
        guard buffer.count >= 4 else { return nil }
        return (0...(buffer.count - 4)).first {
            buffer[$0] == 13 && buffer[$0 + 1] == 10 && buffer[$0 + 2] == 13 && buffer[$0 + 3] == 10
        }
    }

    func readBody(of request: LoopbackServer.Request) -> [UInt8]? {
        readBody(request.headers["content-length"].flatMap { Int($0) } ?? 0)
    }

    /// - Returns: nil when the connection ends before.
    func readBody(_ count: Int) -> [UInt8]? {
        while buffer.count < count {
            guard receive() else { return nil }
        }
        defer { buffer.removeFirst(count) }
        return Array(buffer.prefix(count))
    }

    private func receive() -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 256 << 10, alignment: 1) { space in
            let count = recv(descriptor, space.baseAddress, space.count, 0)
            guard count > 0 else { return false }
            buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: space[..<count]))
            return true
        }
    }

    // MARK: Answering

    func greet(_ bytes: [UInt8]) -> Ending {
        if receive() { _ = write(bytes) }
        return .close
    }

    func perform(_ answer: LoopbackServer.Answer, isHead: Bool = false) -> Ending {
        switch answer {
        case .respond(let status, let headers, let body):
            let head = Self.head(status, headers, ["Content-Length": "\(body.count)"])
            return write(head) && (isHead || write(body, counted: true)) ? .keepAlive : .close
        case .chunked(let status, let headers, let chunks):
            guard write(Self.head(status, headers, ["Transfer-Encoding": "chunked"])) else { return .close }
            for chunk in chunks where !chunk.isEmpty {
                guard writeChunk(chunk) else { return .close }
            }
            return write(Array("0\r\n\r\n".utf8)) ? .keepAlive : .close
        case .zeros(let count):
            guard write(Self.head(200, [:], ["Content-Length": "\(count)"])) else { return .close }
            let block = [UInt8](repeating: 0, count: 64 << 10)
            var left = count
            while left > 0 {
                guard write(left < block.count ? Array(block.prefix(left)) : block, counted: true) else {
                    return .close
                }
                left -= min(left, block.count)
            }
            return .keepAlive
        case .endless:
            guard write(Self.head(200, [:], ["Transfer-Encoding": "chunked"])) else { return .close }
            let block = [UInt8](repeating: 0x20, count: 64 << 10)
            while writeChunk(block) {}
            return .close
        case .endlessHead:
            guard write(Array("HTTP/1.1 200 OK\r\n".utf8)) else { return .close }
            let line = Array("X-Filler: \(String(repeating: "x", count: 1000))\r\n".utf8)
            while write(line) {}
            return .close
        case .truncated(let body, let promised):
            _ = write(Self.head(200, [:], ["Content-Length": "\(promised)"])) && write(body, counted: true)
            return .close
        case .stall(let bytes):
            if write(bytes) { waitForEnd() }
            return .close
        case .stallUnread:
            // POLLRDHUP, which Glibc does not show: the client has closed its side.
            var poller = pollfd(fd: descriptor, events: 0x2000, revents: 0)
            while poll(&poller, 1, -1) < 0, errno == EINTR {}
            return .reset
        case .raw(let bytes):
            _ = write(bytes)
            return .close
        case .reset: return .reset
        case .close: return .close
        }
    }

    private static func head(_ status: Int, _ headers: [String: String], _ framing: [String: String]) -> [UInt8] {
        let fields = headers.merging(framing) { given, _ in given }.sorted { $0.key < $1.key }
        let lines = fields.map { "\($0.key): \($0.value)\r\n" }.joined()
        return Array("HTTP/1.1 \(status) Status\r\n\(lines)\r\n".utf8)
    }

    private func writeChunk(_ chunk: [UInt8]) -> Bool {
        write(Array("\(String(chunk.count, radix: 16))\r\n".utf8)) && write(chunk, counted: true)
            && write(Array("\r\n".utf8))
    }

    /// Until the client closes or the server stops; what comes in is thrown away.
    private func waitForEnd() {
        while receive() { buffer.removeAll() }
    }

    private func write(_ bytes: [UInt8], counted: Bool = false) -> Bool {
        var offset = 0
        while offset < bytes.count {
            var poller = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            if poll(&poller, 1, 200) == 0 {
                progress(0, true)
                continue
            }
            let count = bytes.withUnsafeBytes { buffer in
                send(
                    descriptor, buffer.baseAddress.map { $0 + offset }, buffer.count - offset,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                return false
            }
            offset += count
            progress(counted ? count : 0, false)
        }
        return true
    }
}
