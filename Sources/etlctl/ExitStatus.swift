import ArgumentParser
import Extract
import Foundation
import HTTPServer
import JSONBytes
import Remote
import Ship
import Spool
import Transport

/// Why a command failed, in the words scripts may rely on (`error.code` of the JSON output).
enum FailureCode: String, Sendable, CaseIterable {
    case usage
    case data
    case unavailable
    case spool
    case busy
    case denied
    case config
    case interrupted
    case `internal`
}

/// The one list of exit codes (sysexits); the README prints the same table.
enum ExitStatus: Int32, Sendable, CaseIterable {
    case done = 0
    case unexpected = 1
    case usage = 64
    case data = 65
    case sourceUnavailable = 69
    case spool = 74
    case tryAgainLater = 75
    case denied = 77
    case configuration = 78
    case interrupted = 130
    case terminated = 143

    /// What the code tells a script, in one line.
    var meaning: String {
        switch self {
        case .done: "done"
        case .unexpected: "unexpected error"
        case .usage: "usage: an argument is wrong or a stream that is named is not configured"
        case .data:
            "finished, but rows were rejected in this run, an input was broken, the mass-delete guard struck or a check failed"
        case .sourceUnavailable: "the source is unavailable after retries (also a refused TLS mode)"
        case .spool: "the spool can't be written or is damaged (disk full, I/O, corruption)"
        case .tryAgainLater:
            "the destination or spool.remote is unavailable, or another process holds the lock or keeps the spool busy: run again later, everything is safe"
        case .denied: "credentials or permission refused"
        case .configuration: "configuration (also a bucket, table, column or key that doesn't exist)"
        case .interrupted: "interrupted (SIGINT)"
        case .terminated: "terminated (SIGTERM)"
        }
    }
}

/// A command's failure as a user sees it: what was tried, on what, why it failed, and what to do next.
///
/// The initialisers below are the only place that pairs a code with an exit status. Messages never hold a secret.
struct Failure: Error, Sendable, Equatable {
    let code: FailureCode
    let status: ExitStatus
    let message: String
    let hint: String?

    /// What the process ends with.
    var exitCode: Int32 { status.rawValue }

    private init(_ code: FailureCode, _ status: ExitStatus, _ message: String, _ hint: String?) {
        self.code = code
        self.status = status
        self.message = message
        self.hint = hint
    }

    static func usage(_ message: String, hint: String? = nil) -> Failure { Failure(.usage, .usage, message, hint) }

    static func data(_ message: String, hint: String? = nil) -> Failure { Failure(.data, .data, message, hint) }

    static func sourceUnavailable(_ message: String, hint: String? = nil) -> Failure {
        Failure(.unavailable, .sourceUnavailable, message, hint)
    }

    static func destinationUnavailable(_ message: String, hint: String? = nil) -> Failure {
        Failure(.unavailable, .tryAgainLater, message, hint)
    }

    static func spool(_ message: String, hint: String? = nil) -> Failure { Failure(.spool, .spool, message, hint) }

    static func busy(_ message: String, hint: String? = nil) -> Failure {
        Failure(.busy, .tryAgainLater, message, hint)
    }

    static func denied(_ message: String, hint: String? = nil) -> Failure { Failure(.denied, .denied, message, hint) }

    static func config(_ message: String, hint: String? = nil) -> Failure {
        Failure(.config, .configuration, message, hint)
    }

    /// The end after a signal: 143 for SIGTERM (15), 130 for everything else.
    static func interrupted(signal: Int32, _ message: String, hint: String? = nil) -> Failure {
        Failure(.interrupted, signal == 15 ? .terminated : .interrupted, message, hint)
    }

    static func unexpected(_ message: String, hint: String? = nil) -> Failure {
        Failure(.internal, .unexpected, message, hint)
    }

