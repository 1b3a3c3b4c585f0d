package import JSONBytes

/// One request, read to its end.
package struct HTTPRequest {
    package var method: String
    /// The path as on the wire, percent escapes included, without the query.
    package var path: String
    /// The query's parameters, decoded. Of repeated names the last counts.
    package var query: [String: String]
    /// Header fields by lower-case name; the values of one that is repeated are joined by `, `.
    package var headers: [String: String]
    /// The body as sent, up to `HTTPListener.maximumBodyBytes`.
    package let body: ByteBuffer
    /// Bytes of body that were received, also those that were not kept.
    package var receivedBytes: Int

    /// The path's segments, percent escapes decoded.
    package var segments: [String] {
        path.split(separator: "/", omittingEmptySubsequences: true).map { percentDecoded(String($0)) }
    }
}

/// What goes back on the connection.
package enum HTTPReply: Sendable {
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

/// Status, header fields and body of a reply; the listener adds `Content-Length`, and `Date` where there is none.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(status: Int, contentType: String = "application/json; charset=UTF-8", body: [UInt8]) {
        self.status = status
        headers = [("Content-Type", contentType)]
        self.body = body
    }

    package init(status: Int = 200, json: JSONValue) { self.init(status: status, body: json.bytes) }
}

/// Decodes `%XX`; a malformed escape stays as it is, bytes that are no UTF-8 are repaired.
package func percentDecoded(_ text: String) -> String {
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
