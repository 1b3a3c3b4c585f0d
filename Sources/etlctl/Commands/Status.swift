import ArgumentParser
import Extract
import JSONBytes
import Ship
import Spool

/// `etlctl status`: where every stream stands.
struct StatusCommand: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show each stream's watermark, its rows by state and its last run.")

    @OptionGroup var global: GlobalOptions

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let environment = CommandEnvironment(configuration, session)
        let store = try await environment.openSpool()
        let report = try await StatusReport(store: store, configuration: configuration, now: .now())
        return CommandOutcome(json: report.json, text: report.text)
    }
}

/// The numbers of `status`, one line a stream; a stream whose table was changed has a line for each table with rows.
struct StatusReport: Sendable {
    struct Line: Sendable {
        var stream: String
        var table: String
        var isConfigured: Bool
        var watermark: String?
        var ledger: LedgerEntry?
        var oldestUndelivered: Duration?
        var lastRun: RunRecord?
        /// A complete snapshot that rejected rows hold back from the latest view.
        var heldUp: HeldSnapshot?
        /// Why the last shipper stopped at the table.
        var shipError: String?

        var lastError: String? { lastRun?.error ?? shipError }
    }

    /// The copy that `spool.remote` keeps.
    struct Remote: Sendable {
        var url: String
        var copy: String?
        var savedAt: String?
        var hasUnsavedChanges: Bool
        /// The numbers are the copy's: there is no spool on this disk.
        var isShown: Bool
    }

    let lines: [Line]
    /// All of the ledger, also tables that a stream no longer writes to and that have no line.
    let ledger: [LedgerEntry]
    let path: String
    let bytes: Int64
    let remote: Remote?

    /// - Parameter store: nil where nothing was spooled yet.
    init(store: SpoolStore?, configuration: Configuration, now: Timestamp) async throws {
        let ledger = try await store?.ledger() ?? []
        let oldest = try await store?.oldestUndelivered() ?? [:]
        let runs = try await store?.lastRuns() ?? [:]
        let onRecord = try await store?.streamsOnRecord() ?? []
        let records = Dictionary(uniqueKeysWithValues: onRecord.map { ($0.name, $0) })
        var lines: [Line] = []
        for stream in configuration.streams {
            let table = configuration.destination.fullName(of: stream.table)
            let entries = ledger.filter { $0.route.stream == stream.name }
            let shown = entries.filter { $0.route.table == table || $0.undelivered + $0.rejected > 0 }
            if shown.isEmpty {
                lines.append(
                    Line(
                        stream: stream.name, table: table, isConfigured: true,
                        watermark: records[stream.name]?.watermark?.value, lastRun: runs[stream.name]))
            }
            for entry in shown {
                var line = Self.line(entry, records: records, runs: runs, oldest: oldest, now: now, isConfigured: true)
                if stream.mode == .full { line.heldUp = try await store?.snapshotHeldUp(entry.route) }
                lines.append(line)
            }
        }
        let configured = Set(configuration.streams.map(\.name))
        for entry in ledger where !configured.contains(entry.route.stream) {
            lines.append(
                Self.line(entry, records: records, runs: runs, oldest: oldest, now: now, isConfigured: false))
        }
        for place in lines.indices {
            lines[place].shipError = try await store?.lastError(
                ofTable: lines[place].table, endpoint: configuration.destination.endpoint.url)
        }
        self.lines = lines
        self.ledger = ledger
        path = configuration.spool.path
        bytes = try await store?.usedBytes() ?? 0
        if let place = configuration.spool.remote, let store {
            let mark = try await store.remoteMark()
            remote = Remote(
                url: place.url, copy: mark.copy, savedAt: mark.savedAt?.description,
                hasUnsavedChanges: try await store.hasUnsavedChanges(), isShown: store.path != path)
        } else {
            remote = nil
        }
    }

    private static func line(
        _ entry: LedgerEntry, records: [String: StreamRecord], runs: [String: RunRecord], oldest: [Int64: Timestamp],
        now: Timestamp, isConfigured: Bool
    ) -> Line {
        Line(
            stream: entry.route.stream, table: entry.route.table, isConfigured: isConfigured,
            watermark: records[entry.route.stream]?.watermark?.value, ledger: entry,
            oldestUndelivered: oldest[entry.route.number].map { max(.zero, now.since($0)) },
            lastRun: runs[entry.route.stream])
    }

