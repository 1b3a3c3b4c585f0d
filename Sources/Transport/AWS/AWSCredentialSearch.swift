package import FoundationEssentials
import Glibc

extension AWSCredentialProvider {
    /// Finds an access key the way AWS' own libraries do (botocore's order): the environment, the profile's role, a web identity, the
    /// profile's keys, the container's and the instance's credentials. What is named but can't be used is an error, not a reason to look
    /// further. No secret is fetched yet; only the instance's metadata service is asked whether it is there.
    ///
    /// - Parameters:
    ///   - file: a shared-credentials file that alone counts.
    ///   - profile: a profile of the configuration; nil: `AWS_PROFILE`, else `default`. One that is not `AWS_PROFILE`'s comes before
    ///     the environment's keys.
    ///   - asksInstance: whether to look for the instance's metadata service, which takes seconds where none answers.
    /// - Throws: `noCredentials`, `unreadableFile`, `refused`, `unavailable`, `cancelled`.
    package static func resolve(
        file: String?, profile: String?, environment: [String: String], client: HTTPClient, asksInstance: Bool = true,
        now: @escaping @Sendable () -> Date = { Date() }
    ) async throws(AuthError) -> AWSCredentialProvider {
        let search = AWSCredentialSearch(
            environment: environment, service: TokenService(client: client, now: now), asksInstance: asksInstance)
        return try await search.run(file: file, profile: profile)
    }

    /// The region of the profile's configuration, where neither the configuration nor the environment names one.
    package static func region(profile: String?, environment: [String: String]) -> String? {
        let search = AWSCredentialSearch(
            environment: environment, service: TokenService(client: HTTPClient(), now: { Date() }), asksInstance: false)
        let name = profile ?? search.value("AWS_PROFILE") ?? "default"
        return (try? search.profiles())?[name]?["region"]
    }
}

struct AWSCredentialSearch: Sendable {
    let environment: [String: String]
    let service: TokenService
    let asksInstance: Bool

    /// Roles that assume roles: more than anybody has, and an end to circles.
    private static let maximumRoles = 5

    func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

