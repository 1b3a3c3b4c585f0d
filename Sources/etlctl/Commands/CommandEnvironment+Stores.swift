import Extract
import Transport

/// The stores that hold a files source's objects, with their credentials.
extension CommandEnvironment {
    func objectStore(_ files: StoreConfiguration) async throws -> any ObjectStore {
        try await store(files, writes: false)
    }

    /// Where the spool's copy is kept.
    func remoteStore(_ place: StoreConfiguration) async throws -> any WritableStore {
        try await store(place, writes: true)
    }

    private func store(_ files: StoreConfiguration, writes: Bool) async throws -> any WritableStore {
        switch files.store {
        case .local: return LocalStore(folder: String(files.url.dropFirst("file://".count)))
        case .googleCloudStorage: return try await googleCloudStore(files, writes: writes)
        case .s3: return try await s3Store(files)
        case .azure: return try await azureStore(files)
        }
    }

    private func googleCloudStore(_ files: StoreConfiguration, writes: Bool) async throws -> GoogleCloudStore {
        var tokens: (any TokenProvider)?
        var anonymousBecause: String?
        // An emulator takes anything.
        if files.credentials != nil || !(files.endpoint?.isLoopback ?? false) {
            do throws(AuthError) {
                tokens = try await GoogleCredentials.resolve(
                    file: files.credentials, scopes: writes ? GoogleCloudStore.writingScopes : GoogleCloudStore.scopes,
                    environment: context.environment, client: http)
            } catch {
                // Buckets may be public: what is not says so, and then the reason is told.
                guard case .noCredentials(let reason) = error else { throw error }
                anonymousBecause = reason
            }
        }
        return try GoogleCloudStore(
            url: files.url, endpoint: files.endpoint?.url, http: AuthorizedClient(client: http, tokens: tokens),
            anonymousBecause: anonymousBecause)
    }

    private func s3Store(_ files: StoreConfiguration) async throws -> S3Store {
        var credentials: AWSCredentialProvider?
        var anonymousBecause: String?
        do throws(AuthError) {
            credentials = try await AWSCredentialProvider.resolve(
                file: files.credentials, profile: files.profile, environment: context.environment, client: http,
                asksInstance: !(files.endpoint?.isLoopback ?? false))
        } catch {
            guard case .noCredentials(let reason) = error else { throw error }
            anonymousBecause = reason
        }
        let region =
            files.region ?? credentials?.region
            ?? AWSCredentialProvider.region(profile: files.profile, environment: context.environment)
        return try S3Store(
            url: files.url, endpoint: files.endpoint?.url, region: region, credentials: credentials, client: http,
            anonymousBecause: anonymousBecause)
    }

    private func azureStore(_ files: StoreConfiguration) async throws -> AzureBlobStore {
        let account = try await AzureAccount.resolve(
            account: try AzureBlobStore.account(of: files.url), file: files.credentials,
            environment: context.environment, client: http, asksInstance: !(files.endpoint?.isLoopback ?? false))
        return try AzureBlobStore(url: files.url, endpoint: files.endpoint?.url, account: account, client: http)
    }
}
