/// A key the decoder accepts, with the form of its value: data, so that the JSON Schema and the docs can be held to it.
struct ConfigurationKey: Sendable, Equatable {
    enum Value: Sendable, Equatable {
        case text
        case flag
        case choice([String])
        case number(ClosedRange<Int64>)
        case duration
        case size(ClosedRange<Int64>)
        /// A size, or a plain number of bytes.
        case bytes(ClosedRange<Int64>)
        /// A duration, or a plain number in the watermark's own unit.
        case lookback
        case texts
        case textMap
        case typeMap
    }

    let name: String
    let value: Value
    /// The default as it would stand in the file; nil where there is none or it depends on something else.
    let defaultText: String?
    let isRequired: Bool
    /// The source types it belongs to.
    let kinds: [SourceKind]

    init(
        _ name: String, _ value: Value, default defaultText: String? = nil, required: Bool = false,
        only kinds: [SourceKind] = SourceKind.allCases
    ) {
        self.name = name
        self.value = value
        self.defaultText = defaultText
        isRequired = required
        self.kinds = kinds
    }
}

extension ConfigurationKey {
    /// Beyond any use; keeps sums of bytes and counts far from overflow.
    static let unbounded: Int64 = 1 << 53
    private static let mebibyte: Int64 = 1 << 20

    enum Root {
        static let all = ["spool", "destination", "sources", "streams"]
    }

    enum Spool {
        static let path = ConfigurationKey("path", .text, default: "var/spool.sqlite")
        static let maxSize = ConfigurationKey("max_size", .size(1...unbounded), default: "20GiB")
        static let keepDelivered = ConfigurationKey("keep_delivered", .duration, default: "7d")
        static let remote = ConfigurationKey("remote", .text)

        static let all = [path, maxSize, keepDelivered, remote]
    }

    enum Destination {
        static let project = ConfigurationKey("project", .text)
        static let dataset = ConfigurationKey("dataset", .text, required: true)
        static let location = ConfigurationKey("location", .text)
        static let credentials = ConfigurationKey("credentials", .text)
        static let endpoint = ConfigurationKey("endpoint", .text, default: "https://bigquery.googleapis.com")
        static let create = ConfigurationKey("create", .flag, default: "true")
        static let schema = ConfigurationKey(
            "schema", .choice(SchemaPolicy.allCases.map(\.rawValue)), default: "evolve")
        static let latestViews = ConfigurationKey("latest_views", .flag, default: "true")
        static let maxRowsPerRequest = ConfigurationKey("max_rows_per_request", .number(1...50_000), default: "500")
        static let maxRequestSize = ConfigurationKey(
            "max_request_size", .size(1_024...9 * mebibyte), default: "5MiB")
        static let maxInFlight = ConfigurationKey("max_in_flight", .number(1...256), default: "8")
        static let rowsPerSecond = ConfigurationKey("rows_per_second", .number(0...unbounded), default: "0")
        static let verify = ConfigurationKey(
            "verify", .choice(Verification.allCases.map(\.rawValue)), default: "auto")

        static let all = [
            project, dataset, location, credentials, endpoint, create, schema, latestViews, maxRowsPerRequest,
            maxRequestSize, maxInFlight, rowsPerSecond, verify,
        ]
    }

    enum Source {
        static let type = ConfigurationKey("type", .choice(SourceKind.allCases.map(\.rawValue)), required: true)
        static let project = ConfigurationKey("project", .text, only: [.firestore, .bigquery])
        static let database = ConfigurationKey("database", .text, default: "(default)", only: [.firestore])
        static let url = ConfigurationKey("url", .text, only: [.postgres, .mysql, .files])
        static let statementTimeout = ConfigurationKey(
            "statement_timeout", .duration, default: "0", only: [.postgres, .mysql])
        static let lockTimeout = ConfigurationKey(
            "lock_timeout", .duration, default: "30s", only: [.postgres, .mysql])
        static let location = ConfigurationKey("location", .text, only: [.bigquery])
        static let maxBytesBilled = ConfigurationKey(
            "max_bytes_billed", .bytes(1...unbounded), only: [.bigquery])
        static let region = ConfigurationKey("region", .text, only: [.files])
        static let profile = ConfigurationKey("profile", .text, only: [.files])
        static let credentials = ConfigurationKey("credentials", .text)
        static let endpoint = ConfigurationKey("endpoint", .text, only: [.firestore, .bigquery, .files])

        static let all = [
            type, project, database, url, statementTimeout, lockTimeout, location, maxBytesBilled, region, profile,
            credentials, endpoint,
        ]
    }

    enum Stream {
        private static let queryable: [SourceKind] = [.postgres, .mysql, .bigquery]

        static let source = ConfigurationKey("source", .text, required: true)
        static let from = ConfigurationKey("from", .text)
        static let query = ConfigurationKey("query", .text, only: queryable)
        static let mode = ConfigurationKey("mode", .choice(StreamMode.allCases.map(\.rawValue)))
        static let watermark = ConfigurationKey("watermark", .text)
        static let key = ConfigurationKey("key", .texts, only: queryable + [.files])
        static let table = ConfigurationKey("table", .text)
        static let columns = ConfigurationKey("columns", .texts)
        static let exclude = ConfigurationKey("exclude", .texts)
        static let rename = ConfigurationKey("rename", .textMap)
        static let types = ConfigurationKey("types", .typeMap)
        static let nested = ConfigurationKey(
            "nested", .choice(NestedForm.allCases.map(\.rawValue)), default: "string")
        static let lookback = ConfigurationKey("lookback", .lookback)
        static let parallel = ConfigurationKey("parallel", .number(1...64), default: "1")
        static let generation = ConfigurationKey("generation", .number(0...unbounded), default: "0")
        static let maxReads = ConfigurationKey("max_reads", .number(0...unbounded), default: "0")
        static let format = ConfigurationKey(
            "format", .choice(FileFormat.allCases.map(\.rawValue)), only: [.files])
        static let delimiter = ConfigurationKey("delimiter", .text, default: ",", only: [.files])
        static let quote = ConfigurationKey("quote", .text, default: "\"", only: [.files])
        static let header = ConfigurationKey("header", .flag, default: "true", only: [.files])
        static let encoding = ConfigurationKey("encoding", .text, default: "utf-8", only: [.files])
        static let nulls = ConfigurationKey("nulls", .texts, only: [.files])
        static let onBadRow = ConfigurationKey(
            "on_bad_row", .choice(BadRowPolicy.allCases.map(\.rawValue)), default: "reject", only: [.files])

        static let all = [
            source, from, query, mode, watermark, key, table, columns, exclude, rename, types, nested, lookback,
            parallel, generation, maxReads, format, delimiter, quote, header, encoding, nulls, onBadRow,
        ]
    }
}