    var json: JSONValue {
        var spool: JSONValue = ["path": .string(path), "bytes": .int(bytes)]
        if let remote {
            spool = spool.with(
                "remote",
                [
                    "url": .string(remote.url), "copy": .string(remote.copy), "saved_at": .string(remote.savedAt),
                    "unsaved": .bool(remote.hasUnsavedChanges), "shown": .bool(remote.isShown),
                ])
        }
        return ["streams": .array(lines.map(Self.json)), "spool": spool]
    }

    private static func json(_ line: Line) -> JSONValue {
        let ledger = line.ledger
        let run: JSONValue =
            line.lastRun.map { record in
                [
                    "run_id": .string(record.run.id), "status": .string(record.run.status.rawValue),
                    "started_at": .string(record.run.startedAt.description),
                    "finished_at": .string(record.finishedAt?.description),
                    "rows_read": .int(record.run.counters.rowsRead),
                    "rows_spooled": .int(record.run.counters.rowsSpooled),
                ]
            } ?? .null
        var object: JSONValue = [
            "stream": .string(line.stream), "table": .string(line.table), "watermark": .string(line.watermark),
            "pending": .int(ledger?.pending ?? 0), "sending": .int(ledger?.sending ?? 0),
            "in_doubt": .int(ledger?.inDoubt ?? 0), "delivered": .int(ledger?.delivered ?? 0),
            "rejected": .int(ledger?.rejected ?? 0), "discarded": .int(ledger?.discarded ?? 0),
            "oldest_undelivered_seconds": line.oldestUndelivered.map { .double($0 / .seconds(1)) } ?? .null,
            "last_run": run, "last_error": .string(line.lastError), "removed": .bool(!line.isConfigured),
        ]
        if let held = line.heldUp {
            object = object.with(
                "snapshot_held_up", ["run_id": .string(held.runID), "rejected": .int(held.rejected)])
        }
        return object
    }

    var text: String {
        var table = TextTable(
            "STREAM", "TABLE", "WATERMARK", "PENDING", "SENDING", "IN DOUBT", "DELIVERED", "REJECTED", "DISCARDED",
            "OLDEST", "LAST RUN")
        for line in lines {
            table.append(
                .text(line.stream + (line.isConfigured ? "" : " (removed)")), .text(line.table), .text(line.watermark),
                .count(line.ledger?.pending ?? 0), .count(line.ledger?.sending ?? 0),
                .count(line.ledger?.inDoubt ?? 0), .count(line.ledger?.delivered ?? 0),
                .count(line.ledger?.rejected ?? 0), .count(line.ledger?.discarded ?? 0),
                line.oldestUndelivered.map { .duration($0) } ?? .none,
                .text(line.lastRun.map { $0.run.status.rawValue } ?? "never"))
        }
        var texts = [table.text, "Spool \(path), \(Readable.bytes(bytes))"]
        if let remote {
            let saved = remote.savedAt.map { "saved at \($0)" } ?? "nothing saved yet"
            texts.append(
                remote.isShown
                    ? "There is no spool on this disk: these are the numbers of the copy in \(remote.url), \(saved)"
                    : "Copy in \(remote.url), \(saved)" + (remote.hasUnsavedChanges ? "; changed since" : ""))
        }
        return (texts + notes).joined(separator: "\n")
    }

    /// What does not fit a table: each stream's last error, and snapshots that rejected rows hold back.
    var notes: [String] {
        var texts: [String] = []
        var seen: Set<String> = []
        for line in lines {
            if let error = line.lastError, seen.insert("\(line.stream): \(error)").inserted {
                texts.append("\(line.stream): last error: \(Readable.plain(error))")
            }
            if let held = line.heldUp, held.rejected > 0 {
                texts.append(
                    "\(line.stream): snapshot \(held.runID) is complete but not shown: \(held.rejected) rows are rejected (etlctl audit rows \(line.stream) --state rejected)"
                )
            }
        }
        return texts
    }
}
