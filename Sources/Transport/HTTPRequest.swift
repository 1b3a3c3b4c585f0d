/// One header field of a request or a response.
package struct HTTPHeader: Sendable, Equatable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// One HTTP request, complete before it is sent.
package struct HTTPRequest: Sendable {
    package enum Method: String, Sendable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
        case head = "HEAD"
    }

    package var method: Method
    /// Absolute, `http` or `https`, already percent-encoded, without user name and password. It is sent as it stands:
    /// dot segments of the path are kept, so that object names like `a/../b` reach the store.
    package var url: String
    package var headers: [HTTPHeader]
    package var body: HTTPBody?
    package var timeouts: HTTPTimeouts
    /// Whether the client offers every content encoding it knows and decodes the answer. Without it the bytes arrive as
    /// they were sent, and an `Accept-Encoding` among `headers` is the caller's own.
    package var decodesContent: Bool
    /// Told how far the request has come, on the client's own thread, which waits for it; nil: nobody asks.
    package var observer: (@Sendable (HTTPProgress) -> Void)?

    package init(
        _ method: Method, _ url: String, headers: [HTTPHeader] = [], body: HTTPBody? = nil,
        timeouts: HTTPTimeouts = HTTPTimeouts(), decodesContent: Bool = true
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeouts = timeouts
        self.decodesContent = decodesContent
    }

    /// Sets the header, in place of every one of that name in any case.
    package mutating func setHeader(_ name: String, _ value: String) {
        let lowercased = name.lowercased()
        headers.removeAll { $0.name.lowercased() == lowercased }
        headers.append(HTTPHeader(name, value))
    }
}

/// How far a request has come.
package enum HTTPProgress: Sendable, Equatable {
    /// The last byte of the body has left the process; nobody has looked at an answer.
    case bodySent
    /// The head of the answer, whatever its status, has arrived; nobody has been told.
    case headReceived
}

/// How long a request may take.
package struct HTTPTimeouts: Sendable, Equatable {
    /// Until the connection stands: name resolution, TCP, proxy and TLS together.
    package var connect: Duration
    /// Without a byte in either direction, once connected. It may be found out up to a quarter late. A reader that
    /// pauses a stream is no silence.
    package var silence: Duration
    /// From the call to the end of the body; nil: no limit.
    package var total: Duration?

    package init(connect: Duration = .seconds(10), silence: Duration = .seconds(60), total: Duration? = nil) {
        self.connect = connect
        self.silence = silence
        self.total = total
    }
}

/// Which of the limits of ``HTTPTimeouts`` was passed.
package enum HTTPTimeout: String, Sendable, Equatable {
    case connect
    case silence
    case total
}
