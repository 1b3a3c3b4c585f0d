internal import JSONBytes
internal import Transport

/// Turns Firestore's error answers into what a user can act on (protocol facts: A.12).
enum FirestoreFailure {
    /// An answer with a status other than 2xx: a bare object, the same wrapped in an array, or no JSON at all.
    static func refusal(status: Int, body: [UInt8], retryAfter: Duration?, reading subject: String) -> ExtractError {
        let answer = try? JSONValue(parsing: body)
        let object = answer?.arrayValue?.first ?? answer
        var failure = error(object?["error"] ?? .null, status: status, reading: subject)
        failure.retryAfter = retryAfter
        return failure
    }

    /// The member `error` of an answer, also in the middle of a stream that began well.
    static func error(_ error: JSONValue, status httpStatus: Int, reading subject: String) -> ExtractError {
        let status = error["status"]?.stringValue ?? ""
        let code = error["code"]?.intValue.map(Int.init) ?? httpStatus
        let message = error["message"]?.stringValue ?? "HTTP \(httpStatus) without an explanation"
        let text = "reading \(subject) failed: \(message)" + (status.isEmpty ? "" : " (\(status))")
        if message.contains("read_time"), message.contains("too old") {
            var expired = ExtractError(.unexpected, text)
            expired.isExpiredReadTime = true
            return expired
        }
        switch (status, code) {
        case ("PERMISSION_DENIED", _) where message.contains("has not been used in project"):
            return ExtractError(
                .denied, text,
                hint: "open the link in the message to enable the Firestore API, wait some minutes, and run again")
        case ("PERMISSION_DENIED", _), (_, 403):
            return ExtractError(
                .denied, text,
                hint: "give the account the role roles/datastore.viewer on the project, and enable the Firestore API")
        case ("UNAUTHENTICATED", _), (_, 401):
            return ExtractError(
                .denied, text, hint: "check the source's credentials, or run gcloud auth application-default login")
        case ("FAILED_PRECONDITION", _) where message.contains("index"):
            return ExtractError(
                .configuration, text,
                hint: "open the link in the message to create the missing index, wait for it, and run again")
        case ("FAILED_PRECONDITION", _) where message.contains("Datastore Mode"):
            return ExtractError(
                .configuration, text,
                at: .source("database"),
                hint: "this interface reads databases in native mode only: check project and database of the source")
        case ("NOT_FOUND", _), (_, 404):
            return ExtractError(
                .configuration, text,
                at: .source("database"),
                hint: "check project and database of the source: a database that does not exist can't be read")
        case ("UNIMPLEMENTED", _), (_, 501):
            return ExtractError(.configuration, text)
        case ("RESOURCE_EXHAUSTED", _), ("UNAVAILABLE", _), ("DEADLINE_EXCEEDED", _), ("INTERNAL", _), ("ABORTED", _),
            ("UNKNOWN", _), (_, 408), (_, 409), (_, 429), (_, 500...599):
            var failure = ExtractError(
                .unavailable, text, hint: "run the same command again later: it goes on where it stopped")
            failure.isOverload = status == "RESOURCE_EXHAUSTED" || code == 429
            return failure
        case ("FAILED_PRECONDITION", _), ("INVALID_ARGUMENT", _), (_, 400...499):
            return ExtractError(.configuration, text)
        default:
            return ExtractError(.unavailable, text)
        }
    }
}
