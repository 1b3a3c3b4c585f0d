extension ConfigurationDecoder {
    func decodeSources(_ section: ConfigurationSection) throws(Failure) -> [String: SourceConfiguration] {
        var sources: [String: SourceConfiguration] = [:]
        for entry in section.entries {
            let source = try ConfigurationSection(entry.value, reader: reader)
            sources[entry.name] = try decodeSource(source)
        }
        return sources
    }

    private func decodeSource(_ section: ConfigurationSection) throws(Failure) -> SourceConfiguration {
        guard let kind = try section.choice(Key.Source.type, as: SourceKind.self) else {
            throw section.missing(
                Key.Source.type, hint: "One of \(SourceKind.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        try section.accept(Key.Source.all, for: kind)
        let credentials = try section.text(Key.Source.credentials).map(resolve)
        switch kind {
        case .firestore:
            return .firestore(
                FirestoreSourceConfiguration(
                    project: try project(Key.Source.project, in: section),
                    database: try section.text(Key.Source.database) ?? "",
                    credentials: credentials,
                    endpoint: try endpoint(Key.Source.endpoint, else: "FIRESTORE_EMULATOR_HOST", in: section)
                        ?? .firestore))
        case .postgres:
            return .postgres(
                try database(section, credentials: credentials, schemes: ["postgres", "postgresql"]))
        case .mysql:
            return .mysql(try database(section, credentials: credentials, schemes: ["mysql", "mariadb"]))
        case .bigquery:
            return .bigquery(
                BigQuerySourceConfiguration(
                    project: try project(Key.Source.project, in: section),
                    location: try section.text(Key.Source.location),
                    maximumBytesBilled: try section.bytes(Key.Source.maxBytesBilled),
                    credentials: credentials,
                    endpoint: try endpoint(Key.Source.endpoint, else: "BIGQUERY_EMULATOR_HOST", in: section)
                        ?? .bigQuery))
        case .files:
            return .files(try files(section, credentials: credentials))
        }
    }

    /// Messages never quote the URL: it can hold a password.
    private func database(
        _ section: ConfigurationSection, credentials: String?, schemes: [String]
    ) throws(Failure) -> DatabaseSourceConfiguration {
        let example = "\(schemes[0])://user@host/database"
        let text = try section.text(Key.Source.url) ?? libpqDefault(schemes: schemes)
        guard let text else { throw section.missing(Key.Source.url, hint: "Add url: \"\(example)\".") }
        guard let url = ConnectionURL(text, environment: environment),
            schemes.contains(where: { url.safeURL.hasPrefix("\($0)://") })
        else {
            throw section.failure(Key.Source.url, "expected a URL such as \(example)")
        }
        return DatabaseSourceConfiguration(
            url: url,
            statementTimeout: try section.duration(Key.Source.statementTimeout),
            lockTimeout: try section.duration(Key.Source.lockTimeout),
            credentials: credentials)
    }

    /// libpq knows a server without any URL where its variables name one.
    private func libpqDefault(schemes: [String]) -> String? {
        guard schemes.contains("postgres") else { return nil }
        return variable("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE") == nil ? nil : "postgres://"
    }

    private func files(_ section: ConfigurationSection, credentials: String?) throws(Failure) -> StoreConfiguration {
        let text = try section.requiredText(Key.Source.url, hint: "Add url: \"gs://bucket/folder/\" or a path.")
        let ownEndpoint = try endpoint(Key.Source.endpoint, in: section)
        var store = try store(text, at: Key.Source.url, endpoint: ownEndpoint, in: section)
        if store.store != .s3 {
            for key in [Key.Source.region, Key.Source.profile] where section.entry(key.name) != nil {
                throw section.failure(key, "the key \"\(key.name)\" belongs to s3:// URLs", hint: "Remove the key.")
            }
        }
        store.region = try section.text(Key.Source.region) ?? store.region
        store.profile = try section.text(Key.Source.profile) ?? store.profile
        store.credentials = credentials
        return store
    }
}
