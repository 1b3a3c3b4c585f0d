internal import JSONBytes
internal import Spool

/// Knows one table of the destination: looks at it, creates and extends it, and tells how long its metadata may still be settling.
///
/// What is about to be changed is written into the spool first; a kill at any point leaves either the old table or a record that says that
/// it may have changed.
// Not Sendable: owned by the table's loop.
final class TableKeeper {
    enum Look: Equatable {
        case agreed
        /// The table, or its schema, is another than rows were sent to. Rows delivered since the moment may be gone.
        case changed(String, since: Timestamp?)
        case missing(since: Timestamp?)
    }

    let table: TableReference
    private let endpoint: String
    private let spool: SpoolStore
    private let client: BigQueryClient
    private let configuration: ShipConfiguration
    private let report: @Sendable (ShipEvent) -> Void

    private(set) var record = TableRecord()
    /// As last seen; nil: not yet, or there is none.
    private(set) var info: TableInfo?
    /// By `ShipClock.uptime`; nil: it is not settling.
    private(set) var settlesUntil: Duration?
    /// How much of an earlier process's settling is left is told by the first answer, for its moment is one of BigQuery's clock.
    private var mustJudgeSettling = false
    /// Grows with every change that was found or made: what was asked before may not hold after.
    private(set) var epoch = 0

    init(
        table: TableReference, spool: SpoolStore, client: BigQueryClient, configuration: ShipConfiguration,
        report: @escaping @Sendable (ShipEvent) -> Void
    ) {
        self.table = table
        self.spool = spool
        self.client = client
        self.configuration = configuration
        self.report = report
        endpoint = normalizedEndpoint(configuration.endpoint)
    }

    private var clock: ShipClock { configuration.clock }

    var isSettling: Bool { settlesUntil.map { clock.uptime() < $0 } ?? false }

    // MARK: The record

    func load() async throws {
        record =
            try await spool.tableRecord(table.description, endpoint: endpoint).flatMap(TableRecord.init)
            ?? TableRecord()
        mustJudgeSettling = record.hasIntent || record.changedAt != nil
        if mustJudgeSettling { settleInMemory() }
    }

    /// At the first answer: what an earlier process changed has settled, or has so long to go.
    private func judgeSettling(at now: Timestamp) async throws {
        guard mustJudgeSettling else { return }
        mustJudgeSettling = false
        if record.hasIntent || record.changedAt.map({ $0 > now }) ?? false {
            // Sent, or not, when the process was killed: it settles from this start. And a moment yet to come was read from a wrong clock.
            record.hasIntent = false
            record.changedAt = now
            try await save()
        }
        let left = configuration.settle - now.since(record.changedAt ?? now)
        settlesUntil = left > .zero ? clock.uptime() + left : nil
    }

    private func save() async throws {
        try await spool.setTableRecord(record.text, for: table.description, endpoint: endpoint)
    }

    /// By BigQuery's clock where it tells, so that a local one that is wrong, or is set right, does no harm.
    private var moment: Timestamp { info?.answeredAt ?? clock.now() }

    /// The table appeared or changed just now.
    private func beginSettling() {
        epoch += 1
        record.changedAt = moment
        mustJudgeSettling = false
        if configuration.settle > .zero { settlesUntil = clock.uptime() + configuration.settle }
    }

    /// insertAll does not know yet what the metadata says: give it time.
    func settleAnew() async throws {
        guard !isSettling, configuration.settle > .zero else { return }
        beginSettling()
        try await save()
    }

    /// Keeps why nothing goes on, for who asks for the status; nil once it does.
    func rememberError(_ message: String?) async throws {
        guard record.lastError != message else { return }
        record.lastError = message
        try await save()
    }

    /// Written, or found as it is to be.
    func remember(_ view: LatestView) async throws {
        guard record.viewQuery != view.query else { return }
        record.viewQuery = view.query
        if case .snapshot(let run) = view.content { record.shownRun = run }
        try await save()
    }

    // MARK: Looking

    /// Looks at the table and compares. When it is not as expected, `accept` must follow once nothing settles any more.
    func look() async throws -> Look {
        let asked = clock.now()
        let found = try await client.table(table)
        info = found
        try await judgeSettling(at: moment)
        guard let found else {
            guard record.creationTime != nil else { return .missing(since: nil) }
            settleInMemory()
            return .missing(since: record.agreedAt ?? .minimum)
        }
        guard found.type == "TABLE" else {
            throw ShipStop(
                .configuration, "\(table) is a \(found.type.lowercased()), and rows can be inserted into tables only",
                hint: "set another table for the stream, or remove the \(found.type.lowercased())")
        }
        guard let expected = record.creationTime else {
            // Seen for the first time. Made just now, by whomever: it settles.
            record.creationTime = found.creationTime
            record.schema = found.schemaSignature
            record.agreedAt = asked
            if isYoung(found, at: moment) { beginSettling() }
            try await save()
            try await spool.noteAgreement(with: table.description, endpoint: endpoint, at: asked)
            return .agreed
        }
        if expected != found.creationTime {
            settleInMemory()
            return .changed("it was deleted and created again", since: record.agreedAt ?? .minimum)
        }
        if record.schema != found.schemaSignature {
            settleInMemory()
            return .changed("its schema was changed", since: record.agreedAt ?? .minimum)
        }
        record.agreedAt = asked
        try await save()
        try await spool.noteAgreement(with: table.description, endpoint: endpoint, at: asked)
        return .agreed
    }

