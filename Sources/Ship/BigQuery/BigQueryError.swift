internal import JSONBytes
internal import Transport

/// A call to BigQuery that did not give what was asked for.
package struct BigQueryError: Error, Sendable, CustomStringConvertible {
    /// What to make of it (protocols of the error-messages page).
    package enum Class: Sendable, Equatable {
        case notFound
        case alreadyExists
        /// The etag is out of date.
        case preconditionFailed
        /// Ask later, and less often.
        case rateLimited
        case denied
        /// 5xx, 408, cut connections, nonsense instead of JSON: asking again may help.
        case transient
        /// Not worth repeating.
        case badRequest
        /// The endpoint or the credentials' file can't be used as configured.
        case configuration
        case cancelled
    }

    package var kind: Class
    package var status: Int?
    package var reason: String?
    package var message: String
    package var retryAfter: Duration?

    package init(
        _ kind: Class, status: Int? = nil, reason: String? = nil, message: String, retryAfter: Duration? = nil
    ) {
        self.kind = kind
        self.status = status
        self.reason = reason
        self.message = message
        self.retryAfter = retryAfter
    }

    package var description: String { message }

    /// Whether the account is known and may not do this (error-messages page), which a 401, a project without billing or a proxy's 403 does
    /// not say.
    var isMissingPermission: Bool {
        status == 403 && ["accessDenied", "insufficientPermissions", "PERMISSION_DENIED"].contains(reason)
    }
}

/// An error body in Google's form; anything else (HTML of a proxy, nothing) has only its status.
struct ErrorReply: Sendable {
    var reason: String?
    var message: String

    init(_ response: HTTPResponse) {
        let parsed = try? JSONValue(parsing: response.body)
        let error = parsed?["error"] ?? parsed?.arrayValue?.first?["error"]
        reason =
            error?["errors"]?.arrayValue?.first?["reason"]?.stringValue ?? error?["status"]?.stringValue
        if let text = error?["message"]?.stringValue, !text.isEmpty {
            message = text.limited(toUTF16: 1000)
        } else {
            message = "HTTP status \(response.status) without a readable reason"
        }
    }
}

extension BigQueryError {
    /// From a response that is no success.
    init(_ response: HTTPResponse, doing what: String) {
        let reply = ErrorReply(response)
        let status = response.status
        self.init(
            Self.classify(status: status, reason: reply.reason), status: status, reason: reply.reason,
            message: "\(what): BigQuery answered \(status)\(reply.reason.map { " (\($0))" } ?? ""): \(reply.message)",
            retryAfter: response.retryAfter)
    }

    static func classify(status: Int, reason: String?) -> Class {
        switch (status, reason) {
        case (403, "rateLimitExceeded"), (403, "quotaExceeded"), (429, _), (400, "rateLimitExceeded"),
            (403, "RESOURCE_EXHAUSTED"):
            .rateLimited
        case (_, "tableUnavailable"): .transient
        case (401, _), (403, _): .denied
        case (404, _), (410, _): .notFound
        case (409, _): .alreadyExists
        case (412, _): .preconditionFailed
        case (408, _), (500..., _): .transient
        case (300..<400, _): .configuration
        default: .badRequest
        }
    }

    /// From what the transport throws.
    init(_ error: any Error, doing what: String) {
        switch error {
        case let error as BigQueryError:
            self = error
        case let error as HTTPError:
            let kind: Class =
                switch error.kind {
                case .cancelled: .cancelled
                case .invalidURL: .configuration
                // A certificate that can't be trusted is often a network in between.
                case .responseTooLarge, .tls: .transient
                default: error.isTransient || error.bodyBytesSent > 0 ? .transient : .configuration
                }
            self.init(kind, message: "\(what): \(error.message)")
        case let error as AuthError:
            self.init(error, doing: what)
        case is CancellationError:
            self.init(.cancelled, message: "\(what): stopped")
        default:
            self.init(.transient, message: "\(what): \(error)")
        }
    }
}
