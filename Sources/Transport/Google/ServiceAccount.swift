import FoundationEssentials

/// A service account's key: signs a statement of who it is, and has it exchanged for a token.
struct ServiceAccount: Sendable {
    /// Google expects this name in the statement whatever address the exchange goes to (google-auth,
    /// oauth2/service_account.py).
    static let audience = "https://oauth2.googleapis.com/token"
    /// The longest that Google accepts.
    static let statementLifetime = 3600

    let email: String
    let tokenURL: String
    private let keyID: String?
    private let signer: RSASigner

    /// - Throws: `unreadableFile` naming the member that is missing or wrong.
    init(_ document: CredentialsDocument, path: String) throws(AuthError) {
        guard let email = document.clientEmail, !email.isEmpty else {
            throw .unreadableFile(path: path, reason: "client_email is missing")
        }
        guard let pem = document.privateKey else {
            throw .unreadableFile(path: path, reason: "private_key is missing")
        }
        guard let signer = RSASigner(pem: pem) else {
            throw .unreadableFile(path: path, reason: "private_key is no RSA key in PEM form")
        }
        self.email = email
        self.signer = signer
        keyID = document.privateKeyId
        tokenURL = try GoogleCredentials.secureURL(
            document.tokenUri ?? Self.audience, member: "token_uri", path: path)
    }

    func token(scopes: [String], service: TokenService) async throws(AuthError) -> AccessToken {
        guard let statement = statement(scopes: scopes, at: service.now()) else {
            throw .unavailable(reason: "the statement of \(email) could not be signed")
        }
        let request = TokenService.form(
            ["grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": statement], to: tokenURL)
        return try await service.token(request, principal: email, secrets: [statement]) { error, text in
            if text.contains("short-lived") {
                "check this machine's clock"
            } else if text.contains("JWT Signature") {
                "the key was deleted or belongs to another account: create a new one"
            } else if error == "invalid_grant" {
                "the account may be disabled or deleted"
            } else {
                nil
            }
        }
    }

    private struct Header: Encodable {
        var alg = "RS256"
        var typ = "JWT"
        var kid: String?
    }

    private struct Claims: Encodable {
        var iss: String
        var aud: String
        var iat: Int
        var exp: Int
        var scope: String
    }

    /// The signed JWT; nil when it can't be signed.
    private func statement(scopes: [String], at now: Date) -> String? {
        let issued = Int(now.timeIntervalSince1970)
        let claims = Claims(
            iss: email, aud: Self.audience, iat: issued, exp: issued + Self.statementLifetime,
            scope: scopes.joined(separator: " "))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let header = try? encoder.encode(Header(kid: keyID)), let body = try? encoder.encode(claims) else {
            return nil
        }
        let signed = "\(Digest.base64URL(header)).\(Digest.base64URL(body))"
        return signer.signature(of: Array(signed.utf8)).map { "\(signed).\(Digest.base64URL($0))" }
    }
}
