import FoundationEssentials

/// Asks a token service once and tells apart what its answers mean. It never tries twice: `unavailable` is the caller's
/// to retry.
struct TokenService: Sendable {
    let client: HTTPClient
    let now: @Sendable () -> Date

    /// Token services answer in well under a second or are in trouble.
    static let timeouts = HTTPTimeouts(connect: .seconds(10), silence: .seconds(20), total: .seconds(30))
    /// STS tokens may have 12 KB; no real answer comes near this.
    static let maximumResponseBytes = 64 << 10

    /// - Parameters:
    ///   - principal: for messages.
    ///   - secrets: what an answer might repeat and no message may show.
    ///   - hint: what to do about a refusal, by the service's error code and description.
    func token(
        _ request: HTTPRequest, principal: String, secrets: [String] = [],
        hint: (_ error: String, _ text: String) -> String? = { _, _ in nil }
    ) async throws(AuthError) -> AccessToken {
        let response = try await send(request)
        let place = HTTPTarget(url: request.url)?.description ?? "the token service"
        let reply = TokenReply.parse(response.body)
        if response.isSuccess {
            guard let token = reply?.accessToken(at: now()) else {
                throw .unavailable(
                    reason: "\(place) answered HTTP \(response.status) with something that is no token reply"
                        + Self.contentType(of: response) + "; a proxy or a login page may be in between")
            }
            return token
        }
        let text = Self.describe(reply, secrets: secrets)
        let error = reply?.error ?? ""
        // What google-auth takes for passing trouble (oauth2/_client.py).
        let isPassing =
            [408, 429].contains(response.status) || response.status >= 500 || response.status < 400
            || ["internal_failure", "server_error", "temporarily_unavailable"].contains(error)
        let what =
            "\(place) answered HTTP \(response.status)" + (text.map { ": \($0)" } ?? Self.contentType(of: response))
        guard !isPassing else { throw .unavailable(reason: what) }
        var reason = what + (hint(error, text ?? "").map { "; \($0)" } ?? "")
        if let clock = ClockDifference(response.headers, now: now()), clock.isNotable { reason += "; \(clock)" }
        throw .refused(principal: principal, reason: reason)
    }

    /// The response of any status; a transport failure as `unavailable`.
    func send(_ request: HTTPRequest) async throws(AuthError) -> HTTPResponse {
        do throws(HTTPError) {
            var request = request
            request.timeouts = Self.timeouts
            return try await client.send(request, maximumResponseBytes: Self.maximumResponseBytes)
        } catch {
            throw error.kind == .cancelled ? .cancelled : .unavailable(reason: error.message)
        }
    }

    static func form(_ fields: KeyValuePairs<String, String>, to url: String) -> HTTPRequest {
        let text = fields.map { "\(PercentEncoding.encode($0.key))=\(PercentEncoding.encode($0.value))" }.joined(
            separator: "&")
        return HTTPRequest(
            .post, url,
            headers: [
                HTTPHeader("Content-Type", "application/x-www-form-urlencoded"),
                HTTPHeader("Accept", "application/json"),
            ],
            body: HTTPBody(Array(text.utf8)))
    }

    /// The service's own words, short, on one line, and without anything we sent it in confidence.
    private static func describe(_ reply: TokenReply?, secrets: [String]) -> String? {
        let parts = [reply?.error, reply?.errorDescription].compactMap { $0 }.filter { !$0.isEmpty }
        guard !parts.isEmpty else { return nil }
        var text = parts.joined(separator: ": ")
        for secret in secrets where !secret.isEmpty {
            for form in [secret, PercentEncoding.encode(secret)] { text = text.replacing(form, with: "<redacted>") }
        }
        let line = text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }
        return String(String.UnicodeScalarView(line)).prefix(300).description
    }

    private static func contentType(of response: HTTPResponse) -> String {
        let type = response.headers["content-type"]?.prefix { $0 != ";" }.prefix(60)
        return type.map { " (\($0))" } ?? ""
    }
}
