/// Sends requests with a bearer token. A 401 costs one refresh and one replay; the second answer counts. Redirects are
/// not followed, so the token never reaches a host that the caller did not name; and where a refusal repeats it, as
/// servers and proxies do that print what they were sent, it is taken out before the caller can show or keep it.
package final class AuthorizedClient: Sendable {
    package let client: HTTPClient
    /// nil: anonymous, requests go out as they are.
    package let tokens: (any TokenProvider)?

    package init(client: HTTPClient, tokens: (any TokenProvider)?) {
        self.client = client
        self.tokens = tokens
    }

    /// - Throws: ``HTTPError``; ``AuthError`` when there is no token. A cancelled task always sees
    ///   `HTTPError.cancelled`.
    package func send(
        _ request: HTTPRequest, maximumResponseBytes: Int = 64 << 20
    ) async throws -> HTTPResponse {
        try await withToken(request, status: \.status) { [client] request throws(HTTPError) in
            try await client.send(request, maximumResponseBytes: maximumResponseBytes)
        } hiding: {
            if !$0.isSuccess { $0.body = $1.hidden(in: $0.body) }
        }
    }

    /// As ``send(_:maximumResponseBytes:)``, with the body as a stream.
    package func stream(_ request: HTTPRequest) async throws -> HTTPStreamedResponse {
        try await withToken(request, status: \.status) { [client] request throws(HTTPError) in
            try await client.stream(request)
        } hiding: {
            if !$0.isSuccess { $0.body.token = $1 }
        }
    }

    private func withToken<Response: Sendable>(
        _ request: HTTPRequest, status: (Response) -> Int,
        _ perform: (HTTPRequest) async throws(HTTPError) -> Response,
        hiding hide: (inout Response, AccessToken) -> Void
    ) async throws -> Response {
        guard let tokens else { return try await perform(request) }
        let first = try await token(from: tokens, for: request)
        var response = try await perform(authorized(request, by: first, quotaProject: tokens.quotaProject))
        hide(&response, first)
        guard status(response) == 401 else { return response }
        await tokens.invalidate(first)
        let second = try await token(from: tokens, for: request)
        // A provider with one token for ever has nothing better to offer.
        guard second != first else { return response }
        response = try await perform(authorized(request, by: second, quotaProject: tokens.quotaProject))
        hide(&response, second)
        return response
    }

    private func token(from tokens: any TokenProvider, for request: HTTPRequest) async throws -> AccessToken {
        do throws(AuthError) {
            return try await tokens.token()
        } catch {
            guard error == .cancelled else { throw error }
            let host = HTTPTarget(url: request.url)?.description ?? ""
            throw HTTPError(kind: .cancelled, host: host, message: "the request to \(host) was cancelled")
        }
    }

    private func authorized(_ request: HTTPRequest, by token: AccessToken, quotaProject: String?) -> HTTPRequest {
        var request = request
        request.setHeader("Authorization", "Bearer \(token.value)")
        if let quotaProject { request.setHeader("x-goog-user-project", quotaProject) }
        return request
    }
}

extension AccessToken {
    /// Shorter ones, like the `owner` of emulators, are words and no secrets.
    private static let shortestSecret = 12

    /// The bytes without this token.
    func hidden(in bytes: [UInt8]) -> [UInt8] {
        let secret = Array(value.utf8)
        guard secret.count >= Self.shortestSecret, bytes.count >= secret.count else { return bytes }
        return bytes.replacing(secret, with: Array("***".utf8))
    }
}
