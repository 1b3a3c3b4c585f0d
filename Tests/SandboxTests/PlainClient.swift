import Foundation
import JSONBytes
import Sandbox

/// A minimal HTTP/1.1 client over a socket: what it sends is what the test says, byte for byte, and it knows nothing of etlctl.
struct PlainClient {
    struct Reply {
        /// 0 if the connection ended without a complete header.
        var status = 0
        var headers: [String: String] = [:]
        var body: [UInt8] = []
        /// Whether as many bytes came as Content-Length says.
        var isComplete = false
        /// Everything that was received.
        var raw: [UInt8] = []

        var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
        var text: String { String(decoding: body, as: UTF8.self) }
        /// `error.errors[0].reason`.
        var reason: String? { json["error"]?["errors"]?.arrayValue?.first?["reason"]?.stringValue }
        var message: String? { json["error"]?["message"]?.stringValue }
    }

    struct ConnectionFailed: Error {}

    let port: UInt16

    /// A connected socket.
    func connect() throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw ConnectionFailed() }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else {
            close(descriptor)
            throw ConnectionFailed()
        }
        return descriptor
    }

    func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

    func send(
        _ method: String, _ path: String, _ body: [UInt8] = [], headers: [String: String] = [:]
    ) throws -> Reply {
        let descriptor = try connect()
        defer { close(descriptor) }
        var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        head += "Content-Length: \(body.count)\r\n\r\n"
        let bytes = Array(head.utf8) + body
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { break }
            sent += count
        }
        return Self.parse(received(descriptor))
    }

    private func received(_ descriptor: Int32) -> [UInt8] {
        var result: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &piece, piece.count, 0)
            guard count > 0 else { return result }
            result += piece[..<count]
        }
    }

    private static func parse(_ raw: [UInt8]) -> Reply {
        var reply = Reply()
        reply.raw = raw
        let separator = Array("\r\n\r\n".utf8)
        guard let end = raw.indices.first(where: { raw[$0...].starts(with: separator) }) else { return reply }
        let lines = String(decoding: raw[..<end], as: UTF8.self).split(separator: "\r\n")
        let parts = lines.first?.split(separator: " ") ?? []
        guard parts.count >= 2, let status = Int(parts[1]) else { return reply }
        reply.status = status
        for line in lines.dropFirst() {
            let pieces = line.split(separator: ":", maxSplits: 1)
            guard pieces.count == 2 else { continue }
            reply.headers[pieces[0].lowercased()] = pieces[1].trimmingCharacters(in: .whitespaces)
        }
        reply.body = Array(raw[(end + 4)...])
        reply.isComplete = reply.body.count == Int(reply.headers["content-length"] ?? "0")
        return reply
    }

    func send(_ method: String, _ path: String, _ json: JSONValue) throws -> Reply {
        try send(method, path, json.bytes, headers: ["Content-Type": "application/json"])
    }
}

/// A running sandbox with a project `p` and, on demand, a dataset `d` and tables in it.
final class Bench {
    let server: SandboxServer
    let client: PlainClient
    let base = "/bigquery/v2/projects/p"

    init(_ configure: (inout SandboxConfiguration) -> Void = { _ in }, hasDataset: Bool = true) throws {
        var configuration = SandboxConfiguration()
        configure(&configuration)
        server = try SandboxServer(configuration)
        try server.start()
        client = PlainClient(port: server.port)
        if hasDataset, !configuration.requiresAuthentication {
            _ = try client.send("POST", base + "/datasets", ["datasetReference": ["projectId": "p", "datasetId": "d"]])
        }
    }

    deinit { server.stop() }

    var state: SandboxState { server.state }

    /// Makes table `t` (or another) with columns given as `name TYPE [MODE]`.
    @discardableResult
    func makeTable(_ name: String = "t", _ columns: String..., members: [JSONMember] = []) throws -> PlainClient.Reply {
        var all: [JSONMember] = [
            JSONMember("tableReference", ["projectId": "p", "datasetId": "d", "tableId": .string(name)]),
            JSONMember("schema", Self.schema(columns)),
        ]
        all += members
        return try client.send("POST", base + "/datasets/d/tables", .object(all))
    }

    static func schema(_ columns: [String]) -> JSONValue {
        let fields = columns.map { column -> JSONValue in
            let parts = column.split(separator: " ").map { JSONValue.string(String($0)) }
            return ["name": parts[0], "type": parts[1], "mode": parts.count > 2 ? parts[2] : "NULLABLE"]
        }
        return ["fields": .array(fields)]
    }

    func insert(_ body: JSONValue, into table: String = "t") throws -> PlainClient.Reply {
        try client.send("POST", base + "/datasets/d/tables/\(table)/insertAll", body)
    }

    /// Inserts one row given as JSON text.
    func insert(row: String, id: String? = nil, into table: String = "t") throws -> PlainClient.Reply {
        let idText = id.map { "\"insertId\":\"\($0)\"," } ?? ""
        return try insert(try JSONValue(parsing: "{\"rows\":[{\(idText)\"json\":\(row)}]}"), into: table)
    }

    func table(_ name: String = "t") throws -> JSONValue {
        try client.send("GET", base + "/datasets/d/tables/\(name)").json
    }

    func query(_ sql: String, _ members: [JSONMember] = []) throws -> PlainClient.Reply {
        let all = [JSONMember("query", .string(sql)), JSONMember("useLegacySql", false)] + members
        return try client.send("POST", base + "/queries", .object(all))
    }
}
