import Glibc
import Synchronization

/// Stands between a client and a plain HTTP/1.1 server and may spoil what passes.
package enum HTTPProxy {
    /// The upstream's whole answer.
    package struct Answer: Sendable {
        package var status: Int
        package var type: String
        package var body: [UInt8]

        package var passed: LoopbackServer.Answer {
            .respond(status, headers: ["Content-Type": type], body: body)
        }
    }

    /// Sends the request on to `host:port` with blocking calls and returns its answer; nil if there was none.
    package static func forward(_ request: LoopbackServer.Request, to host: String) -> Answer? {
        let parts = host.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1]) else { return nil }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr(String(parts[0]))
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { return nil }
        var head = "\(request.method) \(request.target) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n"
        for name in ["content-type", "authorization"] {
            if let value = request.headers[name] { head += "\(name): \(value)\r\n" }
        }
        head += "Content-Length: \(request.body.count)\r\n\r\n"
        guard send(Array(head.utf8) + request.body, over: descriptor) else { return nil }
        return receive(from: descriptor)
    }

    private static func send(_ bytes: [UInt8], over descriptor: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// The emulator leaves the connection open whatever it is asked: the answer ends where its length says.
    private static func receive(from descriptor: Int32) -> Answer? {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        var head: (bodyStart: Int, status: Int, type: String, length: Int)?
        while true {
            if head == nil { head = parseHead(all) }
            if let head, all.count >= head.bodyStart + head.length {
                return Answer(
                    status: head.status, type: head.type,
                    body: Array(all[head.bodyStart..<head.bodyStart + head.length]))
            }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            all += buffer[..<count]
        }
    }

    private static func parseHead(_ bytes: [UInt8]) -> (bodyStart: Int, status: Int, type: String, length: Int)? {
        let mark = Array("\r\n\r\n".utf8)
        guard let end = (0..<max(0, bytes.count - 3)).first(where: { bytes[$0..<$0 + 4].elementsEqual(mark) }) else {
            return nil
        }
        // A carriage return and a line feed are one Character.
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
        func field(_ name: String) -> String? {
            lines.dropFirst().first { $0.lowercased().hasPrefix(name + ":") }.map {
                String($0.dropFirst(name.count + 1).drop { $0 == " " })
            }
        }
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else { return nil }
        return (
            end + 4, status, field("content-type") ?? "application/json",
            field("content-length").flatMap { Int($0) } ?? 0
        )
    }
}

/// Spoils answers at random, the same way for the same seed.
package final class FaultProxy: Sendable {
    private let host: String
    private let random: Mutex<SeededRandom>
    private let counted = Mutex(0)

    /// Answers spoiled so far.
    package var faults: Int { counted.withLock { $0 } }

    /// - Parameter host: `host:port` of the server behind.
    package init(to host: String, seed: UInt64) {
        self.host = host
        random = Mutex(SeededRandom(seed: seed))
    }

    package func answer(_ request: LoopbackServer.Request) -> LoopbackServer.Answer {
        let (dice, cut) = random.withLock { ($0.next(below: 12), $0.next(below: 1000)) }
        // Half of the answers pass, so that even a run of many short ones ends.
        if dice < 6 { return HTTPProxy.forward(request, to: host)?.passed ?? .close }
        counted.withLock { $0 += 1 }
        switch dice {
        case 6: return .json(429, #"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED"}}"#)
        case 7: return .json(500, #"[{"error":{"code":500,"message":"Internal error.","status":"INTERNAL"}}]"#)
        case 8: return .text(503, "<html>Service Unavailable</html>", type: "text/html")
        case 9: return cut % 2 == 0 ? .close : .reset
        default:
            guard let answer = HTTPProxy.forward(request, to: host) else { return .close }
            let part = Array(answer.body.prefix(answer.body.count * cut / 1000))
            // Either the connection breaks, or the answer ends cleanly in the middle of itself.
            return dice == 10
                ? .truncated(body: part, promised: answer.body.count + 1)
                : .respond(answer.status, headers: ["Content-Type": answer.type], body: part)
        }
    }
}

/// A small generator (SplitMix64) for tests that must repeat.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    package mutating func next(below bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
