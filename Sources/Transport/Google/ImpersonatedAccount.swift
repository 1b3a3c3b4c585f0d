import FoundationEssentials

/// A service account whose tokens another identity may ask IAM for.
struct ImpersonatedAccount: Sendable {
    /// The longest that is allowed everywhere.
    static let lifetime = "3600s"

    let email: String
    private let url: String
    private let delegates: [String]
    private let source: any TokenProvider

    init(_ document: CredentialsDocument, path: String, source: any TokenProvider) throws(AuthError) {
        let member = "service_account_impersonation_url"
        guard let url = document.serviceAccountImpersonationUrl else {
            throw .unreadableFile(path: path, reason: "\(member) is missing")
        }
        self.url = try GoogleCredentials.secureURL(url, member: member, path: path)
        // https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/EMAIL:generateAccessToken
        let last = url.split(separator: "/").last ?? ""
        guard last.hasSuffix(":generateAccessToken") else {
            throw .unreadableFile(path: path, reason: "\(member) does not end in ACCOUNT:generateAccessToken")
        }
        email = String(last.dropLast(":generateAccessToken".count))
        delegates = document.delegates ?? []
        self.source = source
    }

    private struct Body: Encodable {
        var delegates: [String]
        var scope: [String]
        var lifetime: String
    }

    func token(scopes: [String], service: TokenService) async throws(AuthError) -> AccessToken {
        let token = try await source.token()
        let body = try? JSONEncoder().encode(Body(delegates: delegates, scope: scopes, lifetime: Self.lifetime))
        var request = HTTPRequest(
            .post, url,
            headers: [
                HTTPHeader("Authorization", "Bearer \(token.value)"), HTTPHeader("Content-Type", "application/json"),
            ],
            body: HTTPBody(Array(body ?? Data())))
        if let project = await source.quotaProject { request.setHeader("x-goog-user-project", project) }
        let sourceName = await source.principal
        do throws(AuthError) {
            return try await service.token(request, principal: email, secrets: [token.value]) { _, _ in
                "\(sourceName) needs the role roles/iam.serviceAccountTokenCreator on \(email)"
            }
        } catch {
            // A token that IAM does not take is not used again.
            if case .refused = error { await source.invalidate(token) }
            throw error
        }
    }
}
