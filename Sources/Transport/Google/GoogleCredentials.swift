package import FoundationEssentials
import Glibc

/// Finds Google credentials the way Google's own libraries do.
package enum GoogleCredentials {
    /// The credentials of a file, or Application Default Credentials in Google's order: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, the one
    /// that gcloud left, the metadata server. A file that is named but can't be used is an error, not a reason to look further.
    ///
    /// No token is fetched yet; only for the metadata server the network is asked, for up to nine seconds where nothing answers.
    ///
    /// - Parameters:
    ///   - file: a credentials file; nil: Application Default Credentials.
    ///   - scopes: full URLs, such as `https://www.googleapis.com/auth/datastore`.
    ///   - now: the clock by which tokens expire.
    /// - Throws: `unreadableFile`, `noCredentials`, `cancelled`.
    package static func resolve(
        file: String?, scopes: [String], environment: [String: String], client: HTTPClient,
        now: @escaping @Sendable () -> Date = { Date() }
    ) async throws(AuthError) -> any TokenProvider {
        let service = TokenService(client: client, now: now)
        let context = Context(scopes: scopes, environment: environment, service: service)
        if let file { return try context.provider(path: file, isDefault: false) }
        if let named = context.value("GOOGLE_APPLICATION_CREDENTIALS") {
            return try context.provider(path: named, isDefault: true)
        }
        var tried = ["GOOGLE_APPLICATION_CREDENTIALS is not set"]
        if let path = context.gcloudFile {
            // Not there is normal; there but unreadable is an error.
            guard access(path, F_OK) != 0 else { return try context.provider(path: path, isDefault: true) }
            tried.append("\(path) does not exist")
        }
        if let server = MetadataServer(environment: environment, service: service) {
            if try await server.isPresent() { return context.provider(server) }
            tried.append("no metadata server answers")
        } else {
            tried.append("NO_GCE_CHECK turns the metadata server off")
        }
        throw .noCredentials(
            reason: tried.joined(separator: ", ")
                + "; name a credentials file in the configuration or in GOOGLE_APPLICATION_CREDENTIALS, or run "
                + "`gcloud auth application-default login`")
    }

    /// Secrets go over TLS, or stay on this machine.
    static func secureURL(_ url: String, member: String, path: String) throws(AuthError) -> String {
        guard let target = HTTPTarget(url: url), target.scheme == "https" || target.isLoopback else {
            throw .unreadableFile(path: path, reason: "\(member) is no https URL")
        }
        return url
    }

    private struct Context {
        let scopes: [String]
        let environment: [String: String]
        let service: TokenService

        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

        var gcloudFile: String? {
            let folder = value("CLOUDSDK_CONFIG") ?? value("HOME").map { "\($0)/.config/gcloud" }
            return folder.map { "\($0)/application_default_credentials.json" }
        }

        func provider(path: String, isDefault: Bool) throws(AuthError) -> any TokenProvider {
            let document = try CredentialsDocument.read(path)
            switch document.type {
            case "service_account":
                let account = try ServiceAccount(document, path: path)
                return cached(account.email) { [scopes, service] () async throws(AuthError) in
                    try await account.token(scopes: scopes, service: service)
                }
            case "authorized_user":
                let name = isDefault ? "application default credentials (\(path))" : "the user of \(path)"
                let user = try AuthorizedUser(document, path: path, name: name)
                return cached(name, quotaProject: value("GOOGLE_CLOUD_QUOTA_PROJECT") ?? user.quotaProject) {
                    [service] () async throws(AuthError) in
                    try await user.token(service: service)
                }
            case let type?:
                throw .unreadableFile(
                    path: path,
                    reason: "its type \(String(reflecting: type.prefix(60).description)) is not supported; "
                        + "service_account and authorized_user are")
            case nil:
                throw .unreadableFile(path: path, reason: "it has no member \"type\"")
            }
        }

        func provider(_ server: MetadataServer) -> any TokenProvider {
            CachedTokens(principal: { await server.email() }, now: service.now) { [scopes] () async throws(AuthError) in
                try await server.token(scopes: scopes)
            }
        }

        private func cached(
            _ principal: String, quotaProject: String? = nil, fetch: @escaping CachedTokens.Fetch
        ) -> CachedTokens {
            CachedTokens(principal: { principal }, quotaProject: quotaProject, now: service.now, fetch: fetch)
        }
    }
}
