import FoundationEssentials

/// A service's answer with a status other than 2xx, in its own words. Never a transport failure.
package struct ServiceRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    package var status: Int
    /// The service's word for it, such as `NoSuchBucket`; empty where the answer has none.
    package var code: String
    package var message: String
    package var retryAfter: Duration?
    /// How far this machine's clock is from the service's, where its answer told the time.
    package var clock: ClockDifference?

    package init(status: Int, code: String = "", message: String = "", retryAfter: Duration? = nil) {
        self.status = status
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
    }

    package var description: String {
        let words = [code, message].filter { !$0.isEmpty }.joined(separator: ": ")
        return "HTTP \(status)" + (words.isEmpty ? "" : " \(words)")
    }

    /// Worth another attempt later: overload, timeouts, and what the service calls its own trouble.
    package var isTransient: Bool {
        status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505)
            || ["RequestTimeout", "SlowDown", "ServerBusy", "OperationTimedOut", "InternalError"].contains(code)
    }

    /// Errors are small; a proxy's page may not be.
    static let maximumBytes = 256 << 10

    /// Reads S3's and Azure's errors: `<Error><Code>..</Code><Message>..</Message></Error>`, or headers where an answer has no body.
    init(_ response: HTTPStreamedResponse, now: Date) async throws(HTTPError) {
        self.init(status: response.status, retryAfter: response.retryAfter)
        clock = ClockDifference(response.headers, now: now)
        let body: [UInt8]
        do throws(HTTPError) {
            body = try await response.body.collect(maximumBytes: Self.maximumBytes)
        } catch {
            guard error.kind == .responseTooLarge else { throw error }
            body = []
        }
        xml = try? XMLElement(parsing: body)
        code = xml?["Code"]?.text ?? response.headers["x-ms-error-code"] ?? ""
        // One line: Azure puts request ids and times below.
        message =
            (xml?["Message"]?.text ?? "").split(whereSeparator: \.isNewline).first.map { String($0.prefix(300)) } ?? ""
    }

    /// The answer's other members.
    private(set) var xml: XMLElement?
}