    private func isYoung(_ found: TableInfo, at now: Timestamp) -> Bool {
        guard let milliseconds = Int64(found.creationTime) else { return false }
        let age = now.since(Timestamp(microseconds: milliseconds.multipliedReportingOverflow(by: 1000).partialValue))
        return age < configuration.settle && age > .zero - configuration.settle
    }

    /// From here on accepted rows are in doubt; on record once `accept` has put the earlier ones in doubt too.
    private func settleInMemory() {
        if configuration.settle > .zero { settlesUntil = clock.uptime() + configuration.settle }
        epoch += 1
    }

    /// Takes what the last look found as what is there now. Rows delivered since the last look that agreed are in doubt again.
    ///
    /// No settlement of this table may be under way. Returns the rows concerned.
    func accept(_ look: Look) async throws -> Int {
        let since: Timestamp?
        switch look {
        case .agreed: return 0
        case .changed(_, let moment), .missing(let moment): since = moment
        }
        var doubted = 0
        if let since {
            doubted = try await spool.doubtDelivered(to: table.description, endpoint: endpoint, since: since)
        }
        record.creationTime = info?.creationTime
        record.schema = info?.schemaSignature
        record.agreedAt = info == nil ? nil : clock.now()
        if case .changed(let what, _) = look {
            record.changedAt = moment
            report(
                .warning(
                    code: "table_changed",
                    message: "\(table) is not as it was: \(what)"
                        + (doubted > 0 ? "; \(doubted) rows delivered since are in doubt again" : "")
                        + "; rows delivered before can be sent again with etlctl retry --delivered-before",
                    table: table.description))
        } else if since != nil {
            record.changedAt = moment
            report(
                .warning(
                    code: "table_deleted",
                    message:
                        "\(table) was deleted; rows delivered to it can be sent again with etlctl retry --delivered-before",
                    table: table.description))
        }
        try await save()
        return doubted
    }

    // MARK: Changing

    /// Creates the table; one that another made meanwhile is as good.
    func create(
        _ columns: [ColumnSchema], clusteredBy cluster: String, partitionedBy partition: String, streams: [String]
    )
        async throws
    {
        try await announce()
        let resource: [JSONMember] = [
            JSONMember("schema", .object([JSONMember("fields", .array(columns.map(\.creation)))])),
            JSONMember(
                "timePartitioning",
                .object([JSONMember("type", "DAY"), JSONMember("field", .string(partition))])),
            JSONMember("clustering", .object([JSONMember("fields", .array([.string(cluster)]))])),
            JSONMember("labels", .object([JSONMember("tool", "etlctl")])),
            JSONMember(
                "description",
                .string(
                    "Rows of \(streams.joined(separator: ", ")), one for every version of a record; written by etlctl")),
        ]
        let made: TableInfo
        do {
            made = try await createEvenWithoutDataset(resource)
        } catch {
            guard let failure = error as? BigQueryError, failure.kind == .alreadyExists,
                let found = try await client.table(table)
            else { throw error }
            try settled(by: found)
            return try await save()
        }
        try settled(by: made)
        try await save()
        report(.note(message: "created table \(table)", table: table.description))
    }

    private func createEvenWithoutDataset(_ resource: [JSONMember]) async throws -> TableInfo {
        do {
            return try await client.create(table, resource)
        } catch {
            guard error.kind == .notFound else { throw error }
        }
        try await createDataset()
        return try await client.create(table, resource)
    }

    private func createDataset() async throws {
        do {
            try await client.createDataset(
                table.dataset, project: table.project, location: configuration.location)
        } catch {
            if error.kind == .alreadyExists { return }
            guard error.kind == .notFound else { throw error }
            throw ShipStop(
                .configuration,
                "project \(table.project) does not exist, or BigQuery is not enabled in it: \(error.message)",
                hint: "check destination.project")
        }
        report(
            .note(
                message: "created dataset \(table.project).\(table.dataset)"
                    + (configuration.location.map { " in \($0)" } ?? ""), table: nil))
    }

    /// Adds columns at the end of the table's.
    ///
    /// - Throws: `BigQueryError.preconditionFailed` when the table changed meanwhile: look again.
    func add(_ columns: [ColumnSchema]) async throws {
        guard let before = info else { return }
        try await announce()
        let fields = before.rawFields + columns.map(\.creation)
        let changed = try await client.patch(
            table, [JSONMember("schema", .object([JSONMember("fields", .array(fields))]))], etag: before.etag)
        try settled(by: changed)
        try await save()
        report(
            .note(
                message: "added to \(table): "
                    + columns.map { "\($0.name) \($0.type.rawValue)" }.joined(separator: ", "),
                table: table.description))
    }

    /// Before a change is sent.
    private func announce() async throws {
        record.hasIntent = true
        try await save()
    }

    /// The change was answered: this is the table now, and it settles from here.
    private func settled(by found: TableInfo) throws {
        guard found.type == "TABLE" else {
            throw ShipStop(.configuration, "\(table) is a \(found.type.lowercased()), not a table")
        }
        info = found
        record.hasIntent = false
        record.creationTime = found.creationTime
        record.schema = found.schemaSignature
        record.agreedAt = clock.now()
        beginSettling()
    }
}
