package import FoundationEssentials
import Glibc

extension AzureAccount {
    /// Finds what the account is read by: a file with a connection string, `AZURE_STORAGE_CONNECTION_STRING`, `AZURE_STORAGE_KEY`,
    /// `AZURE_STORAGE_SAS_TOKEN` (as the `az` command has them), a service principal or workload identity (`AZURE_TENANT_ID` and the
    /// like), the machine's managed identity. Where there is nothing, reading goes on without credentials: containers may be public.
    ///
    /// - Parameters:
    ///   - file: holds a connection string; then it alone counts.
    ///   - asksInstance: whether to look for the instance's metadata service, which takes seconds where none answers.
    /// - Throws: `unreadableFile` for credentials that are of another account or can't be read; `cancelled`.
    package static func resolve(
        account: String, file: String?, environment: [String: String], client: HTTPClient, asksInstance: Bool = true,
        now: @escaping @Sendable () -> Date = { Date() }
    ) async throws(AuthError) -> AzureAccount {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        if let file {
            switch readFile(file, maximumBytes: 64 << 10) {
            case .success(let bytes): return try parse(String(decoding: bytes, as: UTF8.self), account, place: file)
            case .failure(let failure): throw .unreadableFile(path: file, reason: failure.reason)
            }
        }
        if let text = value("AZURE_STORAGE_CONNECTION_STRING") {
            return try parse(text, account, place: "AZURE_STORAGE_CONNECTION_STRING")
        }
        // Variables of another account are for other commands.
        let isSame = value("AZURE_STORAGE_ACCOUNT").map { $0 == account } ?? true
        if isSame, let text = value("AZURE_STORAGE_KEY") {
            guard let key = AzureCredentials.sharedKey(account: account, base64: text) else {
                throw .unreadableFile(path: "AZURE_STORAGE_KEY", reason: "it is no base64")
            }
            return AzureAccount(credentials: key, place: "AZURE_STORAGE_KEY")
        }
        if isSame, let token = value("AZURE_STORAGE_SAS_TOKEN") {
            let query = token.hasPrefix("?") ? String(token.dropFirst()) : token
            return AzureAccount(credentials: .sharedAccessSignature(query), place: "AZURE_STORAGE_SAS_TOKEN")
        }
        let identity = AzureIdentity(environment: environment, service: TokenService(client: client, now: now))
        if let (tokens, place) = try await identity.provider(asksInstance: asksInstance) {
            return AzureAccount(credentials: .token(tokens), place: place)
        }
        return AzureAccount(
            credentials: .anonymous, place: "nowhere",
            anonymousBecause: "AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY and AZURE_STORAGE_SAS_TOKEN are not "
                + "set, and there is no managed identity; name a file with a connection string in the configuration")
    }

    private static func parse(_ text: String, _ account: String, place: String) throws(AuthError) -> AzureAccount {
        let string = AzureConnectionString(text)
        if let name = string.accountName, name != account {
            throw .unreadableFile(path: place, reason: "it is for the account \(name), not \(account)")
        }
        guard let credentials = string.credentials(account: account) else {
            throw .unreadableFile(
                path: place,
                reason: "it is no connection string with an AccountKey in base64 or a SharedAccessSignature")
        }
        return AzureAccount(credentials: credentials, endpoint: string.endpoint(account: account), place: place)
    }
}

/// Tokens of Microsoft Entra ID for storage.
struct AzureIdentity: Sendable {
    private static let resource = "https://storage.azure.com/"
    /// How long an instance's service is waited for; elsewhere the address leads nowhere.
    private static let probeTimeout = Duration.seconds(2)

    let environment: [String: String]
    let service: TokenService

