package import Spool
package import Transport

/// What shipping would do with a route's rows, found out without sending any.
package struct TableForecast: Sendable, Equatable {
    package struct Column: Sendable, Equatable {
        package var name: String
        /// How many rows brought a value of a type, by the type's name.
        package var spooledTypes: [String: Int] = [:]
        /// As it is in BigQuery; nil: there is no such column, or no table.
        package var tableType: String?
        /// As it will be; nil: the column is not made.
        package var planned: String?
        /// Values of pending rows that would go to `_rescued`.
        package var wouldRescue = 0
    }

    package var stream: String
    package var table: String
    package var tableExists = false
    package var columns: [Column] = []
    /// Pending rows.
    package var rows = 0
    /// Rows that would be refused before they are sent: damaged, too large, or without a value for a REQUIRED column.
    package var wouldReject = 0
    package var wouldRescue = 0
    package var requests = 0
    /// Bytes of the bodies.
    package var bytes = 0
    /// What BigQuery bills for: at least 1 KB a row.
    package var billedBytes = 0
    /// Why the table can't be used, if so.
    package var problem: String?

    init(_ route: Route) {
        stream = route.stream
        table = route.table
    }
}

extension TableForecast {
    /// - Parameters:
    ///   - client: nil forecasts without looking at BigQuery, as for a table that does not exist.
    /// - Throws: `BigQueryError`, `ShipStop`, `SpoolError`.
    package static func make(
        for route: Route, spool: SpoolStore, client: AuthorizedClient?, configuration: ShipConfiguration,
        streams: [StreamDelivery]
    ) async throws -> TableForecast {
        guard let table = TableReference(route.table) else {
            throw ShipStop(.configuration, "\(route.table) is no name of a table")
        }
        var forecast = TableForecast(route)
        var info: TableInfo?
        if let client {
            info = try await BigQueryClient(client: client, endpoint: configuration.endpoint).table(table)
        }
        let deliveries = Dictionary(streams.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var planner = try await TablePlanner(
            for: [route], deliveries: deliveries, existing: info?.columns, evolves: configuration.evolveSchema, spool)
        let plan = planner.plan()
        forecast.tableExists = info != nil
        forecast.problem = planner.conflictingDescription() ?? plan.problem
        // Rows are encoded against the table as it will be.
        planner.existing = (info?.columns ?? []) + plan.newColumns
        let final = planner.plan()

        let tally = ForecastTally(plan: final, configuration: configuration)
        var after: RowID?
        while true {
            let from = after
            tally.beginPage()
            try await spool.readRows(.state(.pending, route: route.number, after: from), limit: 20_000) {
                tally.take($0)
                return true
            }
            guard let last = tally.last, last != after else { break }
            after = last
        }
        forecast.columns = columns(planner, info, plan, tally)
        forecast.rows = tally.rows
        forecast.wouldReject = tally.rejected
        forecast.wouldRescue = tally.rescued.values.reduce(0, +)
        forecast.requests = tally.requests
        forecast.bytes = tally.bytes
        forecast.billedBytes = tally.billedBytes
        return forecast
    }

    private static func columns(
        _ planner: TablePlanner, _ info: TableInfo?, _ plan: TablePlan, _ tally: ForecastTally
    ) -> [Column] {
        var columns: [String: Column] = [:]
        var order: [String] = []
        func change(_ name: String, _ body: (inout Column) -> Void) {
            let key = name.lowercased()
            if columns[key] == nil { order.append(key) }
            var column = columns[key] ?? Column(name: name)
            body(&column)
            columns[key] = column
        }
        for column in info?.columns ?? [] {
            change(column.name) {
                $0.tableType = column.typeName
                $0.planned = column.typeName
            }
        }
        for column in plan.newColumns { change(column.name) { $0.planned = column.typeName } }
        for shape in planner.shapes {
            for column in shape.columns {
                change(column.name) { $0.spooledTypes[column.type.rawValue, default: 0] += shape.rows }
            }
        }
        for (name, count) in tally.rescued { change(name) { $0.wouldRescue += count } }
        return order.compactMap { columns[$0] }
    }
}

extension ColumnSchema {
    /// For people: `STRING`, `ARRAY<STRING>`, `INT64 NOT NULL`.
    package var typeName: String {
        switch mode {
        case .nullable: type.rawValue
        case .required: "\(type.rawValue) NOT NULL"
        case .repeated: "ARRAY<\(type.rawValue)>"
        }
    }
}

/// Packs rows as the shipper would and only counts.
// Unchecked: used by one read at a time, and by the caller only between reads.
private final class ForecastTally: @unchecked Sendable {
    private let packer: RequestPacker
    private(set) var last: RowID?
    private(set) var rows = 0
    private(set) var rejected = 0
    private(set) var requests = 0
    private(set) var bytes = 0
    private(set) var billedBytes = 0

    var rescued: [String: Int] { packer.rescuedByColumn }

    init(plan: TablePlan, configuration: ShipConfiguration) {
        packer = RequestPacker(
            plan: plan,
            limits: RequestPacker.Limits(
                rows: configuration.maximumRowsPerRequest, bytes: configuration.maximumRequestBytes),
            compresses: false)
        packer.countsRescued = true
    }

    func beginPage() { if !packer.isEmpty { seal() } }

    func take(_ row: RowBytes) {
        last = row.id
        rows += 1
        billedBytes += max(row.payload.count, 1024)
        if case .full = packer.add(row) {
            seal()
            _ = packer.add(row)
        }
    }

    private func seal() {
        let request = packer.seal()
        requests += request.rows.isEmpty ? 0 : 1
        bytes += request.bytes
        rejected += request.exclusions.count
    }
}
