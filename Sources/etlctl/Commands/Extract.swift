import ArgumentParser
import Extract
import Spool

/// The options of `extract`, which `run` takes too.
struct ExtractArguments: ParsableArguments {
    @Flag(help: "Read every record once, also those the watermark can't see, under the stream's own mode and ids.")
    var full = false

    @Flag(help: "Begin a new run instead of continuing one that was cut off.")
    var restart = false

    @Flag(help: "Go on although more than half of the known rows would be deleted.")
    var allowMassDelete = false

    func options(_ configuration: Configuration, patience: Duration?, limit: Int?) -> ExtractOptions {
        var options = ExtractOptions.standard(configuration, patience: patience)
        options.readsEverything = full
        options.restarts = restart
        options.limit = limit
        options.allowsMassDelete = allowMassDelete
        return options
    }
}

extension ExtractOptions {
    /// As the configuration says, without flags.
    static func standard(_ configuration: Configuration, patience: Duration?) -> ExtractOptions {
        var options = ExtractOptions()
        options.patience = patience
        options.maximumSpoolBytes = Int64(configuration.spool.maximumBytes)
        return options
    }
}

/// `etlctl extract`: from the sources into the spool.
struct ExtractCommand: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "extract",
        abstract: "Read the sources into the spool.",
        discussion: """
            Reads what is new since the last run and commits rows and watermark together. Needs no access to BigQuery. \
            A run that was cut off goes on where it stopped, under the same run id.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var extract: ExtractArguments

    @Argument(help: "The streams; all of them by default.")
    var streams: [String] = []

    @Option(help: "Read at most so many records; the next extract goes on.")
    var limit: Int?

    @Flag(help: "Count what would be read, and read nothing.")
    var dryRun = false

    @Option(help: "How long to bear a source that can't be reached, or a full spool.")
    var patience = DurationArgument(.seconds(60))

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit takes a number from 1.") }
    }

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let chosen = try configuration.streams(named: streams)
        let environment = CommandEnvironment(configuration, session)
        if dryRun { return try await ExtractForecast(environment: environment).outcome(chosen) }
        let options = extract.options(configuration, patience: patience.duration, limit: limit)
        let interruption = Interruption()
        return try await environment.withSpool("extract", session) { store, _ in
            let report = try await interruption.run {
                try await session.console.withProgress("read") { progress in
                    await ExtractWork(environment: environment, store: store, options: options, progress: progress)
                        .run(chosen)
                }
            }
            return report.outcome(interruption)
        }
    }
}