    private func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// In the order of Azure's own libraries: the environment's service principal, the workload's identity, the managed identity.
    ///
    /// - Returns: nil where there is none.
    func provider(asksInstance: Bool) async throws(AuthError) -> (tokens: any TokenProvider, place: String)? {
        if let tenant = value("AZURE_TENANT_ID"), let client = value("AZURE_CLIENT_ID") {
            let authority = value("AZURE_AUTHORITY_HOST") ?? "https://login.microsoftonline.com/"
            let url =
                (authority.hasSuffix("/") ? authority : authority + "/") + PercentEncoding.encode(tenant)
                + "/oauth2/v2.0/token"
            guard let target = HTTPTarget(url: url), target.scheme == "https" || target.isLoopback else {
                throw .unreadableFile(path: "AZURE_AUTHORITY_HOST", reason: "it is no https URL")
            }
            if let secret = value("AZURE_CLIENT_SECRET") {
                return principal(client, "the service principal \(client)") { () async throws(AuthError) in
                    TokenService.form(
                        [
                            "grant_type": "client_credentials", "client_id": client, "client_secret": secret,
                            "scope": Self.resource + ".default",
                        ], to: url)
                } secrets: {
                    [secret]
                }
            }
            if let file = value("AZURE_FEDERATED_TOKEN_FILE") {
                return principal(client, "the workload identity \(client)") { () async throws(AuthError) in
                    TokenService.form(
                        [
                            "grant_type": "client_credentials", "client_id": client,
                            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                            "client_assertion": try Self.read(file), "scope": Self.resource + ".default",
                        ], to: url)
                } secrets: {
                    []
                }
            }
        }
        guard let request = try await managedIdentity(asksInstance: asksInstance) else { return nil }
        return principal("this machine", "the managed identity") { () async throws(AuthError) in
            request
        } secrets: {
            []
        }
    }

    private static func read(_ path: String) throws(AuthError) -> String {
        switch readFile(path, maximumBytes: 64 << 10) {
        case .success(let bytes): return String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        case .failure(let failure): throw .unreadableFile(path: path, reason: failure.reason)
        }
    }

    private func principal(
        _ name: String, _ place: String, _ request: @escaping @Sendable () async throws(AuthError) -> HTTPRequest,
        secrets: @escaping @Sendable () -> [String]
    ) -> (tokens: any TokenProvider, place: String) {
        let tokens = CachedTokens(principal: { name }, now: service.now) { [service] () async throws(AuthError) in
            try await service.token(try await request(), principal: name, secrets: secrets())
        }
        return (tokens, place)
    }

    /// App Service and Container Apps name an address in the environment; virtual machines and AKS have the instance metadata service.
    private func managedIdentity(asksInstance: Bool) async throws(AuthError) -> HTTPRequest? {
        let client = value("AZURE_CLIENT_ID")
        if let endpoint = value("IDENTITY_ENDPOINT"), let header = value("IDENTITY_HEADER") {
            let query = PercentEncoding.query([
                "api-version": "2019-08-01", "resource": Self.resource, "client_id": client,
            ])
            return HTTPRequest(.get, "\(endpoint)?\(query)", headers: [HTTPHeader("X-IDENTITY-HEADER", header)])
        }
        let host = value("AZURE_POD_IDENTITY_AUTHORITY_HOST") ?? "http://169.254.169.254"
        guard asksInstance || value("AZURE_POD_IDENTITY_AUTHORITY_HOST") != nil else { return nil }
        let query = PercentEncoding.query([
            "api-version": "2018-02-01", "resource": Self.resource, "client_id": client,
        ])
        let url = "\(host)/metadata/identity/oauth2/token"
        // Without its header the service refuses, which shows that it is there, and costs no token.
        let probe = HTTPRequest(
            .get, url,
            timeouts: HTTPTimeouts(
                connect: Self.probeTimeout, silence: Self.probeTimeout, total: Self.probeTimeout))
        do throws(HTTPError) {
            let response = try await service.client.send(probe, maximumResponseBytes: TokenService.maximumResponseBytes)
            guard response.status == 400 else { return nil }
        } catch {
            if error.kind == .cancelled { throw .cancelled }
            return nil
        }
        return HTTPRequest(.get, "\(url)?\(query)", headers: [HTTPHeader("Metadata", "true")])
    }
}
