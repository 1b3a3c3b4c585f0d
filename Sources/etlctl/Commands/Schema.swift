import ArgumentParser
import JSONBytes
import Ship
import Spool

/// `etlctl schema`: columns as spooled, as in BigQuery, and as planned.
struct SchemaCommand: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "Show columns as spooled, as in BigQuery, and what ship would change or rescue.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The streams; all of them by default.")
    var streams: [String] = []

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let environment = CommandEnvironment(configuration, session)
        let store = try await environment.openSpool()
        let names = try await StreamSelection(configuration, store).names(streams)
        let forecasts = try await ShipWork(environment: environment, store: store, only: Set(names)).forecasts()
        return CommandOutcome(
            json: ["streams": .array(forecasts.map(Self.json))],
            text: forecasts.map(Self.text).joined(separator: "\n\n"))
    }

    private static func json(_ forecast: TableForecast) -> JSONValue {
        [
            "stream": .string(forecast.stream), "table": .string(forecast.table),
            "columns": .array(
                forecast.columns.map { column in
                    [
                        "name": .string(column.name),
                        "spooled_types": .object(
                            column.spooledTypes.sorted { $0.key < $1.key }.map { JSONMember($0.key, .int($0.value)) }),
                        "table_type": .string(column.tableType), "planned": .string(column.planned),
                        "would_rescue": .int(column.wouldRescue),
                    ]
                }),
            "problem": .string(forecast.problem),
        ]
    }

    private static func text(_ forecast: TableForecast) -> String {
        var table = TextTable("COLUMN", "SPOOLED", "IN BIGQUERY", "PLANNED", "WOULD RESCUE")
        for column in forecast.columns {
            let spooled = column.spooledTypes.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }
            table.append(
                .text(column.name), .text(spooled.joined(separator: ", ")), .text(column.tableType),
                .text(column.planned), .count(column.wouldRescue))
        }
        let head = "\(forecast.stream) -> \(forecast.table)" + (forecast.tableExists ? "" : " (to be created)")
        return ([head, table.text] + (forecast.problem.map { ["problem: \($0)"] } ?? [])).joined(separator: "\n")
    }
}

/// `ship --dry-run`: what would be sent.
struct ShipForecast: Sendable {
    let work: ShipWork

    func outcome() async throws -> CommandOutcome {
        let forecasts = try await work.forecasts()
        var table = TextTable(
            "STREAM", "TABLE", "ROWS", "REQUESTS", "BYTES", "BILLED", "NEW COLUMNS", "WOULD RESCUE", "WOULD REJECT")
        for forecast in forecasts {
            table.append(
                .text(forecast.stream), .text(forecast.table + (forecast.tableExists ? "" : " (to be created)")),
                .count(forecast.rows), .count(forecast.requests), .bytes(Int64(forecast.bytes)),
                .bytes(Int64(forecast.billedBytes)), .count(Self.newColumns(forecast)), .count(forecast.wouldRescue),
                .count(forecast.wouldReject))
        }
        let json = forecasts.map { forecast -> JSONValue in
            [
                "stream": .string(forecast.stream), "table": .string(forecast.table),
                "table_exists": .bool(forecast.tableExists), "rows": .int(forecast.rows),
                "requests": .int(forecast.requests), "bytes": .int(forecast.bytes),
                "billed_bytes": .int(forecast.billedBytes), "new_columns": .int(Self.newColumns(forecast)),
                "would_rescue": .int(forecast.wouldRescue), "would_reject": .int(forecast.wouldReject),
                "problem": .string(forecast.problem),
            ]
        }
        let problems = forecasts.compactMap { forecast in forecast.problem.map { "\(forecast.stream): \($0)" } }
        return CommandOutcome(
            json: ["streams": .array(json)],
            text: forecasts.isEmpty ? "Nothing to ship." : ([table.text] + problems).joined(separator: "\n"))
    }

    private static func newColumns(_ forecast: TableForecast) -> Int {
        forecast.columns.filter { $0.tableType == nil && $0.planned != nil }.count
    }
}
