package import Spool
package import Transport

/// One finding of `etlctl check` about the destination.
package struct DestinationFinding: Sendable, Equatable {
    package enum Level: String, Sendable { case ok, warning, error }

    package var level: Level
    package var subject: String
    package var message: String
    package var hint: String?
    /// Of errors: which exit code it is worth.
    package var kind: ShipStop.Kind?

    init(
        _ level: Level, _ subject: String, _ message: String, hint: String? = nil, kind: ShipStop.Kind? = nil
    ) {
        self.level = level
        self.subject = subject
        self.message = message
        self.hint = hint
        self.kind = kind
    }
}

/// Looks at dataset, tables and views without changing anything. Whether rows may be inserted can't be asked; the finding says so.
///
/// - Parameters:
///   - tables: the configured streams with their tables, `project.dataset.table`.
///   - spool: nil where there is none yet.
package func checkDestination(
    client: AuthorizedClient, configuration: ShipConfiguration,
    tables: [(stream: StreamDelivery, table: String)], spool: SpoolStore?
) async throws -> [DestinationFinding] {
    var check = DestinationCheck(
        client: BigQueryClient(client: client, endpoint: configuration.endpoint), configuration: configuration,
        spool: spool)
    guard await check.dataset() else { return check.findings }
    await check.questions()
    for (stream, table) in tables { try await check.table(table, of: stream) }
    return check.findings
}

private struct DestinationCheck {
    let client: BigQueryClient
    let configuration: ShipConfiguration
    let spool: SpoolStore?
    var findings: [DestinationFinding] = []

    init(client: BigQueryClient, configuration: ShipConfiguration, spool: SpoolStore?) {
        self.client = client
        self.configuration = configuration
        self.spool = spool
    }

    private static func kind(_ error: BigQueryError) -> ShipStop.Kind {
        switch error.kind {
        case .denied: .denied
        case .transient, .rateLimited, .cancelled: .unavailable
        case .badRequest: .badRequest
        default: .configuration
        }
    }

    private static func hint(_ error: BigQueryError) -> String {
        switch error.kind {
        case .denied: "grant roles/bigquery.dataEditor on the dataset to this account, or check destination.credentials"
        case .transient, .rateLimited, .cancelled: "check the network and destination.endpoint, and try again"
        default: "check destination in the configuration"
        }
    }

    /// False if nothing else can be looked at.
    mutating func dataset() async -> Bool {
        let name = "\(configuration.project).\(configuration.dataset)"
        let subject = "dataset \(name)"
        do throws(BigQueryError) {
            guard let found = try await client.dataset(configuration.dataset, project: configuration.project) else {
                if configuration.create {
                    findings.append(
                        DestinationFinding(
                            .ok, subject,
                            "does not exist yet; ship creates it\(configuration.location.map { " in \($0)" } ?? "")"))
                } else {
                    findings.append(
                        DestinationFinding(
                            .error, subject, "does not exist, and with create: false it is not made",
                            hint: "create it, or set destination.create: true", kind: .configuration))
                }
                return configuration.create
            }
            if let wanted = configuration.location, let actual = found.location,
                wanted.lowercased() != actual.lowercased()
            {
                findings.append(
                    DestinationFinding(
                        .warning, subject, "is in \(actual), but destination.location is \(wanted)",
                        hint: "a dataset can't be moved: set destination.location: \(actual), or use another dataset"))
            } else {
                findings.append(
                    DestinationFinding(
                        .ok, subject,
                        "is reachable\(found.location.map { ", in \($0)" } ?? ""); whether rows may be inserted shows when "
                            + "the first are sent (bigquery.tables.updateData)"))
            }
            return true
        } catch {
            findings.append(
                DestinationFinding(
                    .error, subject, error.message, hint: Self.hint(error), kind: Self.kind(error)))
            return false
        }
    }

    /// Whether rows in doubt can be asked about.
    mutating func questions() async {
        guard configuration.verify == .auto else { return }
        let subject = "queries in project \(configuration.project)"
        do throws(BigQueryError) {
            try await client.dryRun(
                "SELECT 1", parameters: [], project: configuration.project, location: configuration.location,
                doing: "asking whether queries are permitted")
            findings.append(DestinationFinding(.ok, subject, "are permitted, so rows in doubt can be asked about"))
        } catch {
            findings.append(
                DestinationFinding(
                    .warning, subject, error.message,
                    hint:
                        "grant roles/bigquery.jobUser; without it rows in doubt are sent again unasked, and new tables wait "
                        + "until they have settled"))
        }
    }

    mutating func table(_ name: String, of stream: StreamDelivery) async throws {
        let subject = "table \(name)"
        guard let table = TableReference(name) else {
            findings.append(
                DestinationFinding(.error, subject, "is no name of a table", kind: .configuration))
            return
        }
        do {
            guard let found = try await client.table(table) else {
                findings.append(
                    configuration.create
                        ? DestinationFinding(.ok, subject, "does not exist yet; ship creates it")
                        : DestinationFinding(
                            .error, subject, "does not exist, and with create: false it is not made",
                            hint: "create it, or set destination.create: true", kind: .configuration))
                return
            }
            guard found.type == "TABLE" else {
                findings.append(
                    DestinationFinding(
                        .error, subject, "is a \(found.type.lowercased()); rows can be inserted into tables only",
                        hint: "set another table for stream \(stream.name)", kind: .configuration))
                return
            }
            try await schema(of: found, table, stream, subject)
            await view(of: table, subject)
        } catch let error as BigQueryError {
            findings.append(
                DestinationFinding(
                    .error, subject, error.message, hint: Self.hint(error), kind: Self.kind(error)))
        }
    }

    private mutating func schema(
        of found: TableInfo, _ table: TableReference, _ stream: StreamDelivery, _ subject: String
    ) async throws {
        var routes: [Route] = []
        if let spool {
            routes = try await spool.routes().filter { $0.stream == stream.name && $0.table == table.description }
        }
        guard let spool, !routes.isEmpty else {
            findings.append(DestinationFinding(.ok, subject, "exists, with \(found.columns.count) columns"))
            return
        }
        let planner = try await TablePlanner(
            for: routes, deliveries: [stream.name: stream], existing: found.columns,
            evolves: configuration.evolveSchema, spool)
        let plan = planner.plan()
        if let problem = planner.conflictingDescription() ?? plan.problem {
            findings.append(
                DestinationFinding(
                    .error, subject, problem, hint: "use another table, or mend the column", kind: .configuration))
        } else {
            let news = plan.newColumns.isEmpty ? "" : "; ship adds \(plan.newColumns.count) columns"
            findings.append(
                DestinationFinding(.ok, subject, "exists, with \(found.columns.count) columns\(news)"))
        }
    }

    private mutating func view(of table: TableReference, _ subject: String) async {
        guard configuration.latestViews else { return }
        let view = TableReference(
            project: table.project, dataset: table.dataset, table: table.table + LatestView.suffix)
        guard let found = try? await client.table(view) else { return }
        guard found.type == "VIEW", let query = found.viewQuery, LatestView.isOurs(query) else {
            findings.append(
                DestinationFinding(
                    .warning, "view \(view)", "was edited, or is something else, and is left as it is",
                    hint: "delete it to have it kept again, or set destination.latest_views: false"))
            return
        }
        findings.append(DestinationFinding(.ok, "view \(view)", "is kept by etlctl"))
    }
}
