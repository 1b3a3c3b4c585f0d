import ArgumentParser
import JSONBytes
import Spool

/// `etlctl retry`: rejected rows, or delivered ones by time, become pending again.
struct RetryCommand: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry",
        abstract: "Make rejected rows pending again, or rows delivered before a moment.",
        discussion: """
            The rows keep their insertIds and their history. --delivered-before is for a table that was recreated or \
            emptied: it works for rows that retention still keeps.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The streams; all of them by default.")
    var streams: [String] = []

    @Option(help: "Only rows rejected with this reason.")
    var reason: String?

    @Option(help: "Only rows with this _id.")
    var id: String?

    @Option(help: "Rows delivered before this moment (RFC 3339) instead of rejected ones.")
    var deliveredBefore: MomentArgument?

    func validate() throws {
        if deliveredBefore != nil, reason != nil {
            throw ValidationError("--reason is for rejected rows; --delivered-before for delivered ones.")
        }
    }

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let environment = CommandEnvironment(configuration, session)
        return try await environment.withSpool("retry", session) { store, _ in
            var filter = RowFilter()
            filter.streams = try await StreamSelection(configuration, store).names(streams)
            filter.reason = reason
            filter.id = id
            let count: Int
            if let moment = deliveredBefore?.moment {
                count = try await store.retryDelivered(before: moment, filter)
            } else {
                count = try await store.retryRejected(filter)
            }
            return CommandOutcome(
                json: ["retried": .int(count)],
                text: "\(Readable.count(Int64(count), "row")) pending again."
                    + (count > 0 ? " etlctl ship sends them under the same insertIds." : ""))
        }
    }
}

/// `etlctl discard`: an operator's decision that rows are not delivered.
struct DiscardCommand: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "Take rows out of delivery for good, with a reason.",
        discussion: "Rows that are pending, in doubt or rejected; they stay in the ledger as discarded.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The streams; all of them by default.")
    var streams: [String] = []

    @Option(help: "Why; kept with the rows.")
    var why: String

    @Option(help: "Only rows with this _id.")
    var id: String?

    @Option(help: "Only rows in this state: pending, in_doubt or rejected.")
    var state: RowState?

    func validate() throws {
        guard (id == nil) != (state == nil) else { throw ValidationError("Give either --id or --state.") }
        if why.allSatisfy(\.isWhitespace) { throw ValidationError("--why must say why.") }
        if let state, ![.pending, .inDoubt, .rejected].contains(state) {
            throw ValidationError("Rows that are \(state.rawValue) can't be discarded.")
        }
    }

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let environment = CommandEnvironment(configuration, session)
        return try await environment.withSpool("discard", session) { store, _ in
            var filter = RowFilter()
            filter.streams = try await StreamSelection(configuration, store).names(streams)
            filter.id = id
            filter.state = state
            let count = try await store.discard(filter, why: why)
            return CommandOutcome(
                json: ["discarded": .int(count)], text: "\(Readable.count(Int64(count), "row")) discarded.")
        }
    }
}

/// A moment on the command line, as RFC 3339; without an offset it is UTC.
struct MomentArgument: Sendable, ExpressibleByArgument {
    let moment: Timestamp

    init?(argument: String) {
        guard let moment = Timestamp(rfc3339: argument, zoneIsOptional: true) else { return nil }
        self.moment = moment
    }
}