    func run(file: String?, profile: String?) async throws(AuthError) -> AWSCredentialProvider {
        if let file {
            var profiles = AWSProfiles()
            try profiles.read(file, isConfiguration: false)
            let name = profile ?? value("AWS_PROFILE") ?? "default"
            guard let found = profiles[name] else {
                throw .unreadableFile(path: file, reason: "it has no profile [\(name)]")
            }
            return try provider(found, name: name, among: profiles, file: file)
        }
        let named = value("AWS_PROFILE")
        let isOwnChoice = profile != nil && profile != named
        if !isOwnChoice, let keys = environmentKeys() { return keys }
        let profiles = try profiles()
        let name = profile ?? named ?? "default"
        let found = profiles[name]
        if found == nil, profile != nil || named != nil {
            throw .unreadableFile(
                path: credentialsFile ?? "~/.aws/credentials",
                reason: "neither it nor the configuration file has a profile \(name)")
        }
        if isOwnChoice || found?["role_arn"] != nil, let found {
            return try provider(found, name: name, among: profiles, file: credentialsFile ?? "")
        }
        if let identity = try webIdentity() { return identity }
        if let found, Self.hasCredentials(found) {
            return try provider(found, name: name, among: profiles, file: credentialsFile ?? "")
        }
        if let container = try ContainerCredentials(self) { return container.provider }
        var tried = [
            "AWS_ACCESS_KEY_ID is not set",
            "no profile \(name) with keys in \(credentialsFile ?? "~/.aws/credentials")",
            "no container credentials",
        ]
        if environment["AWS_EC2_METADATA_DISABLED"]?.lowercased() == "true" {
            tried.append("AWS_EC2_METADATA_DISABLED turns the instance's off")
        } else if asksInstance {
            let instance = InstanceCredentials(self)
            if try await instance.isPresent() { return instance.provider }
            tried.append("no instance metadata service answers")
        }
        throw .noCredentials(
            reason: tried.joined(separator: ", ")
                + "; name a shared-credentials file in the configuration, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    }

    // MARK: Places

    private func environmentKeys() -> AWSCredentialProvider? {
        guard let id = value("AWS_ACCESS_KEY_ID"), let secret = value("AWS_SECRET_ACCESS_KEY") else { return nil }
        let token = value("AWS_SESSION_TOKEN") ?? value("AWS_SECURITY_TOKEN")
        return AWSCredentialProvider(
            AWSCredentials(accessKeyID: id, secretAccessKey: secret, sessionToken: token),
            place: "AWS_ACCESS_KEY_ID of the environment")
    }

    private var home: String? { value("HOME") }

    private var credentialsFile: String? {
        value("AWS_SHARED_CREDENTIALS_FILE") ?? home.map { "\($0)/.aws/credentials" }
    }

    private var configurationFile: String? { value("AWS_CONFIG_FILE") ?? home.map { "\($0)/.aws/config" } }

    /// The profiles of both files; one that is not there is no error.
    func profiles() throws(AuthError) -> AWSProfiles {
        var profiles = AWSProfiles()
        if let path = credentialsFile, access(path, F_OK) == 0 { try profiles.read(path, isConfiguration: false) }
        if let path = configurationFile, access(path, F_OK) == 0 { try profiles.read(path, isConfiguration: true) }
        return profiles
    }

    private static let unsupported = ["sso_session", "sso_start_url", "credential_process", "login_session"]

    private static func hasCredentials(_ profile: AWSProfiles.Profile) -> Bool {
        (["aws_access_key_id", "role_arn"] + unsupported).contains { profile[$0] != nil }
    }

    private func webIdentity() throws(AuthError) -> AWSCredentialProvider? {
        guard let file = value("AWS_WEB_IDENTITY_TOKEN_FILE"), let role = value("AWS_ROLE_ARN") else { return nil }
        let tokens = SecurityTokenService(self, region: nil)
        let session = value("AWS_ROLE_SESSION_NAME")
        return provider(place: "the role \(role) by AWS_WEB_IDENTITY_TOKEN_FILE", region: nil) {
            () async throws(AuthError) in
            try await tokens.assumeRole(role, session: session, identityFile: file)
        }
    }

    // MARK: Profiles

    private func provider(
        _ profile: AWSProfiles.Profile, name: String, among profiles: AWSProfiles, file: String, depth: Int = 0
    ) throws(AuthError) -> AWSCredentialProvider {
        func refusal(_ reason: String) -> AuthError {
            .unreadableFile(path: file, reason: "its profile \(name) \(reason)")
        }
        let region = profile["region"]
        // A profile that names itself as its source means its own keys.
        if let role = profile["role_arn"], !(depth > 0 && profile["source_profile"] == name) {
            guard depth < Self.maximumRoles else { throw refusal("assumes roles in a circle") }
            guard profile["mfa_serial"] == nil else { throw refusal("needs a one-time code (mfa_serial)") }
            let tokens = SecurityTokenService(self, region: region)
            let session = profile["role_session_name"]
            let place = "the role \(role) of profile \(name)"
            if let identity = profile["web_identity_token_file"] {
                return provider(place: place, region: region) { () async throws(AuthError) in
                    try await tokens.assumeRole(role, session: session, identityFile: identity)
                }
            }
            let source: AWSCredentialProvider
            if let sourceName = profile["source_profile"] {
                guard let other = profiles[sourceName] else {
                    throw refusal("names the source_profile \(sourceName), which does not exist")
                }
                source = try provider(other, name: sourceName, among: profiles, file: file, depth: depth + 1)
            } else {
                source = try credentialSource(profile["credential_source"], refusal: refusal)
            }
            let externalID = profile["external_id"]
            return provider(place: place, region: region) { () async throws(AuthError) in
                try await tokens.assumeRole(
                    role, session: session, externalID: externalID, by: try await source.credentials())
            }
        }
        if let id = profile["aws_access_key_id"], let secret = profile["aws_secret_access_key"] {
            let keys = AWSCredentials(
                accessKeyID: id, secretAccessKey: secret, sessionToken: profile["aws_session_token"])
            guard keys.isUsable else { throw refusal("has an access key with characters that no key has") }
            return AWSCredentialProvider(keys, place: "profile \(name) of \(file)", region: region)
        }
        if let name = Self.unsupported.first(where: { profile[$0] != nil }) {
            throw refusal(
                "gets its keys by \(name), which is not supported: export them with `aws configure export-credentials`")
        }
        throw refusal("has no aws_access_key_id and aws_secret_access_key")
    }

    private func credentialSource(
        _ source: String?, refusal: (String) -> AuthError
    ) throws(AuthError) -> AWSCredentialProvider {
        switch source {
        case "Environment":
            if let keys = environmentKeys() { return keys }
        case "EcsContainer":
            if let container = try ContainerCredentials(self) { return container.provider }
        case "Ec2InstanceMetadata":
            return InstanceCredentials(self).provider
        default:
            throw refusal("has a role_arn without a source_profile or credential_source")
        }
        throw refusal("takes its keys from \(source ?? ""), where there are none")
    }

    func provider(
        place: String, region: String?, fetch: @escaping ExpiringCache<AWSCredentials>.Fetch
    ) -> AWSCredentialProvider {
        AWSCredentialProvider(place: place, region: region, now: service.now, fetch: fetch)
    }
}
