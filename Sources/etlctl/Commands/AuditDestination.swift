import ArgumentParser
import JSONBytes
import Ship
import Spool

/// `etlctl audit destination`: the spool's delivered rows compared with BigQuery.
struct AuditDestination: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "destination",
        abstract: "Compare the delivered rows with BigQuery: missing, duplicated and unknown insertIds.",
        discussion: """
            Rows of another spool are unknown, which is no failure. Exit code 65 if rows are missing or duplicated; \
            --mend makes missing rows pending again, for the next ship.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The streams; all of them by default.")
    var streams: [String] = []

    @Flag(help: "Make missing rows pending again, under the same insertIds.")
    var mend = false

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let environment = CommandEnvironment(configuration, session)
        guard mend else { return try await audit(environment, try await environment.openSpool()) }
        return try await environment.withSpool("audit destination --mend", session, sends: false) { store, _ in
            let lock = try store.lockShipper(holder: environment.holder("audit destination --mend"))
            defer { withExtendedLifetime(lock) {} }
            return try await audit(environment, store)
        }
    }

    private func audit(_ environment: CommandEnvironment, _ store: SpoolStore) async throws -> CommandOutcome {
        let names = try await StreamSelection(environment.configuration, store).names(streams)
        let work = ShipWork(environment: environment, store: store, only: nil)
        let audit = DestinationAudit(
            spool: store, client: try await work.client(), configuration: work.configuration { _ in },
            streams: work.deliveries)
        let mends = mend
        let routes = try await store.ledger().filter { $0.spooled > 0 && names.contains($0.route.stream) }.map(\.route)
        let findings = try await Interruption().run {
            var findings: [DestinationAudit.Finding] = []
            for route in routes { findings.append(try await audit.run(route, mends: mends)) }
            return findings
        }
        return Self.outcome(findings, mended: mend)
    }

    private static func outcome(_ findings: [DestinationAudit.Finding], mended: Bool) -> CommandOutcome {
        let bad = findings.filter { !$0.isBalanced || $0.duplicatedCount > 0 }
        let isRetiredAlone = bad.allSatisfy { $0.missingCount + $0.duplicatedCount == 0 }
        let isDuplicatedAlone = bad.allSatisfy(\.isBalanced)
        let names = bad.map(\.stream).joined(separator: ", ")
        let hint =
            isDuplicatedAlone
            ? "Nothing is missing, and the latest view shows each row once. Rows are doubled where an outcome was unknown and BigQuery could not be asked, or where two spools fill one table."
            : isRetiredAlone
                ? "Retention has removed these rows from the spool: etlctl watermark reset and a new extract bring them back from the source."
                : mended
                    ? "Missing rows are pending again: run etlctl ship. Duplicates are hidden by the latest view."
                    : "etlctl audit destination --mend sends missing rows again; duplicates are hidden by the latest view."
        return CommandOutcome(
            json: ["streams": .array(findings.map(json))], text: text(findings),
            failure: bad.isEmpty
                ? nil
                : .data(
                    isDuplicatedAlone
                        ? "BigQuery has rows more than once: \(names)."
                        : "BigQuery does not hold what was delivered: \(names).",
                    hint: hint))
    }

    private static func json(_ finding: DestinationAudit.Finding) -> JSONValue {
        func list(_ ids: [String]) -> JSONValue { .array(ids.map { .string($0) }) }
        return [
            "stream": .string(finding.stream), "table": .string(finding.table), "delivered": .int(finding.delivered),
            "missing": list(finding.missing), "missing_count": .int(finding.missingCount),
            "duplicated": list(finding.duplicated), "duplicated_count": .int(finding.duplicatedCount),
            "unknown": list(finding.unknown), "unknown_count": .int(finding.unknownCount),
            "mended": .int(finding.mended), "retired_missing_count": .int(finding.retiredMissing),
        ]
    }

    private static func text(_ findings: [DestinationAudit.Finding]) -> String {
        if findings.isEmpty { return "Nothing was spooled yet." }
        var table = TextTable("STREAM", "TABLE", "DELIVERED", "MISSING", "DUPLICATED", "UNKNOWN", "MENDED")
        var lines: [String] = []
        for finding in findings {
            table.append(
                .text(finding.stream), .text(finding.table), .count(finding.delivered), .count(finding.missingCount),
                .count(finding.duplicatedCount), .count(finding.unknownCount), .count(finding.mended))
            for (word, ids) in [("missing", finding.missing), ("duplicated", finding.duplicated)] where !ids.isEmpty {
                lines.append(
                    "\(finding.stream): \(word): " + ids.prefix(20).joined(separator: ", ")
                        + (ids.count > 20 ? " ..." : ""))
            }
            for (day, short) in finding.daysShort.sorted(by: { $0.key < $1.key }) {
                let date = Timestamp(microseconds: Int64(day) * 86_400_000_000).description.prefix(10)
                lines.append(
                    "\(finding.stream): \(short) rows of \(date) that retention removed from the spool are not in BigQuery"
                )
            }
        }
        return ([table.text] + lines).joined(separator: "\n")
    }
}
