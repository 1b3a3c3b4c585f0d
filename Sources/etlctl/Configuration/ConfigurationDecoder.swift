/// Turns the file's tree into a `Configuration`: the only place that knows both.
struct ConfigurationDecoder {
    typealias Key = ConfigurationKey

    let reader: ConfigurationReader
    let environment: [String: String]
    /// Absolute.
    let folder: String

    func decode(_ root: ConfigurationValue?, file: String) throws(Failure) -> Configuration {
        guard let root, !root.isNull else {
            throw reader.failure(
                at: "", line: nil, "the file is empty", hint: "Run `etlctl init` in an empty folder for an example.")
        }
        let sections = try ConfigurationSection(root, reader: reader)
        for entry in sections.entries where !Key.Root.all.contains(entry.name) {
            throw sections.unknown(entry, among: Key.Root.all)
        }
        let spool = try decodeSpool(section("spool", of: sections))
        guard sections.entry("destination") != nil else {
            throw reader.failure(
                at: "", line: 1, "the section \"destination\" is missing",
                hint: "Add destination: {project: ..., dataset: ...}.")
        }
        let destination = try decodeDestination(section("destination", of: sections))
        let sources = try decodeSources(section("sources", of: sections))
        let streams = try decodeStreams(section("streams", of: sections), sources: sources)
        try check(streams, destination: destination)
        return Configuration(
            file: file, displayName: reader.displayName, spool: spool, destination: destination, sources: sources,
            streams: streams, lines: reader.lines)
    }

    private func section(_ name: String, of root: ConfigurationSection) throws(Failure) -> ConfigurationSection {
        guard let entry = root.entry(name) else { return ConfigurationSection(missing: name, reader: reader) }
        return try ConfigurationSection(entry.value, reader: reader)
    }

    private func decodeSpool(_ section: ConfigurationSection) throws(Failure) -> SpoolConfiguration {
        try section.accept(Key.Spool.all)
        return SpoolConfiguration(
            path: resolve(try section.text(Key.Spool.path) ?? ""),
            maximumBytes: try section.bytes(Key.Spool.maxSize) ?? 0,
            keepDelivered: try section.duration(Key.Spool.keepDelivered),
            remote: try remote(in: section))
    }

    private func remote(in section: ConfigurationSection) throws(Failure) -> StoreConfiguration? {
        try section.text(Key.Spool.remote).map { text throws(Failure) in
            try store(text, at: Key.Spool.remote, in: section)
        }
    }

    private func decodeDestination(_ section: ConfigurationSection) throws(Failure) -> DestinationConfiguration {
        try section.accept(Key.Destination.all)
        let dataset = try section.requiredText(Key.Destination.dataset)
        guard dataset.unicodeScalars.allSatisfy(TableName.isPlain), dataset.utf8.count <= 1_024 else {
            throw section.failure(
                Key.Destination.dataset, "a dataset's id consists of letters, digits and _",
                hint: "Name the project under `project`.")
        }
        return DestinationConfiguration(
            project: try project(Key.Destination.project, in: section),
            dataset: dataset,
            location: try section.text(Key.Destination.location),
            credentials: try section.text(Key.Destination.credentials).map(resolve),
            endpoint: try endpoint(Key.Destination.endpoint, else: "BIGQUERY_EMULATOR_HOST", in: section) ?? .bigQuery,
            createsMissing: try section.flag(Key.Destination.create),
            schemaPolicy: try section.choice(Key.Destination.schema, as: SchemaPolicy.self) ?? .evolve,
            keepsLatestViews: try section.flag(Key.Destination.latestViews),
            maximumRowsPerRequest: Int(try section.number(Key.Destination.maxRowsPerRequest)),
            maximumRequestBytes: try section.bytes(Key.Destination.maxRequestSize) ?? 0,
            maximumInFlight: Int(try section.number(Key.Destination.maxInFlight)),
            rowsPerSecond: try section.number(Key.Destination.rowsPerSecond),
            verification: try section.choice(Key.Destination.verify, as: Verification.self) ?? .auto)
    }

    // MARK: Values that the environment or the file's folder completes

    func resolve(_ path: String) -> String {
        FilePaths.resolve(path, below: folder, home: environment["HOME"])
    }

    func variable(_ names: String...) -> String? {
        names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
    }

    func project(_ key: ConfigurationKey, in section: ConfigurationSection) throws(Failure) -> String {
        if let project = try section.text(key) {
            guard !project.contains(where: { $0 == "/" || $0.isWhitespace }) else {
                throw section.failure(key, "a project's id has no slashes or spaces")
            }
            return project
        }
        if let project = variable("GOOGLE_CLOUD_PROJECT") { return project }
        throw section.missing(key, hint: "Add it, or set GOOGLE_CLOUD_PROJECT.")
    }

    /// The file's endpoint, else the variable's.
    func endpoint(
        _ key: ConfigurationKey, else variable: String, in section: ConfigurationSection
    ) throws(Failure) -> Endpoint? {
        if let own = try endpoint(key, in: section) { return own }
        return try endpoint(variable: variable, for: key, in: section)
    }

    /// The file's endpoint.
    func endpoint(_ key: ConfigurationKey, in section: ConfigurationSection) throws(Failure) -> Endpoint? {
        guard let text = try section.givenText(key) else { return nil }
        // Only the variables may leave the scheme out.
        guard text.contains("://"), let endpoint = Endpoint(text) else {
            throw section.failure(key, "expected a URL such as http://127.0.0.1:9050, without user and query")
        }
        return endpoint
    }

    /// - Returns: nil where the variable is not set.
    func endpoint(
        variable name: String, for key: ConfigurationKey, in section: ConfigurationSection
    ) throws(Failure) -> Endpoint? {
        guard let text = variable(name) else { return nil }
        guard let endpoint = Endpoint(text) else {
            throw section.failure(
                key, "the environment variable \(name) holds no usable address",
                hint: "Set it to host:port or to a URL such as http://127.0.0.1:9050.")
        }
        return endpoint
    }
}
