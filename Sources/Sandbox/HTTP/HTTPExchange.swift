internal import JSONBytes

/// One request, read to its end.
struct HTTPRequest {
    var method: String
    /// The path as on the wire, percent escapes included, without the query.
    var path: String
    /// The query's parameters, decoded. Of repeated names the last counts.
    var query: [String: String]
    /// Header fields by lower-case name.
    var headers: [String: String]
    /// The body as sent, up to `HTTPListener.maximumBodyBytes`.
    let body: ByteBuffer
    /// Bytes of body that were received, also those that were not kept.
    var receivedBytes: Int

    /// The path's segments, percent escapes decoded.
    var segments: [String] {
        path.split(separator: "/", omittingEmptySubsequences: true).map { percentDecoded(String($0)) }
    }
}

/// What goes back on the connection.
enum HTTPReply: Sendable {
    case response(HTTPResponse)
    /// The whole header with the full length, then half of the body, then the connection ends.
    case truncated(HTTPResponse)
    /// The connection ends without a byte of reply.
    case cut
    /// As `cut`, with a TCP reset.
    case reset
    /// Bytes as they are instead of an HTTP reply, then the connection ends.
    case raw([UInt8])
}

struct HTTPResponse: Sendable {
    var status: Int
    var headers: [(name: String, value: String)]
    var body: [UInt8]

    init(status: Int, contentType: String = "application/json; charset=UTF-8", body: [UInt8]) {
        self.status = status
        headers = [("Content-Type", contentType)]
        self.body = body
    }

    init(status: Int = 200, json: JSONValue) { self.init(status: status, body: json.bytes) }
}

/// Decodes `%XX`; a malformed escape stays as it is, bytes that are no UTF-8 are repaired.
func percentDecoded(_ text: String) -> String {
    guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
    let source = Array(text.utf8)
    var decoded: [UInt8] = []
    var index = 0
    while index < source.count {
        if source[index] == UInt8(ascii: "%"), index + 2 < source.count,
            let value = UInt8(String(decoding: source[index + 1...index + 2], as: UTF8.self), radix: 16)
        {
            decoded.append(value)
            index += 3
        } else {
            decoded.append(source[index])
            index += 1
        }
    }
    return String(decoding: decoded, as: UTF8.self)
}

extension HTTPRequest {
    /// Bytes of the URL and the header fields, near enough for the limit of 16 KiB (quotas page).
    var headerBytes: Int {
        headers.reduce(path.utf8.count) { $0 + $1.key.utf8.count + $1.value.utf8.count + 4 }
            + query.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 2 }
    }
}
