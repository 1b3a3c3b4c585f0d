internal import HTTPServer
internal import JSONBytes

/// A refusal in the shape of Google's error bodies (error-messages page).
struct APIError: Error, Equatable, CustomStringConvertible {
    var status: Int
    var reason: String
    var message: String
    /// The canonical code in words, as live replies carry it: `INVALID_ARGUMENT`, `NOT_FOUND` ...
    var statusName: String
    /// The parameter or field at fault, for the reasons that name one.
    var location: String?

    var description: String { "\(status) \(reason): \(message)" }

    init(_ status: Int, _ reason: String, _ message: String, location: String? = nil) {
        self.status = status
        self.reason = reason
        self.message = message
        statusName = Self.statusName(of: status)
        self.location = location
    }

    static func statusName(of status: Int) -> String {
        switch status {
        case 400, 413: "INVALID_ARGUMENT"
        case 401: "UNAUTHENTICATED"
        case 403: "PERMISSION_DENIED"
        case 404: "NOT_FOUND"
        case 409: "ALREADY_EXISTS"
        case 412: "FAILED_PRECONDITION"
        case 429: "RESOURCE_EXHAUSTED"
        case 501: "UNIMPLEMENTED"
        case 502, 503: "UNAVAILABLE"
        case 504: "DEADLINE_EXCEEDED"
        default: status >= 500 ? "INTERNAL" : "UNKNOWN"
        }
    }

    var response: HTTPResponse {
        var detail: [JSONMember] = [
            JSONMember("message", .string(message)), JSONMember("domain", "global"),
            JSONMember("reason", .string(reason)),
        ]
        if let location {
            detail.append(JSONMember("location", .string(location)))
            detail.append(JSONMember("locationType", status == 401 ? "header" : "other"))
        }
        let error: JSONValue = [
            "code": .number(String(status)), "message": .string(message), "errors": [.object(detail)],
            "status": .string(statusName),
        ]
        return HTTPResponse(status: status, json: ["error": error])
    }
}

extension APIError {
    static func invalid(_ message: String, location: String? = nil) -> APIError {
        APIError(400, "invalid", message, location: location)
    }

    static func badRequest(_ message: String) -> APIError { APIError(400, "badRequest", message) }

    static func invalidQuery(_ message: String) -> APIError {
        APIError(400, "invalidQuery", message, location: "q")
    }

    static func notFound(_ dataset: DatasetKey) -> APIError {
        APIError(404, "notFound", "Not found: Dataset \(dataset.legacyName)")
    }

    static func notFound(_ table: TableKey) -> APIError {
        APIError(404, "notFound", "Not found: Table \(table.legacyName)")
    }

    static func duplicate(_ what: String, _ name: String) -> APIError {
        APIError(409, "duplicate", "Already Exists: \(what) \(name)")
    }

    /// As Google's front end words a member that the method does not know.
    static func unknownName(_ name: String, at path: String) -> APIError {
        let place = path.isEmpty ? "" : " at '\(path)'"
        return .badRequest("Invalid JSON payload received. Unknown name \"\(name)\"\(place): Cannot find field.")
    }

    static func malformed(_ error: JSONSyntaxError) -> APIError {
        APIError(400, "parseError", "Invalid JSON payload received. \(error.description)")
    }
}
