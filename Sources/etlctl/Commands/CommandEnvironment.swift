import Extract
import Foundation
import Spool
import Transport

/// Opens what commands share, as the configuration says: the spool, the sources, authorised HTTP clients.
struct CommandEnvironment: Sendable {
    let configuration: Configuration
    let context: CommandContext
    let http: HTTPClient
    let scratch = ScratchFolder()

    init(_ configuration: Configuration, _ session: CommandSession) {
        self.configuration = configuration
        context = session.context
        http = HTTPClient()
    }

    /// Names this process to a second one that wants the same lock.
    func holder(_ command: String) -> String {
        let process = ProcessInfo.processInfo
        return "etlctl \(command), process \(process.processIdentifier) on \(process.hostName)"
    }

    /// A client for a Google API. On loopback there are no credentials unless the configuration names some.
    ///
    /// - Parameter section: of the configuration, whose `credentials` these are.
    func client(
        credentials: String?, endpoint: Endpoint, scopes: [String], of section: String
    ) async throws -> AuthorizedClient {
        try checkFile(credentials, of: section)
        if credentials == nil, endpoint.isLoopback {
            // The Firestore emulator takes this word for an administrator; others do not look at it.
            return AuthorizedClient(client: http, tokens: StaticToken("owner"))
        }
        do throws(AuthError) {
            let tokens = try await GoogleCredentials.resolve(
                file: credentials, scopes: scopes, environment: context.environment, client: http)
            return AuthorizedClient(client: http, tokens: tokens)
        } catch {
            guard credentials != nil, case .unreadableFile = error else { throw error }
            throw Failure(describing: error).appending(configuration.mention(of: section + ".credentials"))
        }
    }

    /// - Throws: a configuration error (78) with the place of the key, where the file is missing or unreadable.
    private func checkFile(_ file: String?, of section: String) throws {
        guard let file else { return }
        do throws(Failure) { try CredentialsFile.check(file) } catch {
            throw error.appending(configuration.mention(of: section + ".credentials"))
        }
    }

    /// Parses a credentials file and the key in it; asks nobody.
    func checkGoogleCredentials(_ file: String) async throws {
        _ = try await GoogleCredentials.resolve(
            file: file, scopes: [], environment: context.environment, client: http)
    }

    /// The source of a stream, ready to be read.
    func source(of stream: StreamConfiguration) async throws -> any Source {
        guard let source = configuration.source(of: stream) else {
            throw Failure.config("The stream \(stream.name) names no source.")
        }
        let section = "sources.\(stream.source)"
        try checkFile(source.credentials, of: section)
        switch source {
        case .firestore(let firestore):
            return FirestoreSource(
                FirestoreSource.Configuration(
                    project: firestore.project, database: firestore.database, endpoint: firestore.endpoint.url),
                http: try await client(
                    credentials: firestore.credentials, endpoint: firestore.endpoint, scopes: FirestoreSource.scopes,
                    of: section))
        case .postgres(let database):
            var settings = PostgresSource.Configuration(
                url: database.url.secret.exposed, location: database.url.safeURL,
                secrets: database.url.passwords.map(\.exposed))
            settings.passwordFile = database.credentials
            settings.statementTimeout = database.statementTimeout
            settings.lockTimeout = database.lockTimeout
            return PostgresSource(settings)
        case .mysql(let database):
            var settings = MySQLSource.Configuration(
                url: database.url.secret.exposed, location: database.url.safeURL,
                secrets: database.url.passwords.map(\.exposed))
            settings.optionFile = database.credentials
            settings.statementTimeout = database.statementTimeout
            settings.lockTimeout = database.lockTimeout
            return MySQLSource(settings)
        case .files(let files):
            return FilesSource(store: try await objectStore(files))
        case .bigquery(let bigQuery):
            return BigQuerySource(
                BigQuerySource.Configuration(
                    project: bigQuery.project, location: bigQuery.location,
                    maximumBytesBilled: bigQuery.maximumBytesBilled, endpoint: bigQuery.endpoint.url),
                http: try await client(
                    credentials: bigQuery.credentials, endpoint: bigQuery.endpoint, scopes: BigQuerySource.scopes,
                    of: section))
        }
    }

    /// What `Extract` needs to know of a stream.
    func request(for stream: StreamConfiguration) -> ExtractRequest {
        let destination = configuration.destination
        var request = ExtractRequest(
            name: stream.name, source: stream.source, table: destination.fullName(of: stream.table),
            endpoint: destination.endpoint.identity, identity: StreamPosition(of: stream, in: configuration).text,
            fingerprint: stream.shapeText)
        switch stream.input {
        case .from(let from): request.from = from
        case .query(let query): request.query = query
        }
        switch stream.fields {
        case .all: break
        case .only(let columns): request.columns = columns
        case .except(let columns): request.exclude = columns
        }
        request.key = stream.key
        request.mode = ReadMode(rawValue: stream.mode.rawValue) ?? .full
        request.watermark = stream.watermark
        request.rename = stream.rename
        request.types = stream.types.mapValues(\.rawValue)
        request.nestsAsJSON = stream.nested == .json
        request.lookback = stream.lookback.map {
            switch $0 {
            case .duration(let duration): .duration(duration)
            case .number(let number): .number(Double(number))
            }
        }
        request.parallel = stream.parallel
        request.generation = Int(stream.generation)
        request.maximumReads = Int(stream.maximumReads)
        if let files = stream.files { request.files = Self.request(for: files) }
        return request
    }

    private static func request(for files: FileOptions) -> FilesRequest {
        var request = FilesRequest()
        request.format = files.format.flatMap { ObjectFormat(rawValue: $0.rawValue) }
        request.csv.delimiter = files.delimiter.utf8.first ?? UInt8(ascii: ",")
        request.csv.quote = files.quote?.utf8.first
        request.csv.hasHeader = files.hasHeader
        request.csv.nulls = files.nulls
        request.encoding = files.encoding
        request.stopsAtBadRow = files.onBadRow == .stop
        return request
    }
}

extension DestinationConfiguration {
    /// `project.dataset.table`.
    func fullName(of table: String) -> String { "\(project).\(dataset).\(table)" }
}
