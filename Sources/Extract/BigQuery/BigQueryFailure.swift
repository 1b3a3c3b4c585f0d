internal import JSONBytes
internal import Transport

/// Turns BigQuery's error answers into what a user can act on (its page "Error messages").
enum BigQueryFailure {
    /// Reasons by which a job failed through no fault of its own: another job may do.
    private static let jobFailures: Set<String> = ["jobBackendError", "jobInternalError", "jobRateLimitExceeded"]

    private static let transient: Set<String> = [
        "backendError", "internalError", "rateLimitExceeded", "quotaExceeded", "tableUnavailable", "timeout", "stopped",
    ]

    /// - Parameter isJob: the request was about a job's results, so that 404 means a job that is not known any more.
    static func refusal(
        status: Int, body: [UInt8], retryAfter: Duration?, reading subject: String, isJob: Bool
    ) -> ExtractError {
        let error = (try? JSONValue(parsing: body))?["error"]
        let reason = error?["errors"]?.arrayValue?.first?["reason"]?.stringValue ?? ""
        let message = error?["message"]?.stringValue ?? "HTTP \(status) without an explanation"
        let text = "reading \(subject) failed: \(message)" + (reason.isEmpty ? "" : " (\(reason))")
        var failure = self.failure(status: status, reason: reason, text: text)
        failure.retryAfter = retryAfter
        if isJob, status == 404 {
            failure = ExtractError(.unavailable, text)
            failure.queryJob = .lost
        }
        if jobFailures.contains(reason) { failure.queryJob = .failed }
        if reason == "resourcesExceeded" { failure.queryJob = .tooLargeToSort }
        return failure
    }

    private static func failure(status: Int, reason: String, text: String) -> ExtractError {
        switch (status, reason) {
        case (_, _) where jobFailures.contains(reason) || transient.contains(reason):
            return ExtractError(
                .unavailable, text, hint: "run the same command again later: it goes on where it stopped")
        case (_, "bytesBilledLimitExceeded"):
            return ExtractError(
                .configuration, text,
                hint: "raise max_bytes_billed of the source, name fewer columns, or read a partitioned watermark")
        case (401, _):
            return ExtractError(
                .denied, text, hint: "check the source's credentials, or run gcloud auth application-default login")
        case (403, _):
            return ExtractError(
                .denied, text,
                hint:
                    "the account needs roles/bigquery.dataViewer on the dataset and roles/bigquery.jobUser on the project"
            )
        case (404, _):
            return ExtractError(
                .configuration, text, at: .stream("from"),
                hint: "check project and location of the source and from: of the stream")
        case (408, _), (429, _), (500..., _):
            return ExtractError(
                .unavailable, text, hint: "run the same command again later: it goes on where it stopped")
        default:
            return ExtractError(.configuration, text)
        }
    }
}
