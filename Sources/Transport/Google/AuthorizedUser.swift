/// A person's credentials, as `gcloud auth application-default login` leaves them.
struct AuthorizedUser: Sendable {
    let name: String
    let quotaProject: String?
    private let tokenURL: String
    private let clientID: String
    private let clientSecret: String
    private let refreshToken: String

    /// - Parameter name: who this is, for messages; the file does not say.
    init(_ document: CredentialsDocument, path: String, name: String) throws(AuthError) {
        func required(_ value: String?, _ member: String) throws(AuthError) -> String {
            guard let value, !value.isEmpty else {
                throw .unreadableFile(path: path, reason: "\(member) is missing")
            }
            return value
        }
        self.name = name
        clientID = try required(document.clientId, "client_id")
        clientSecret = try required(document.clientSecret, "client_secret")
        refreshToken = try required(document.refreshToken, "refresh_token")
        quotaProject = document.quotaProjectId
        tokenURL = try GoogleCredentials.secureURL(
            document.tokenUri ?? ServiceAccount.audience, member: "token_uri", path: path)
    }

    /// No scopes are asked for: the token carries what the person agreed to at the login, and asking for others is
    /// refused.
    func token(service: TokenService) async throws(AuthError) -> AccessToken {
        let request = TokenService.form(
            [
                "grant_type": "refresh_token", "client_id": clientID, "client_secret": clientSecret,
                "refresh_token": refreshToken,
            ], to: tokenURL)
        return try await service.token(request, principal: name, secrets: [clientSecret, refreshToken]) { error, _ in
            error == "invalid_grant" ? "log in again with `gcloud auth application-default login`" : nil
        }
    }
}
