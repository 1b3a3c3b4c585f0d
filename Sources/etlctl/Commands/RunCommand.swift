import ArgumentParser
import Extract
import Foundation
import JSONBytes
import Remote
import Ship
import Spool

/// `etlctl run`: extract and ship side by side, once or for ever.
struct RunCommand: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Extract and ship side by side, once or for ever.",
        discussion: "Rows are delivered while others are still read; a spool at its size limit waits for delivery.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var extract: ExtractArguments
    @OptionGroup var ship: ShipArguments

    @Argument(help: "The streams; all of them by default.")
    var streams: [String] = []

    @Option(help: "Extract again after so long, until interrupted.")
    var every: DurationArgument?

    @Option(help: "How long to bear a source or a destination that can't be reached.")
    var patience = DurationArgument(.seconds(60))

    @Option(help: "Read and send at most so many rows.")
    var limit: Int?

    @Flag(help: "Go on shipping when everything is read, until interrupted.")
    var follow = false

    @Flag(help: "Show what would be read and sent, and do neither.")
    var dryRun = false

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let chosen = try configuration.streams(named: streams)
        let environment = CommandEnvironment(configuration, session)
        if dryRun { return try await forecast(chosen, environment) }
        return try await environment.withSpool("run", session, sends: true) { store, remote in
            try await work(chosen, environment, store, remote, session)
        }
    }

    private func work(
        _ chosen: [StreamConfiguration], _ environment: CommandEnvironment, _ store: SpoolStore, _ remote: RemoteSpool?,
        _ session: CommandSession
    ) async throws -> CommandOutcome {
        let work = SideBySide(environment: environment, store: store, remote: remote, session: session)
        let options = extract.options(environment.configuration, patience: patience.duration, limit: limit)
        let shipWork = ShipWork(environment: environment, store: store, only: streams.isEmpty ? nil : Set(streams))
        let shipOptions = shipWork.configuration {
            $0.follow = true
            $0.patience = every == nil && !follow ? patience.duration : nil
            $0.settle = ship.settle.duration
            $0.rowLimit = limit
            $0.allowEmptySnapshot = extract.allowMassDelete
        }
        return try await work.run(
            chosen, options, shipWork, shipOptions, every: every?.duration, goesOnShipping: follow)
    }

    /// What both would do; makes no spool where there is none.
    private func forecast(
        _ chosen: [StreamConfiguration], _ environment: CommandEnvironment
    ) async throws -> CommandOutcome {
        let reading = try await ExtractForecast(environment: environment).outcome(chosen)
        let path = environment.configuration.spool.path
        guard environment.isSpoolElsewhere || FileManager.default.fileExists(atPath: path) else {
            let nothing: JSONValue = ["streams": .array([])]
            return CommandOutcome(json: ["extract": reading.json, "ship": nothing], text: reading.text)
        }
        let store = try await environment.openSpool()
        defer { try? store.close() }
        let work = ShipWork(environment: environment, store: store, only: streams.isEmpty ? nil : Set(streams))
        let shipping = try await ShipForecast(work: work).outcome()
        return CommandOutcome(
            json: ["extract": reading.json, "ship": shipping.json], text: reading.text + "\n" + shipping.text,
            failure: shipping.failure)
    }
}

/// `etlctl resume`: continues every run that was cut off, then ships what is due.
struct ResumeCommand: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Continue runs that were cut off, then ship what is due.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var ship: ShipArguments

    @Argument(help: "The ids of runs; all that were cut off by default.")
    var runs: [String] = []

    @Option(help: "How long to bear a source or a destination that can't be reached.")
    var patience = DurationArgument(.seconds(60))

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let environment = CommandEnvironment(configuration, session)
        return try await environment.withSpool("resume", session, sends: true) { store, remote in
            try await work(environment, store, remote, session)
        }
    }

    private func work(
        _ environment: CommandEnvironment, _ store: SpoolStore, _ remote: RemoteSpool?, _ session: CommandSession
    ) async throws -> CommandOutcome {
        let configuration = environment.configuration
        let unfinished = try await store.unfinishedRuns()
        for run in runs where !unfinished.contains(where: { $0.id == run }) {
            throw Failure.usage("There is no run \(run) that was cut off.", hint: "See `etlctl status`.")
        }
        let wanted = Set(unfinished.filter { runs.isEmpty || runs.contains($0.id) }.map(\.stream))
        let chosen = configuration.streams.filter { wanted.contains($0.name) }
        let arguments = ExtractOptions.standard(configuration, patience: patience.duration)
        let work = SideBySide(environment: environment, store: store, remote: remote, session: session)
        let shipWork = ShipWork(environment: environment, store: store, only: nil)
        let shipOptions = shipWork.configuration {
            $0.follow = true
            $0.patience = patience.duration
            $0.settle = ship.settle.duration
        }
        return try await work.run(chosen, arguments, shipWork, shipOptions, every: nil)
    }
}

/// Extraction and delivery in one process: the shipper follows while streams are read, then drains what is left and ends.
struct SideBySide: Sendable {
    let environment: CommandEnvironment
    let store: SpoolStore
    let remote: RemoteSpool?
    let session: CommandSession

    func run(
        _ streams: [StreamConfiguration], _ options: ExtractOptions, _ shipWork: ShipWork,
        _ shipOptions: ShipConfiguration, every: Duration?, goesOnShipping: Bool = false
    ) async throws -> CommandOutcome {
        let interruption = Interruption()
        let (extracted, shipped) = try await interruption.run {
            let shipProgress = ProgressReporter(session.console, verb: "delivered")
            let shipper = try await shipWork.shipper(shipOptions, session.console, shipProgress)
            return try await session.console.withProgress("read") { progress in
                var options = options
                // Whoever goes on for ever tries a stopped table again.
                options.stoppedTables = { every == nil && !goesOnShipping ? shipper.stoppedTables : [] }
                let extractor = ExtractWork(
                    environment: environment, store: store, options: options, progress: progress)
                async let shipped = shipWork.run(shipper)
                // What was spooled before, and is not saved, need not wait for the sources.
                await CommandEnvironment.save(remote, session)
                var report = await extractor.run(streams)
                await CommandEnvironment.save(remote, session)
                while let every, !Task.isCancelled {
                    report.log(to: session.console)
                    do { try await session.context.sleep(every) } catch { break }
                    report = await extractor.run(streams)
                    await CommandEnvironment.save(remote, session)
                }
                if !goesOnShipping { shipper.endFollowing() }
                return (report, try await shipped)
            }
        }
        // What stopped the delivery is why there was no room for more.
        let isOutOfRoom = extracted.results.contains { ($0.error as? ExtractError)?.kind == .noRoom }
        let failure =
            interruption.failure("The run was interrupted; everything committed is kept.")
            ?? (isOutOfRoom ? shipped.failure : nil) ?? extracted.failure ?? shipped.failure
        return CommandOutcome(
            json: ["extract": extracted.json, "ship": shipped.json],
            text: (extracted.results.isEmpty ? "" : extracted.text + "\n") + shipped.text, failure: failure)
    }
}
