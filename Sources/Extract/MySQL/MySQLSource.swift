package import Spool

/// MySQL and MariaDB, through libmariadb.
package struct MySQLSource: CheckableSource, CountableSource {
    package static let kind = "mysql"

    package struct Configuration: Sendable {
        /// `mysql://user:password@host:port/database?ssl-mode=...`.
        var url: String
        /// What the server is, for messages: without password.
        package var location: String
        /// What must never be in a message.
        var secrets: [String]
        /// An option file (`.my.cnf`) to read the group `client` of; nil: the usual places.
        package var optionFile: String?
        /// Zero: no limit.
        package var statementTimeout = Duration.zero
        package var lockTimeout = Duration.seconds(30)

        package init(url: String, location: String, secrets: [String]) {
            self.url = url
            self.location = location
            self.secrets = secrets
        }
    }

    private let configuration: Configuration
    package var location: String { configuration.location }

    package init(_ configuration: Configuration) { self.configuration = configuration }

    private var reading: SQLReading {
        SQLReading(location: location) { [configuration] in try await MySQLSession.connect(configuration) }
    }

    /// A watermark of the operator's choice; nil for a text that is no value that it can have.
    package static func watermark(_ text: String, notes: String?) -> Watermark? {
        SQLWatermarkValue.watermark(text, notes: notes)
    }

    package func validate(_ stream: ExtractRequest) throws {
        try SQLReading.validate(stream)
        _ = try MySQLAddress(configuration)
    }

    package func read(_ run: RunContext) async throws -> Bool { try await reading.read(run) }

    /// The rows that a full read would bring.
    package func count(_ stream: ExtractRequest) async throws -> Int { try await reading.count(stream) }

    /// What `etlctl check` can tell of a stream without reading it.
    package func check(_ stream: ExtractRequest) async throws -> String { try await reading.check(stream) }
}
