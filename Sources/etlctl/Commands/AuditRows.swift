import ArgumentParser
import JSONBytes
import Spool
import Synchronization

/// A row state as an argument.
extension RowState: ExpressibleByArgument {}

/// `etlctl audit rows`: single rows with their fate.
struct AuditRows: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "rows", abstract: "Show rows with state, attempts, reason and payload.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The streams; all of them by default.")
    var streams: [String] = []

    @Option(help: "Only rows in this state: pending, sending, in_doubt, delivered, rejected or discarded.")
    var state: RowState?

    @Option(help: "Only rows of this run.")
    var run: String?

    @Option(help: "Only rows with this _id.")
    var id: String?

    @Option(help: "Only the row with this insertId.")
    var insertID: String?

    @Option(help: "At most so many rows.")
    var limit = 100

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let store = try await CommandEnvironment(configuration, session).openSpool()
        var filter = RowFilter()
        filter.streams = try await StreamSelection(configuration, store).names(streams)
        filter.state = state
        filter.run = run
        filter.id = id
        filter.insertID = insertID
        filter.limit = limit
        let rows = Mutex<[RowRecord]>([])
        try await store.forEachRow(filter) { row in
            rows.withLock { $0.append(row) }
            return true
        }
        let found = rows.withLock { $0 }
        return CommandOutcome(json: ["rows": .array(found.map(Self.json))], text: Self.text(found))
    }

    private static func json(_ row: RowRecord) -> JSONValue {
        [
            "stream": .string(row.stream), "id": .string(row.id), "insert_id": .string(row.insertID),
            "state": .string(row.state.rawValue), "run_id": .string(row.runID), "op": .string(row.operation),
            "extracted_at": .string(row.extractedAt), "delivered_at": .string(row.deliveredAt),
            "attempts": .int(row.attempts), "reason": .string(row.reason), "message": .string(row.message),
            "payload": payload(row),
        ]
    }

    /// The row's object; a damaged payload that is no JSON any more is shown as text.
    private static func payload(_ row: RowRecord) -> JSONValue {
        (try? JSONValue(parsing: row.payload)) ?? .string(String(decoding: row.payload, as: UTF8.self))
    }

    private static func text(_ rows: [RowRecord]) -> String {
        if rows.isEmpty { return "No rows." }
        var table = TextTable("STREAM", "ID", "INSERT ID", "STATE", "OP", "EXTRACTED", "ATTEMPTS", "REASON", "MESSAGE")
        for row in rows {
            table.append(
                .text(row.stream), .text(row.id), .text(row.insertID), .text(row.state.rawValue), .text(row.operation),
                .text(row.extractedAt), .count(row.attempts), .text(row.reason), .text(row.message))
        }
        let payloads = rows.count == 1 ? "\n" + Readable.plain(String(decoding: rows[0].payload, as: UTF8.self)) : ""
        return table.text + payloads
    }
}
