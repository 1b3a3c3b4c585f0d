package import FoundationEssentials
import Glibc

/// Finds Google credentials the way Google's own libraries do.
package enum GoogleCredentials {
    /// The credentials of a file, or Application Default Credentials in Google's order: the file that
    /// `GOOGLE_APPLICATION_CREDENTIALS` names, the one that gcloud left, the metadata server. A file that is named but
    /// can't be used is an error, not a reason to look further.
    ///
    /// No token is fetched yet; only for the metadata server the network is asked, for up to nine seconds where nothing
    /// answers.
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
        let builder = ProviderBuilder(service: service, quotaProject: value("GOOGLE_CLOUD_QUOTA_PROJECT", environment))
        if let file { return try builder.provider(path: file, isDefault: false, scopes: scopes) }
        if let named = value("GOOGLE_APPLICATION_CREDENTIALS", environment) {
            return try builder.provider(path: named, isDefault: true, scopes: scopes)
        }
        var tried = ["GOOGLE_APPLICATION_CREDENTIALS is not set"]
        let folder = value("CLOUDSDK_CONFIG", environment) ?? value("HOME", environment).map { "\($0)/.config/gcloud" }
        if let folder {
            let path = "\(folder)/application_default_credentials.json"
            // Not there is normal; there but unreadable is an error.
            guard access(path, F_OK) != 0 else {
                return try builder.provider(path: path, isDefault: true, scopes: scopes)
            }
            tried.append("\(path) does not exist")
        }
        if let server = MetadataServer(environment: environment, service: service) {
            if try await server.isPresent() { return builder.provider(server, scopes: scopes) }
            tried.append("no metadata server answers")
        } else {
            tried.append("NO_GCE_CHECK turns the metadata server off")
        }
        throw .noCredentials(
            reason: tried.joined(separator: ", ")
                + "; name a credentials file in the configuration or in GOOGLE_APPLICATION_CREDENTIALS, or run "
                + "`gcloud auth application-default login`")
    }

    /// The variable, unless it is empty.
    private static func value(_ name: String, _ environment: [String: String]) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Secrets go over TLS, or stay on this machine.
    static func secureURL(_ url: String, member: String, path: String) throws(AuthError) -> String {
        guard let target = HTTPTarget(url: url), target.scheme == "https" || target.isLoopback else {
            throw .unreadableFile(path: path, reason: "\(member) is no https URL")
        }
        return url
    }
}
