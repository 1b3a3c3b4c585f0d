package import Spool
package import Transport

/// Compares what the spool says is delivered with what BigQuery has, by `_insert_id`, in ranges of `_extracted_at`: cheap, because tables
/// are partitioned by it.
package struct DestinationAudit: Sendable {
    package struct Finding: Sendable, Equatable {
        package var stream: String
        package var table: String
        /// Rows of the spool that are delivered.
        package var delivered = 0
        /// insertIds of delivered rows that BigQuery does not have, at most `DestinationAudit.listLimit`.
        package var missing: [String] = []
        package var missingCount = 0
        /// insertIds that BigQuery has more than once.
        package var duplicated: [String] = []
        package var duplicatedCount = 0
        /// insertIds in BigQuery that this spool does not know: another spool's, or of rows that retention removed. No failure.
        package var unknown: [String] = []
        package var unknownCount = 0
        /// Days (since 1970) of which rows were retired, and how many fewer rows BigQuery has than were delivered.
        package var daysShort: [Int: Int] = [:]
        /// Rows made pending again.
        package var mended = 0

        package var retiredMissing: Int { daysShort.values.reduce(0, +) }

        package var isBalanced: Bool { missingCount == 0 && daysShort.isEmpty }

        init(_ route: Route) {
            stream = route.stream
            table = route.table
        }
    }

    /// insertIds in each list.
    package static let listLimit = 1000
    /// Rows of the spool compared with one query.
    private static let rowsPerQuestion = 20_000
    private static let microsecondsPerDay: Int64 = 86_400_000_000

    private let spool: SpoolStore
    private let client: BigQueryClient
    private let configuration: ShipConfiguration
    private let streams: [String: StreamDelivery]

    package init(
        spool: SpoolStore, client: AuthorizedClient, configuration: ShipConfiguration, streams: [StreamDelivery]
    ) {
        self.spool = spool
        self.client = BigQueryClient(client: client, endpoint: configuration.endpoint)
        self.configuration = configuration
        self.streams = Dictionary(streams.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// - Parameter mends: rows that are missing become pending again, under the same insertId. The caller then holds the shipper's lock.
    /// - Throws: `BigQueryError` (its `kind` tells permission from transient trouble), `ShipStop`, `SpoolError`.
    package func run(_ route: Route, mends: Bool = false) async throws -> Finding {
        guard let table = TableReference(route.table) else {
            throw ShipStop(.configuration, "\(route.table) is no name of a table")
        }
        let info = try await client.table(table)
        let planner = try await TablePlanner(
            for: [route], deliveries: streams, existing: nil, evolves: false, spool)
        let columns = Set((info?.columns ?? []).map { $0.name.lowercased() })
        var comparison = Comparison(
            table: table, exists: info != nil, location: info?.location ?? configuration.location,
            extractedAt: planner.expression(of: .extractedAt, among: columns),
            insertID: planner.expression(of: .insertID, among: columns),
            retired: try await spool.retiredDays(of: route), repeated: try await spool.repeatedDays(of: route),
            finding: Finding(route))
        var after: RowID?
        var chunk = try await spool.standings(of: route, after: nil, limit: Self.rowsPerQuestion)
        while let last = chunk.last {
            let next = try await spool.standings(of: route, after: last.row, limit: Self.rowsPerQuestion)
            let missing = try await comparison.compare(
                chunk, isFirst: after == nil, until: next.first?.extractedAt, client)
            if mends, !missing.isEmpty { comparison.finding.mended += try await spool.retryMissing(missing) }
            after = last.row
            chunk = next
        }
        try await comparison.compareRetired(client)
        return comparison.finding
    }

    /// The comparison of one route as it goes on from chunk to chunk.
    private struct Comparison {
        let table: TableReference
        let exists: Bool
        let location: String?
        /// Of every row, in SQL: `TablePlanner.expression`.
        let extractedAt: String
        let insertID: String
        let retired: [Int: Int]
        let repeated: [Int: Int]
        var finding: Finding
        /// Delivered rows still in the spool, and rows in BigQuery that are none of those, by days of which rows were retired.
        private var keptOnDay: [Int: Int] = [:]

        init(
            table: TableReference, exists: Bool, location: String?, extractedAt: String, insertID: String,
            retired: [Int: Int], repeated: [Int: Int], finding: Finding
        ) {
            self.table = table
            self.exists = exists
            self.location = location
            self.extractedAt = extractedAt
            self.insertID = insertID
            self.retired = retired
            self.repeated = repeated
            self.finding = finding
        }

        private static func start(ofDay day: Int) -> Timestamp {
            Timestamp(microseconds: Int64(day) * microsecondsPerDay)
        }

        /// Rows of one range of time. Returns those that are missing.
        mutating func compare(
            _ chunk: [RowStanding], isFirst: Bool, until end: Timestamp?, _ client: BigQueryClient
        ) async throws -> [RowID] {
            guard let first = chunk.first, let last = chunk.last else { return [] }
            var open: [String: RowID] = [:]
            var known: Set<String> = []
            for row in chunk {
                known.insert(row.insertID)
                guard row.state == .delivered else { continue }
                finding.delivered += 1
                open[row.insertID] = row.row
                let day = row.extractedAt.day
                if retired[day] != nil { keptOnDay[day, default: 0] += 1 }
            }
            if exists {
                let from = isFirst ? Self.start(ofDay: first.extractedAt.day) : first.extractedAt
                let to = end ?? Self.start(ofDay: last.extractedAt.day + 1)
                let sql =
                    "SELECT \(insertID), COUNT(*) FROM \(table.quoted) WHERE \(extractedAt) >= @from "
                    + "AND \(extractedAt) < @to GROUP BY \(insertID)"
                var found = finding
                try await client.query(
                    sql, parameters: [.timestamp("from", from.description), .timestamp("to", to.description)],
                    project: table.project, location: location, doing: "comparing \(table) with the spool"
                ) { page in
                    for row in page.rows {
                        guard row.count == 2, let id = row[0] else { continue }
                        open[id] = nil
                        if let count = row[1].flatMap(Int.init), count > 1 {
                            found.duplicatedCount += 1
                            if found.duplicated.count < listLimit { found.duplicated.append(id) }
                        }
                        if !known.contains(id) {
                            found.unknownCount += 1
                            if found.unknown.count < listLimit { found.unknown.append(id) }
                        }
                    }
                }
                finding = found
            }
            for row in chunk where open[row.insertID] != nil {
                finding.missingCount += 1
                if finding.missing.count < listLimit { finding.missing.append(row.insertID) }
            }
            return open.values.sorted()
        }

        /// Of days whose rows retention removed, only the counts can be compared.
        mutating func compareRetired(_ client: BigQueryClient) async throws {
            guard exists else {
                finding.daysShort = retired
                return
            }
            for (day, count) in retired.sorted(by: { $0.key < $1.key }) {
                let sql =
                    "SELECT COUNT(DISTINCT \(insertID)) FROM \(table.quoted) WHERE \(extractedAt) >= @from "
                    + "AND \(extractedAt) < @to"
                var present = 0
                try await client.query(
                    sql,
                    parameters: [
                        .timestamp("from", Self.start(ofDay: day).description),
                        .timestamp("to", Self.start(ofDay: day + 1).description),
                    ], project: table.project, location: location, doing: "counting the rows of \(table)"
                ) { page in
                    if let text = page.rows.first?.first ?? nil { present = Int(text) ?? 0 }
                }
                // One that was spooled again has the same insertId: it is there once, though it was counted twice.
                let expected = count + (keptOnDay[day] ?? 0) - (repeated[day] ?? 0)
                if present < expected { finding.daysShort[day] = expected - present }
            }
        }
    }
}
