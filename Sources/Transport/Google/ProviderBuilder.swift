/// Makes a token provider of a credentials file: the one place that knows the types of files.
struct ProviderBuilder: Sendable {
    /// What a token must allow that is exchanged for another account's.
    static let impersonationScopes = ["https://www.googleapis.com/auth/cloud-platform"]

    let service: TokenService
    /// From the environment; it goes before the file's.
    let quotaProject: String?

    /// - Parameter isDefault: found as Application Default Credentials, not named by the user.
    func provider(path: String, isDefault: Bool, scopes: [String]) throws(AuthError) -> any TokenProvider {
        let name = isDefault ? "application default credentials (\(path))" : "the user of \(path)"
        return try provider(CredentialsDocument.read(path), path: path, name: name, scopes: scopes)
    }

    func provider(_ server: MetadataServer, scopes: [String]) -> any TokenProvider {
        CachedTokens(principal: { await server.email() }, now: service.now) { () async throws(AuthError) in
            try await server.token(scopes: scopes)
        }
    }

    private func provider(
        _ document: CredentialsDocument, path: String, name: String, scopes: [String]
    ) throws(AuthError) -> any TokenProvider {
        switch document.type {
        case "service_account":
            let account = try ServiceAccount(document, path: path)
            return cached(account.email) { [service] () async throws(AuthError) in
                try await account.token(scopes: scopes, service: service)
            }
        case "authorized_user":
            let user = try AuthorizedUser(document, path: path, name: name)
            return cached(name, quotaProject: quotaProject ?? user.quotaProject) {
                [service] () async throws(AuthError) in
                try await user.token(service: service)
            }
        case "impersonated_service_account":
            guard let nested = document.sourceCredentials?.document else {
                throw .unreadableFile(path: path, reason: "source_credentials is missing")
            }
            // One level is what gcloud writes; a chain of accounts goes into `delegates`.
            guard nested.type == "service_account" || nested.type == "authorized_user" else {
                throw .unreadableFile(path: path, reason: unsupported(nested.type, in: "source_credentials"))
            }
            let source = try provider(nested, path: path, name: name, scopes: Self.impersonationScopes)
            return try impersonating(document, source: source, path: path, scopes: scopes)
        case "external_account":
            let identity = try ExternalAccount(document, path: path)
            let isImpersonating = document.serviceAccountImpersonationUrl != nil
            let source = cached(identity.name) { [service] () async throws(AuthError) in
                try await identity.token(
                    scopes: isImpersonating ? Self.impersonationScopes : scopes, service: service)
            }
            return isImpersonating
                ? try impersonating(document, source: source, path: path, scopes: scopes) : source
        default:
            throw .unreadableFile(path: path, reason: unsupported(document.type, in: "it"))
        }
    }

    private func impersonating(
        _ document: CredentialsDocument, source: any TokenProvider, path: String, scopes: [String]
    ) throws(AuthError) -> any TokenProvider {
        let account = try ImpersonatedAccount(document, path: path, source: source)
        return cached(account.email) { [service] () async throws(AuthError) in
            try await account.token(scopes: scopes, service: service)
        }
    }

    private func unsupported(_ type: String?, in place: String) -> String {
        guard let type else { return "\(place) has no member \"type\"" }
        return
            "the type \(String(reflecting: String(type.prefix(60)))) is not supported; service_account, "
            + "authorized_user, impersonated_service_account and external_account are"
    }

    private func cached(
        _ principal: String, quotaProject: String? = nil, fetch: @escaping CachedTokens.Fetch
    ) -> CachedTokens {
        CachedTokens(principal: { principal }, quotaProject: quotaProject, now: service.now, fetch: fetch)
    }
}
