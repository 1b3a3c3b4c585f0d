import ArgumentParser
import Extract
import JSONBytes
import Spool

/// `etlctl watermark`: show, set or reset how far a stream has been read.
struct WatermarkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watermark", abstract: "Show, set or reset how far a stream has been read.",
        subcommands: [WatermarkShow.self, WatermarkSet.self, WatermarkReset.self])
}

struct WatermarkShow: EtlctlCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show a stream's watermark.")

    @OptionGroup var global: GlobalOptions
    @Argument(help: "The stream.") var stream: String

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let environment = CommandEnvironment(configuration, session)
        let target = try await WatermarkTarget(stream, environment, try await environment.openSpool())
        let state = try await target.store.stream(named: stream)
        let watermark = state?.watermark
        let known = state?.knownVersions ?? 0
        var text =
            watermark.map { "\(stream): \($0.value)" + ($0.key.map { " (last: \($0))" } ?? "") }
            ?? "\(stream) has no watermark."
        if known > 0 { text += " \(Readable.count(Int64(known), "known version"))." }
        return CommandOutcome(
            json: [
                "stream": .string(stream), "value": .string(watermark?.value), "key": .string(watermark?.key),
                "known_versions": .int(known),
            ], text: text)
    }
}

struct WatermarkSet: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Go on from a value; records at it or after it are read.")

    @OptionGroup var global: GlobalOptions
    @Argument(help: "The stream.") var stream: String
    @Argument(help: "The value, as the source writes it: a time as RFC 3339, a number, a text.") var value: String

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let environment = CommandEnvironment(try session.loadConfiguration(), session)
        return try await environment.withSpool("watermark set", session) { store, _ in
            try await set(try await WatermarkTarget(stream, environment, store))
        }
    }

    private func set(_ target: WatermarkTarget) async throws -> CommandOutcome {
        let lock = try target.store.lockExtractor(of: stream, holder: target.environment.holder("watermark set"))
        defer { withExtendedLifetime(lock) {} }
        guard let configured = target.configuration.stream(named: stream) else {
            throw Failure.usage("The stream \(stream) is not configured.")
        }
        guard configured.mode == .incremental, configured.watermark != nil else {
            throw Failure.usage(
                "The stream \(stream) is read in mode \(configured.mode.rawValue), which has no watermark.",
                hint: "watermark set is for incremental streams; watermark reset forgets what is known of any stream.")
        }
        let request = target.environment.request(for: configured)
        let state = try await target.store.openStream(
            StreamDefinition(
                name: request.name, source: request.source, mode: request.mode.rawValue, endpoint: request.endpoint,
                table: request.table, identity: request.identity))
        guard let watermark = watermark(target, configured, request, state.notes) else {
            throw Failure.usage(
                "\"\(value)\" is no value that the watermark \(configured.watermark ?? "") can have.",
                hint: "Write a time as RFC 3339, such as 2025-11-25T14:57:57.425Z.")
        }
        try await target.store.setWatermark(watermark, stream: state.number, identity: request.identity)
        return CommandOutcome(
            json: ["stream": .string(stream), "value": .string(watermark.value)],
            text: "\(stream) goes on from \(watermark.value).")
    }
}

extension WatermarkSet {
    private func watermark(
        _ target: WatermarkTarget, _ stream: StreamConfiguration, _ request: ExtractRequest, _ notes: String?
    ) -> Watermark? {
        switch target.configuration.source(of: stream) {
        case .postgres: PostgresSource.watermark(value, notes: notes)
        case .mysql: MySQLSource.watermark(value, notes: notes)
        case .bigquery: BigQuerySource.watermark(value)
        default: FirestoreSource.watermark(value, for: request, notes: notes)
        }
    }
}

struct WatermarkReset: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset", abstract: "Forget watermark and known versions; the next run reads everything.",
        discussion: "Rows that are still in the spool are not spooled twice: the same version keeps its insertId.")

    @OptionGroup var global: GlobalOptions
    @Argument(help: "The stream.") var stream: String

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let environment = CommandEnvironment(try session.loadConfiguration(), session)
        return try await environment.withSpool("watermark reset", session) { store, _ in
            let target = try await WatermarkTarget(stream, environment, store)
            let lock = try store.lockExtractor(of: stream, holder: target.environment.holder("watermark reset"))
            defer { withExtendedLifetime(lock) {} }
            if let state = try await store.stream(named: stream) {
                try await store.resetPosition(stream: state.number)
            }
            return CommandOutcome(
                json: ["stream": .string(stream), "value": .null],
                text: "\(stream) begins anew with the next extract.")
        }
    }
}

/// The stream a watermark command is about.
private struct WatermarkTarget {
    let configuration: Configuration
    let environment: CommandEnvironment
    let store: SpoolStore

    init(_ stream: String, _ environment: CommandEnvironment, _ store: SpoolStore) async throws {
        configuration = environment.configuration
        self.environment = environment
        self.store = store
        _ = try await StreamSelection(configuration, store).names([stream])
    }
}
