internal import HTTPServer
internal import JSONBytes

extension Fault {
    /// What the client gets in place of `response`.
    func reply(insteadOf response: HTTPResponse, _ operation: Operation, project: String) -> HTTPReply {
        switch kind {
        case .status(let status, let reason, let message, let retryAfter):
            let reason = reason ?? Self.usualReason(status)
            var result = APIError(status, reason, message ?? Self.usualMessage(status, reason)).response
            if let retryAfter { result.headers.append(("Retry-After", String(retryAfter))) }
            return .response(result)
        case .html(let status): return .response(.html(status))
        case .deny:
            let permission = operation == .insertAll ? "bigquery.tables.updateData" : "bigquery.jobs.create"
            let message =
                "Access Denied: Project \(project): User does not have \(permission) permission in project \(project)."
            return .response(APIError(403, "accessDenied", message).response)
        case .drop: return .cut
        case .reset: return .reset
        case .truncate: return .truncated(response)
        case .garbage:
            return .response(HTTPResponse(status: 200, body: Array("{\"kind\": \"bigquery#tableDataIns\u{FFFD}".utf8)))
        case .rawGarbage: return .raw(Array("\u{16}\u{3}\u{1} this is no HTTP\r\n\r\n".utf8))
        default: return .response(response)
        }
    }

    /// The reason that usually comes with a status (error-messages page).
    private static func usualReason(_ status: Int) -> String {
        switch status {
        case 400: "badRequest"
        case 401: "authError"
        case 403: "accessDenied"
        case 404: "notFound"
        case 409: "duplicate"
        case 412: "conditionNotMet"
        case 429: "rateLimitExceeded"
        case 500: "internalError"
        case 501: "notImplemented"
        case 502: "badGateway"
        default: "backendError"
        }
    }

    private static func usualMessage(_ status: Int, _ reason: String) -> String {
        switch reason {
        case "rateLimitExceeded":
            "Exceeded rate limits: too many api requests per user per method for this user_method."
        case "quotaExceeded": "Quota exceeded: Your table exceeded quota for streaming insert rows per second."
        case "internalError": "An internal error occurred and the request could not be completed."
        case "authError": "Invalid Credentials"
        case "accessDenied": "Access Denied: User does not have the permission that is needed."
        default: "Error encountered during execution. Retrying may solve the problem. (\(status) \(reason))"
        }
    }
}

extension HTTPResponse {
    /// An error page of the front end: HTML, whatever the API's format is.
    static func html(_ status: Int) -> HTTPResponse {
        let title = status == 413 ? "413 Request Entity Too Large" : "\(status) Error"
        let text = """
            <html lang="en"><title>\(title)</title>
            <p><b>\(status).</b> That's an error.
            <p>Your client issued a request that could not be served. That's all we know.</html>
            """
        return HTTPResponse(status: status, contentType: "text/html; charset=UTF-8", body: Array(text.utf8))
    }

    static var tooLargeHTML: HTTPResponse { .html(413) }
    static var badRequestHTML: HTTPResponse { .html(400) }
}
