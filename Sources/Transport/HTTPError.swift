/// Why there is no complete response. A response with any status, also 4xx and 5xx, is not an error.
package struct HTTPError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// The host's or the proxy's name has no address.
        case resolve
        /// No connection to the host, or the proxy could not reach it.
        case connect
        /// Certificate, protocol or CA bundle; verification can't be turned off.
        case tls
        case timeout(HTTPTimeout)
        /// Reset, closed or cut before the response was complete.
        case connectionLost
        case responseTooLarge
        /// No `http` or `https` URL, or one with a user name in it.
        case invalidURL
        /// The proxy refuses: credentials, or its rules.
        case proxy
        case cancelled
        /// What libcurl's code says; it stands in the message too.
        case other(code: Int)
    }

    package var kind: Kind
    /// `host:port`, never path, query or user name.
    package var host: String
    /// How much of the request's body had left when the request failed. 0: none of it, so the server can't have acted
    /// on a request that has one. Above 0 it may be less than what left, never 0 by mistake: bytes inside TLS are
    /// counted late.
    package var bodyBytesSent: Int64
    /// One sentence for a user, with libcurl's reason.
    package var message: String

    package init(kind: Kind, host: String, bodyBytesSent: Int64 = 0, message: String) {
        self.kind = kind
        self.host = host
        self.bodyBytesSent = bodyBytesSent
        self.message = message
    }

    package var description: String { message }

    /// Whether the same request can succeed later without anybody changing anything.
    package var isTransient: Bool {
        switch kind {
        case .resolve, .connect, .timeout, .connectionLost: true
        case .tls, .responseTooLarge, .invalidURL, .proxy, .cancelled, .other: false
        }
    }
}
