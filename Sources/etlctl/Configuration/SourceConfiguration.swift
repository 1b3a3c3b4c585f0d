/// The type of a source, as `type:` names it.
enum SourceKind: String, Sendable, Equatable, CaseIterable {
    case firestore
    case postgres
    case mysql
    case bigquery
    case files
}

/// One entry of `sources:`.
enum SourceConfiguration: Sendable, Equatable {
    case firestore(FirestoreSourceConfiguration)
    case postgres(DatabaseSourceConfiguration)
    case mysql(DatabaseSourceConfiguration)
    case bigquery(BigQuerySourceConfiguration)
    case files(StoreConfiguration)

    var kind: SourceKind {
        switch self {
        case .firestore: .firestore
        case .postgres: .postgres
        case .mysql: .mysql
        case .bigquery: .bigquery
        case .files: .files
        }
    }

    /// Absolute path of the credentials file, if one is configured.
    var credentials: String? {
        switch self {
        case .firestore(let source): source.credentials
        case .postgres(let source), .mysql(let source): source.credentials
        case .bigquery(let source): source.credentials
        case .files(let source): source.credentials
        }
    }

    /// What the source is, for people: never a password.
    var description: String {
        switch self {
        case .firestore(let source): "Firestore \(source.project)/\(source.database)"
        case .postgres(let source): "PostgreSQL \(source.url.safeURL)"
        case .mysql(let source): "MySQL \(source.url.safeURL)"
        case .bigquery(let source): "BigQuery \(source.project)"
        case .files(let source): "files below \(source.url)"
        }
    }

    /// The system rows come from, in one spelling: a position is kept for this. Another user, password or option of the
    /// connection is the same system; another database, host, project or folder is another.
    var identity: String {
        switch self {
        case .firestore(let source):
            "firestore://\(source.endpoint.isLoopback ? "loopback/" : "")\(source.project)/\(source.database)"
        case .postgres(let source), .mysql(let source): source.url.target
        case .bigquery(let source): "bigquery://\(source.endpoint.isLoopback ? "loopback/" : "")\(source.project)"
        // A store of the same name elsewhere is another one.
        case .files(let source): source.url + (source.endpoint.map { "?endpoint=\($0.identity)" } ?? "")
        }
    }

    /// Whether its credentials are Google's.
    var isGoogle: Bool {
        switch self {
        case .firestore, .bigquery: true
        case .files(let source): source.url.hasPrefix("gs://")
        case .postgres, .mysql: false
        }
    }

    /// What must never be printed.
    var secrets: [SecretString] {
        switch self {
        case .postgres(let source), .mysql(let source): source.url.passwords
        case .firestore, .bigquery, .files: []
        }
    }
}

struct FirestoreSourceConfiguration: Sendable, Equatable {
    var project: String
    var database: String
    var credentials: String?
    /// `FIRESTORE_EMULATOR_HOST` where the file names none.
    var endpoint: Endpoint
}

/// PostgreSQL and MySQL.
struct DatabaseSourceConfiguration: Sendable, Equatable {
    var url: ConnectionURL
    /// Zero: no limit.
    var statementTimeout: Duration
    /// Zero: no limit.
    var lockTimeout: Duration
    /// Absolute path of a file with the password: libpq's password file, MySQL's option file.
    var credentials: String?
}

struct BigQuerySourceConfiguration: Sendable, Equatable {
    var project: String
    /// Where its jobs run; nil lets BigQuery decide by the tables of the query.
    var location: String?
    /// A query that would bill more is refused by BigQuery; nil: no limit of ours.
    var maximumBytesBilled: Int64?
    var credentials: String?
    var endpoint: Endpoint
}

/// A folder or bucket: a files source, or the place of the spool's remote copy.
struct StoreConfiguration: Sendable, Equatable {
    enum Store: String, Sendable, Equatable, CaseIterable {
        case local = "file"
        case googleCloudStorage = "gs"
        case s3 = "s3"
        case azure = "az"
    }

    var store: Store
    /// Absolute, with its scheme, ending in `/`: `file:///dir/`, `gs://bucket/exports/`.
    var url: String
    /// S3 only; `AWS_REGION` or `AWS_DEFAULT_REGION` where the file names none.
    var region: String?
    /// S3 only; `AWS_PROFILE` where the file names none.
    var profile: String?
    var credentials: String?
    /// The store's variable (`STORAGE_EMULATOR_HOST`, `AWS_ENDPOINT_URL_S3`) where the file names none; nil: the store's own.
    var endpoint: Endpoint?
}
