import Extract

/// The configuration file, read once and resolved: everything typed, defaults filled in, paths absolute.
struct Configuration: Sendable, Equatable {
    /// Absolute path of the file.
    var file: String
    /// The file as the user named it, for messages.
    var displayName: String
    var spool: SpoolConfiguration
    var destination: DestinationConfiguration
    var sources: [String: SourceConfiguration]
    /// In the order of the file.
    var streams: [StreamConfiguration]
    /// The line of every key that stands in the file, by its dotted path (`streams.memos.from`).
    var lines: [String: Int]

    /// The folder that relative paths of the file start from.
    var folder: String { FilePaths.parent(of: file) }

    /// The stream of that name, if it is configured.
    func stream(named name: String) -> StreamConfiguration? { streams.first { $0.name == name } }

    /// The source a stream reads. The loader has checked that it exists.
    func source(of stream: StreamConfiguration) -> SourceConfiguration? { sources[stream.source] }

    /// A configuration error (exit 78) that names the file, the key and its line, for what turns out to be wrong only
    /// when it is used: a table or column that doesn't exist, credentials that can't be read.
    ///
    /// - Parameter path: dotted, such as `streams.memos.from`. A key that is absent takes the line of what it belongs to.
    func failure(at path: String, _ problem: String, hint: String? = nil) -> Failure {
        .located(file: displayName, path: path, line: line(of: path), problem, hint: hint)
    }

    /// What went wrong while a stream was read, with the place of the key that is at fault: `... (etl.yaml: streams.memos.watermark, line 9)`.
    func located(_ error: any Error, reading stream: StreamConfiguration) -> any Error {
        guard let failure = error as? ExtractError, let place = failure.place else { return error }
        let path =
            switch place {
            case .stream(let key): "streams.\(stream.name).\(key)"
            case .source(let key): "sources.\(stream.source).\(key)"
            }
        return Failure(describing: failure).appending(mention(of: path))
    }

    /// ` (etl.yaml: destination.credentials, line 4)`, behind a message.
    func mention(of path: String) -> String {
        " (\(displayName): \(path)\(line(of: path).map { ", line \($0)" } ?? ""))"
    }

    /// A key that is absent takes the line of what it belongs to.
    private func line(of path: String) -> Int? {
        var place = path
        while lines[place] == nil, let dot = place.lastIndex(of: ".") { place = String(place[..<dot]) }
        return lines[place]
    }

    /// The streams a command works on, in the file's order; all of them where none is named.
    ///
    /// - Throws: a usage error (64) for a name that is not configured.
    func streams(named names: [String]) throws(Failure) -> [StreamConfiguration] {
        for name in names where stream(named: name) == nil {
            let known = streams.map(\.name)
            let nearest = NearestName.of(name, among: known).map { "Did you mean \"\($0)\"? " } ?? ""
            throw .usage(
                "No stream \"\(name)\" is configured in \(displayName).",
                hint: nearest
                    + (known.isEmpty
                        ? "The file configures no streams." : "Configured: \(known.joined(separator: ", "))."))
        }
        return names.isEmpty ? streams : streams.filter { names.contains($0.name) }
    }

    /// What must never be printed: the passwords in the sources' URLs.
    var secrets: [SecretString] { sources.values.flatMap(\.secrets) }
}

/// `spool:`, the SQLite file between the two halves.
struct SpoolConfiguration: Sendable, Equatable {
    /// Absolute.
    var path: String
    /// `extract` waits at this many bytes of used pages.
    var maximumBytes: Int64
    /// Delivered rows older than this are removed and only counted.
    var keepDelivered: Duration
    /// Where a copy is kept for machines whose disks don't last.
    var remote: StoreConfiguration?
}

/// `destination:`, BigQuery.
struct DestinationConfiguration: Sendable, Equatable {
    var project: String
    var dataset: String
    /// Used when the dataset is created.
    var location: String?
    /// Absolute path of a JSON key file; nil means Application Default Credentials, or none for a loopback endpoint.
    var credentials: String?
    var endpoint: Endpoint
    /// Create dataset, tables and views that are missing.
    var createsMissing: Bool
    var schemaPolicy: SchemaPolicy
    var keepsLatestViews: Bool
    var maximumRowsPerRequest: Int
    var maximumRequestBytes: Int64
    /// Requests at once.
    var maximumInFlight: Int
    /// 0: no limit of ours.
    var rowsPerSecond: Int64
    var verification: Verification
}

/// What happens to a field that has no column yet.
enum SchemaPolicy: String, Sendable, Equatable, CaseIterable {
    /// Columns are added.
    case evolve
    /// New fields go to `_rescued`.
    case freeze
}

/// Whether BigQuery is asked which rows in doubt have arrived.
enum Verification: String, Sendable, Equatable, CaseIterable {
    case auto
    case never
}
