internal import JSONBytes

/// Who may ask for tokens, and the tokens that were granted. Times are microseconds of the sandbox's clock.
struct TokenRegistry: Sendable {
    /// A refusal of the token endpoint (RFC 6749 section 5.2), in Google's words.
    struct Refusal: Error, Equatable {
        var error: String
        var description: String
        var status = 400

        static func invalidGrant(_ description: String) -> Refusal {
            Refusal(error: "invalid_grant", description: description)
        }
    }

    struct Grant: Sendable {
        var account: String
        var scopes: Set<String>
        var expires: Int64
    }

    private struct ServiceAccount: Sendable {
        /// By `private_key_id`.
        var keys: [String: SigningKey] = [:]
    }

    private struct User: Sendable {
        var clientID: String
        var clientSecret: String
    }

    /// The audience that Google's own libraries use, whatever `token_uri` says.
    static let audience = "https://oauth2.googleapis.com/token"
    /// Scopes by their full name; short ones stand for nothing.
    static let scopePrefix = "https://www.googleapis.com/auth/"

    private var accounts: [String: ServiceAccount] = [:]
    /// By refresh token.
    private var users: [String: User] = [:]
    private var grants: [String: Grant] = [:]

    /// Takes a key file: `service_account` or `authorized_user`.
    ///
    /// - Throws: `SandboxError.keyFile`; nothing of the file is in the message.
    mutating func register(keyFile text: String) throws(SandboxError) {
        guard let file = try? JSONValue(parsing: text) else { throw .keyFile(problem: "the file is no JSON") }
        func member(_ name: String) throws(SandboxError) -> String {
            guard let value = file[name]?.stringValue, !value.isEmpty else {
                throw .keyFile(problem: "the file has no \(name)")
            }
            return value
        }
        switch try member("type") {
        case "service_account":
            let key = try SigningKey(privatePEM: try member("private_key"))
            let id = try member("private_key_id")
            accounts[try member("client_email"), default: ServiceAccount()].keys[id] = key
        case "authorized_user":
            users[try member("refresh_token")] = User(
                clientID: try member("client_id"), clientSecret: try member("client_secret"))
        default: throw .keyFile(problem: "only the types service_account and authorized_user are known")
        }
    }

    mutating func revokeAll() { grants = [:] }

    func grant(for token: String, at now: Int64) -> Grant? {
        guard let grant = grants[token], grant.expires > now else { return nil }
        return grant
    }

    private mutating func issue(_ grant: Grant) -> String {
        let token = "ya29.sandbox-" + Engine.opaqueID().filter { $0.isLetter || $0.isNumber }
        grants[token] = grant
        return token
    }

    // MARK: Grants

    /// `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` (service-account flow, RFC 7523).
    mutating func grant(
        assertion: String, at now: Int64, lifetime: Int64, ownEndpoint: String
    ) throws(Refusal) -> (token: String, grant: Grant) {
        guard let jwt = SignedJWT(assertion) else { throw .invalidGrant("Bad Request: the assertion is no JWT.") }
        let account = try verify(jwt, at: now)
        guard let audience = jwt.claims["aud"]?.stringValue, [Self.audience, ownEndpoint + "/token"].contains(audience)
        else {
            throw .invalidGrant("Invalid JWT: Failed audience check. The right audience is \(Self.audience)")
        }
        let scopes = Set((jwt.claims["scope"]?.stringValue ?? "").split(separator: " ").map(String.init))
        guard !scopes.isEmpty, scopes.allSatisfy({ $0.hasPrefix(Self.scopePrefix) }) else {
            throw Refusal(
                error: "invalid_scope", description: "Invalid OAuth scope or ID token audience provided.")
        }
        let grant = Grant(account: account, scopes: scopes, expires: now + lifetime)
        return (issue(grant), grant)
    }

    /// `grant_type=refresh_token`.
    mutating func grant(
        refreshToken: String, clientID: String, clientSecret: String, scope: String?, at now: Int64, lifetime: Int64
    ) throws(Refusal) -> (token: String, grant: Grant) {
        guard let user = users[refreshToken] else { throw .invalidGrant("Token has been expired or revoked.") }
        guard user.clientID == clientID, user.clientSecret == clientSecret else {
            throw Refusal(error: "invalid_client", description: "The OAuth client was not found.", status: 401)
        }
        let scopes =
            scope.map { Set($0.split(separator: " ").map(String.init)) } ?? [Self.scopePrefix + "cloud-platform"]
        let grant = Grant(account: "user", scopes: scopes, expires: now + lifetime)
        return (issue(grant), grant)
    }

    /// A JWT that is used as a token itself (AIP-4111): for this API as audience, or with scopes.
    func selfSigned(_ token: String, at now: Int64, ownEndpoint: String) -> Grant? {
        guard let jwt = SignedJWT(token), let account = try? verify(jwt, at: now),
            jwt.claims["sub"]?.stringValue == account
        else { return nil }
        let expires = (jwt.claims["exp"]?.intValue ?? 0) * 1_000_000
        if let scope = jwt.claims["scope"]?.stringValue {
            return Grant(account: account, scopes: Set(scope.split(separator: " ").map(String.init)), expires: expires)
        }
        guard let audience = jwt.claims["aud"]?.stringValue,
            ["https://bigquery.googleapis.com/", ownEndpoint + "/"].contains(audience)
        else { return nil }
        return Grant(account: account, scopes: [Self.scopePrefix + "cloud-platform"], expires: expires)
    }

    /// Checks algorithm, key, signature and times; returns the account.
    private func verify(_ jwt: SignedJWT, at now: Int64) throws(Refusal) -> String {
        guard jwt.header["alg"] == "RS256", jwt.header["typ"]?.stringValue ?? "JWT" == "JWT" else {
            throw .invalidGrant("Invalid JWT: the algorithm must be RS256.")
        }
        guard let issuer = jwt.claims["iss"]?.stringValue, let account = accounts[issuer] else {
            throw .invalidGrant("Invalid grant: account not found")
        }
        let keys = jwt.header["kid"]?.stringValue.map { id in account.keys[id].map { [$0] } ?? [] }
        guard (keys ?? Array(account.keys.values)).contains(where: { $0.verifies(jwt.signature, over: jwt.signedPart) })
        else { throw .invalidGrant("Invalid JWT Signature.") }
        guard case .number = jwt.claims["iat"], case .number = jwt.claims["exp"],
            let issued = jwt.claims["iat"]?.intValue, let expires = jwt.claims["exp"]?.intValue,
            isReasonable(issued: issued, expires: expires, now: now / 1_000_000)
        else {
            throw .invalidGrant(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."
            )
        }
        return issuer
    }

    /// Seconds since 1970; five minutes are allowed for clocks that differ.
    private func isReasonable(issued: Int64, expires: Int64, now: Int64) -> Bool {
        guard abs(issued) < 1 << 40, abs(expires) < 1 << 40 else { return false }
        return expires > issued && expires - issued <= 3600 && issued <= now + 300 && expires > now - 300
    }
}
