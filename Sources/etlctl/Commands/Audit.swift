import ArgumentParser
import JSONBytes
import Spool

/// `etlctl audit`: the ledger and its checks.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Check that every row is accounted for.",
        usage: "etlctl audit [<stream> ...] [--config <path>] [--json] [--quiet] [--verbose] [--log-format <format>]",
        discussion: """
            Compares the ledger with the rows, every payload with its checksum, and checks the spool file itself. \
            Exit code 65 if anything does not balance. Without names, all streams. `etlctl audit ledger --help` explains \
            the options; the subcommands look at rows, objects, and the destination.
            """,
        subcommands: [AuditLedger.self, AuditRows.self, AuditObjects.self, AuditDestination.self],
        defaultSubcommand: AuditLedger.self)
}

/// `etlctl audit [STREAM...]`.
struct AuditLedger: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "The ledger and its checks (the default).", shouldDisplay: false)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The streams; all of them by default.")
    var streams: [String] = []

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let environment = CommandEnvironment(configuration, session)
        let store = try await environment.openSpool()
        let names = try await StreamSelection(configuration, store).names(streams)
        let integrity = try await store.checkIntegrity()
        let strays = try await store.checkStrays()
        var lines: [Line] = []
        for entry in try await store.ledger() where names.contains(entry.route.stream) {
            let checks = try await store.audit(entry.route, payloadMatches: PayloadCheck.matches)
            lines.append(Line(entry: entry, checks: checks + [integrity]))
        }
        return Self.outcome(lines, [integrity, strays])
    }

    struct Line: Sendable {
        var entry: LedgerEntry
        var checks: [AuditCheck]
        var isOK: Bool { checks.allSatisfy(\.isOK) }
    }

    /// - Parameter checks: of the whole file.
    private static func outcome(_ lines: [Line], _ checks: [AuditCheck]) -> CommandOutcome {
        let failed = (lines.flatMap(\.checks) + checks).filter { !$0.isOK }
        let isBalanced = failed.isEmpty
        let names = Set(failed.map(\.name)).sorted().joined(separator: ", ")
        let own = checks.filter { !$0.isOK }.map { "\n\($0.name): \(Readable.plain($0.detail))" }.joined()
        return CommandOutcome(
            json: [
                "balanced": .bool(isBalanced), "streams": .array(lines.map(json)), "checks": .array(checks.map(json)),
            ], text: text(lines) + own,
            failure: isBalanced
                ? nil
                : .data(
                    "The audit found something wrong: \(names).",
                    hint: "The details are above; etlctl audit rows shows single rows."))
    }

    private static func json(_ line: Line) -> JSONValue {
        let entry = line.entry
        return [
            "stream": .string(entry.route.stream), "table": .string(entry.route.table), "spooled": .int(entry.spooled),
            "pending": .int(entry.pending), "sending": .int(entry.sending), "in_doubt": .int(entry.inDoubt),
            "delivered": .int(entry.delivered), "rejected": .int(entry.rejected), "discarded": .int(entry.discarded),
            "retired": .int(entry.retired),
            "checks": .array(line.checks.map(json)),
        ]
    }

    private static func json(_ check: AuditCheck) -> JSONValue {
        ["name": .string(check.name), "ok": .bool(check.isOK), "detail": .string(check.detail)]
    }

    private static func text(_ lines: [Line]) -> String {
        var table = TextTable(
            "STREAM", "SPOOLED", "=", "PENDING", "SENDING", "IN DOUBT", "DELIVERED", "REJECTED", "DISCARDED", "RETIRED",
            "CHECKS")
        for line in lines {
            let entry = line.entry
            table.append(
                .text(entry.route.stream), .count(entry.spooled), entry.isBalanced ? "=" : "!", .count(entry.pending),
                .count(entry.sending), .count(entry.inDoubt), .count(entry.delivered), .count(entry.rejected),
                .count(entry.discarded), .count(entry.retired),
                .text(line.isOK ? "\(line.checks.count) ok" : "FAILED"))
        }
        let failed = lines.flatMap { line in
            line.checks.filter { !$0.isOK }.map {
                "\(line.entry.route.stream): \($0.name): \(Readable.plain($0.detail))"
            }
        }
        return ([table.text] + failed).joined(separator: "\n")
    }
}

/// What a payload must be: one JSON object that holds its insertId.
enum PayloadCheck {
    @Sendable static func matches(_ payload: UnsafeRawBufferPointer, _ insertID: UnsafeRawBufferPointer) -> Bool {
        guard let start = payload.baseAddress else { return false }
        var reader = JSONReader(start.assumingMemoryBound(to: UInt8.self), count: payload.count)
        do {
            var holdsID = false
            guard try reader.enterObject() else { return false }
            repeat {
                _ = try reader.readKey()
                // The column may be renamed, the id itself can't occur by chance.
                if try reader.peek() == UInt8(ascii: "\"") {
                    let text = try reader.readString()
                    if text.end - text.start == insertID.count, reader.raw(text).elementsEqual(insertID) {
                        holdsID = true
                    }
                } else {
                    try reader.skipValue(depth: 1)
                }
            } while try reader.hasNextMember()
            try reader.finish()
            return holdsID
        } catch {
            return false
        }
    }
}

/// Streams named on a command line, of those configured and those the spool still knows.
struct StreamSelection: Sendable {
    private let configured: [String]
    private let known: [String]

    init(_ configuration: Configuration, _ store: SpoolStore) async throws {
        configured = configuration.streams.map(\.name)
        known = try await store.streamsOnRecord().map(\.name)
    }

    /// - Throws: a usage error for a name that is neither configured nor on record.
    func names(_ chosen: [String]) throws -> [String] {
        let all = configured + known.filter { !configured.contains($0) }
        for name in chosen where !all.contains(name) {
            let nearest = NearestName.of(name, among: all)
            throw Failure.usage(
                "There is no stream \(name).", hint: nearest.map { "Did you mean \($0)?" } ?? "See `etlctl status`.")
        }
        return chosen.isEmpty ? all : chosen
    }
}