    /// What any error means to a user. An error that no room defines is unexpected; its type's name is not shown.
    init(describing error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as ExtractError: self = .init(describing: error)
        case let error as SpoolError: self = .init(describing: error)
        case let error as RemoteError: self = .init(describing: error)
        case let error as AuthError: self = .init(describing: error)
        case let error as ListenError: self = .init(describing: error)
        case let stop as ShipStop: self = .init(describing: stop)
        case let error as BigQueryError: self = .init(describing: error)
        case let error as ValidationError: self = .usage(error.message)
        case is CancellationError: self = .interrupted(signal: 2, "Interrupted.")
        case let error as any CustomStringConvertible where !(type(of: error) is NSError.Type):
            self = .unexpected("An unexpected error ended the command: \(error.description)")
        // Foundation's errors speak for themselves; for any other without a description this names nothing internal.
        case let error as CocoaError:
            self = .unexpected("An unexpected error ended the command: \(error.localizedDescription)")
        default: self = .unexpected("An unexpected error ended the command.")
        }
    }

    private init(describing error: ExtractError) {
        let message = error.description.capitalizedSentence
        switch error.kind {
        case .unavailable: self = .sourceUnavailable(message, hint: error.hint)
        case .denied: self = .denied(message, hint: error.hint)
        case .configuration: self = .config(message, hint: error.hint)
        case .malformed, .massDelete: self = .data(message, hint: error.hint)
        case .noRoom: self = .busy(message, hint: error.hint)
        case .spoolFull: self = .spool(message, hint: error.hint)
        case .unexpected: self = .unexpected(message, hint: error.hint)
        }
    }

    private init(describing error: SpoolError) {
        let message = error.description.capitalizedSentence
        switch error {
        case .unusable, .damaged, .newer, .full, .damagedRow: self = .spool(message, hint: error.hint)
        case .locked, .busy, .stale: self = .busy(message, hint: error.hint)
        case .broken: self = .unexpected(message, hint: error.hint)
        }
    }

    private init(describing error: RemoteError) {
        let message = error.description.capitalizedSentence
        switch error {
        case .held, .lost, .uncertain: self = .busy(message, hint: error.hint)
        case .forked: self = .config(message, hint: error.hint)
        case .damaged, .newer: self = .spool(message, hint: error.hint)
        case .store(let cause):
            let failure = Failure(describing: cause)
            self =
                failure.status == .sourceUnavailable
                ? .destinationUnavailable(message, hint: error.hint)
                : Failure(failure.code, failure.status, message, error.hint)
        }
    }

    private init(describing stop: ShipStop) {
        let message = stop.message.capitalizedSentence
        switch stop.kind {
        case .denied: self = .denied(message, hint: stop.hint)
        case .configuration: self = .config(message, hint: stop.hint)
        case .unavailable: self = .destinationUnavailable(message, hint: stop.hint)
        case .badRequest: self = .unexpected(message, hint: stop.hint)
        }
    }

    private init(describing error: BigQueryError) {
        let message = error.message.capitalizedSentence
        switch error.kind {
        case .denied:
            self = .denied(
                message, hint: "Check the credentials and roles of the destination (README, first pipeline).")
        case .transient, .rateLimited:
            self = .destinationUnavailable(message, hint: "Run the same command again later.")
        case .notFound, .configuration: self = .config(message, hint: "See `etlctl check`.")
        case .alreadyExists, .preconditionFailed, .badRequest: self = .unexpected(message)
        case .cancelled: self = .interrupted(signal: 2, "Interrupted.")
        }
    }

    private init(describing error: AuthError) {
        let message = error.description.capitalizedSentence
        switch error {
        case .noCredentials, .refused:
            self = .denied(message, hint: "Set `credentials`, or run `gcloud auth application-default login`.")
        case .unreadableFile:
            self = .config(
                message, hint: "Set `credentials` to a file that works; `etlctl check --offline` looks at it.")
        case .unavailable: self = .destinationUnavailable(message)
        case .cancelled: self = .interrupted(signal: 2, "Interrupted.")
        }
    }

    private init(describing error: ListenError) {
        let message = "127.0.0.1:\(error.port) can't be listened on: "
        let hint = "choose another port with --port; 0 takes a free one."
        switch error.kind {
        case .taken: self = .busy(message + "another process has that port.", hint: "Stop it, or \(hint)")
        case .denied: self = .denied(message + "\(error.cause).", hint: hint.capitalizedSentence)
        case .other: self = .unexpected(message + "\(error.cause).", hint: hint.capitalizedSentence)
        }
    }

    /// The same failure in other words, such as without the secrets.
    func mappingTexts(_ transform: (String) -> String) -> Failure {
        Failure(code, status, transform(message), hint.map(transform))
    }

    /// The same failure with more said.
    func appending(_ text: String) -> Failure { Failure(code, status, message + text, hint) }

    /// `{"code","message","hint"}`; `hint` is null where there is nothing to add.
    var json: JSONValue {
        ["code": .string(code.rawValue), "message": .string(message), "hint": hint.map(JSONValue.string) ?? .null]
    }
}

extension Failure: CustomStringConvertible {
    /// The message with the hint below it, as it is printed for people.
    var description: String { hint.map { "\(message)\n\($0)" } ?? message }
}

extension String {
    /// As a sentence: the first letter in upper case, unless the first word is a name as it was written (`project.dataset.table`), and a full
    /// stop at the end.
    var capitalizedSentence: String {
        // Neither a URL nor a key of the configuration.
        let isWord = prefix { $0 != " " && $0 != "," }.allSatisfy { $0.isLetter || $0 == "-" || $0 == "'" }
        let text = isWord ? prefix(1).uppercased() + dropFirst() : self
        return text.hasSuffix(".") || text.hasSuffix("?") ? text : text + "."
    }
}
