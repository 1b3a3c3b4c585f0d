internal import HTTPServer
internal import JSONBytes
internal import Synchronization

extension Engine {
    /// The token endpoint: a form in, a bearer token or RFC 6749's error object out.
    func grantToken(_ body: ByteBuffer) -> HTTPResponse {
        let form = Self.form(body.string)
        let now = clock.now
        let lifetime = configuration.tokenLifetime.microseconds
        do {
            let (token, grant) = try state.withLock { state throws(TokenRegistry.Refusal) in
                switch form["grant_type"] {
                case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                    return try state.tokens.grant(
                        assertion: form["assertion"] ?? "", at: now, lifetime: lifetime, ownEndpoint: address)
                case "refresh_token":
                    return try state.tokens.grant(
                        refreshToken: form["refresh_token"] ?? "", clientID: form["client_id"] ?? "",
                        clientSecret: form["client_secret"] ?? "", scope: form["scope"], at: now, lifetime: lifetime)
                case let other:
                    throw TokenRegistry.Refusal(
                        error: "unsupported_grant_type", description: "Invalid grant_type: \(other ?? "")")
                }
            }
            return HTTPResponse(json: [
                "access_token": .string(token), "expires_in": .number(String((grant.expires - now) / 1_000_000)),
                "scope": .string(grant.scopes.sorted().joined(separator: " ")), "token_type": "Bearer",
            ])
        } catch {
            return HTTPResponse(
                status: error.status,
                json: ["error": .string(error.error), "error_description": .string(error.description)])
        }
    }

    private static func form(_ text: String) -> [String: String] {
        var result: [String: String] = [:]
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map {
                percentDecoded(String($0.replacing("+", with: " ")))
            }
            result[parts[0]] = parts.count > 1 ? parts[1] : ""
        }
        return result
    }

    /// Every call needs a token with one of the method's scopes, if the configuration says so.
    func authorize(_ request: HTTPRequest, _ route: Route) throws(APIError) {
        guard configuration.requiresAuthentication else { return }
        guard let header = request.headers["authorization"] else {
            throw APIError(401, "required", "Login Required.", location: "Authorization")
        }
        let parts = header.split(separator: " ", maxSplits: 1).map(String.init)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { throw Self.invalidCredentials }
        let now = clock.now
        let grant = state.withLock { state in
            state.tokens.grant(for: parts[1], at: now)
                ?? state.tokens.selfSigned(parts[1], at: now, ownEndpoint: address)
        }
        guard let grant else { throw Self.invalidCredentials }
        let wanted = Self.scopes(of: route.operation).map { TokenRegistry.scopePrefix + $0 }
        guard !grant.scopes.isDisjoint(with: wanted) else {
            throw APIError(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
        }
    }

    private static var invalidCredentials: APIError {
        APIError(
            401, "authError",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
            location: "Authorization")
    }

    /// Any of these is enough (the methods' reference pages).
    private static func scopes(of operation: Operation) -> [String] {
        switch operation {
        case .insertAll: ["bigquery", "bigquery.insertdata", "cloud-platform"]
        case .datasetsGet, .datasetsList, .tablesGet, .tablesList, .tabledataList, .query, .getQueryResults, .jobsGet:
            ["bigquery", "bigquery.readonly", "cloud-platform", "cloud-platform.read-only"]
        default: ["bigquery", "cloud-platform"]
        }
    }
}
