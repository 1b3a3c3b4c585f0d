/// Folders and buckets: what a text names, completed by the SDKs' variables.
extension ConfigurationDecoder {
    /// - Parameter endpoint: the file's, which comes before any variable.
    /// - Returns: the store with its URL absolute, with its scheme and a slash at the end. A plain path is a folder.
    func store(
        _ text: String, at key: ConfigurationKey, endpoint: Endpoint? = nil, in section: ConfigurationSection
    ) throws(Failure) -> StoreConfiguration {
        guard let (store, url) = storeURL(text) else {
            throw section.failure(
                key, "expected a path, file:///dir/, gs://bucket/, s3://bucket/ or az://account/container/",
                hint: "Credentials do not belong into the URL: use `credentials` or the environment.")
        }
        var configuration = StoreConfiguration(
            store: store, url: url.hasSuffix("/") ? url : url + "/", region: nil, profile: nil, credentials: nil,
            endpoint: endpoint)
        if store == .s3 {
            configuration.region = variable("AWS_REGION", "AWS_DEFAULT_REGION")
            configuration.profile = variable("AWS_PROFILE")
        }
        for name in Self.endpointVariables[store] ?? [] where configuration.endpoint == nil {
            configuration.endpoint = try self.endpoint(variable: name, for: key, in: section)
        }
        return configuration
    }

    private static let endpointVariables: [StoreConfiguration.Store: [String]] = [
        .googleCloudStorage: ["STORAGE_EMULATOR_HOST"], .s3: ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"],
    ]

    private func storeURL(_ text: String) -> (store: StoreConfiguration.Store, url: String)? {
        guard let separator = text.firstRange(of: "://") else { return (.local, "file://" + resolve(text)) }
        let rest = text[separator.upperBound...]
        guard let store = StoreConfiguration.Store(rawValue: text[..<separator.lowerBound].lowercased()) else {
            return nil
        }
        if store == .local {
            // `file://localhost/dir` is the same as `file:///dir`.
            let path = rest.hasPrefix("localhost/") ? rest.dropFirst("localhost".count) : rest
            return path.hasPrefix("/") ? (.local, "file://" + resolve(String(path))) : nil
        }
        let parts = rest.split(separator: "/")
        guard !rest.hasPrefix("/"), parts.count >= (store == .azure ? 2 : 1),
            // A user or a signature would be a secret in a place that is shown.
            !parts[0].contains("@"), !rest.contains("?")
        else { return nil }
        return (store, "\(store.rawValue)://\(parts.joined(separator: "/"))")
    }
}
