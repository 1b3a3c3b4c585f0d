import ArgumentParser
import Ship
import Spool

/// The options of `ship`, which `run` and `resume` take too.
struct ShipArguments: ParsableArguments {
    @Option(help: "How long a new or changed table is given to settle; 0s trusts it at once.")
    var settle = DurationArgument(.seconds(600))
}

/// `etlctl ship`: from the spool into BigQuery.
struct ShipCommand: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "ship",
        abstract: "Deliver the spool to BigQuery.",
        discussion: """
            Needs no access to the sources. Every row is settled on a definite answer; when an outcome is unknown, \
            BigQuery is asked before anything is sent again. Without names, also what streams no longer configured have spooled.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var ship: ShipArguments

    @Argument(help: "The streams; everything by default.")
    var streams: [String] = []

    @Flag(help: "Go on when everything is delivered, and wait for more.")
    var follow = false

    @Option(help: "How long to bear a destination that can't be reached (with --follow: for ever).")
    var patience = DurationArgument(.seconds(60))

    @Option(help: "Send at most so many rows.")
    var limit: Int?

    @Flag(help: "Show what would be sent, and send nothing.")
    var dryRun = false

    @Flag(help: "Let an empty snapshot of a full-mode stream become the one the latest view shows.")
    var allowMassDelete = false

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit takes a number from 1.") }
    }

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let environment = CommandEnvironment(configuration, session)
        if dryRun {
            let store = try await environment.openSpool()
            defer { try? store.close() }
            return try await ShipForecast(work: try await work(environment, store)).outcome()
        }
        return try await environment.withSpool("ship", session, sends: true) { store, remote in
            await CommandEnvironment.save(remote, session)
            return try await deliver(try await work(environment, store), session)
        }
    }

    private func work(_ environment: CommandEnvironment, _ store: SpoolStore) async throws -> ShipWork {
        let names = try environment.configuration.streams(named: streams).map(\.name)
        return ShipWork(environment: environment, store: store, only: streams.isEmpty ? nil : Set(names))
    }

    private func deliver(_ work: ShipWork, _ session: CommandSession) async throws -> CommandOutcome {
        let interruption = Interruption()
        let options = work.configuration {
            $0.follow = follow
            $0.patience = follow ? nil : patience.duration
            $0.settle = ship.settle.duration
            $0.rowLimit = limit
            $0.allowEmptySnapshot = allowMassDelete
        }
        let report = try await interruption.run {
            try await session.console.withProgress("delivered") { progress in
                let shipper = try await work.shipper(options, session.console, progress)
                return try await work.run(shipper)
            }
        }
        return CommandOutcome(
            json: report.json, text: report.text,
            failure: interruption.failure("Shipping was interrupted; what is known is settled.") ?? report.failure)
    }
}
