import JSONBytes
import Logging

/// A command's voice: its result on standard output, everything else on standard error.
struct Console: Sendable {
    let context: CommandContext
    let options: GlobalOptions.Output
    let diagnostics: Diagnostics
    /// Fields (`metadata`) become members of a JSON log line.
    let log: Logger

    init(context: CommandContext, options: GlobalOptions.Output) {
        let diagnostics = Diagnostics(context.diagnostics)
        let level: Logger.Level = options.isQuiet ? .warning : options.isVerbose ? .debug : .info
        diagnostics.conceal(Self.secretVariables.compactMap { context.environment[$0] }.map(SecretString.init))
        self.context = context
        self.options = options
        self.diagnostics = diagnostics
        log = Logger(label: "etlctl") { _ in
            switch options.logFormat {
            case .text: TextLogHandler(diagnostics: diagnostics, logLevel: level)
            case .json: JSONLogHandler(diagnostics: diagnostics, now: context.now, logLevel: level)
            }
        }
    }

    /// The SDKs' variables that hold a secret.
    private static let secretVariables = [
        "PGPASSWORD", "MYSQL_PWD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_KEY",
        "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN",
    ]

    /// Prints what the command ends with: with `--json` one object on standard output, `error` in it where it failed;
    /// otherwise the text there and the failure on standard error.
    ///
    /// - Throws: where standard output can't be written. A reader that has gone away is no error.
    func finish(_ outcome: CommandOutcome) throws(Failure) {
        diagnostics.setStatus("")
        let failure = outcome.failure.map(redacted)
        if options.isJSON {
            let object = failure.map { outcome.json.with("error", $0.json) } ?? outcome.json
            try context.output.write(object.text + "\n")
        } else if !outcome.text.isEmpty {
            try context.output.write(outcome.text.hasSuffix("\n") ? outcome.text : outcome.text + "\n")
        }
        if let failure { report(failure) }
    }

    /// Writes a failure to standard error, also with `--quiet`.
    func report(_ failure: Failure) {
        switch options.logFormat {
        case .text: log.error("\(failure.description)")
        case .json:
            var fields: Logger.Metadata = ["code": "\(failure.code.rawValue)"]
            fields["exit_code"] = .stringConvertible(failure.exitCode)
            if let hint = failure.hint { fields["hint"] = .string(hint) }
            log.error("\(failure.message)", metadata: fields)
        }
    }

    private func redacted(_ failure: Failure) -> Failure {
        failure.mappingTexts { diagnostics.redacted($0) }
    }
}

/// What a command ends with.
struct CommandOutcome: Sendable, Equatable {
    /// An object, in the member order of the contract.
    var json: JSONValue = [:]
    /// The same for people.
    var text = ""
    /// Why the exit code is not 0; a command can have a result and fail.
    var failure: Failure?
}

extension GlobalOptions {
    /// How a command speaks.
    struct Output: Sendable, Equatable {
        var isJSON = false
        var isQuiet = false
        var isVerbose = false
        var logFormat = LogFormat.text
    }

    var output: Output { Output(isJSON: json, isQuiet: quiet, isVerbose: verbose, logFormat: logFormat) }
}
