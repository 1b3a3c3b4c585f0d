import ArgumentParser

/// How logs are written to standard error.
enum LogFormat: String, Sendable, CaseIterable, ExpressibleByArgument {
    case text
    /// One object a line with Cloud Logging's field names.
    case json
}

/// The options that every command takes.
struct GlobalOptions: ParsableArguments {
    @Option(
        help: "The configuration file (default: ETLCTL_CONFIG, else etl.yaml in this folder).", completion: .file())
    var config: String?

    @Flag(help: "Print one JSON object to standard output and nothing else.")
    var json = false

    @Flag(help: "Log warnings and errors only, and show no progress.")
    var quiet = false

    @Option(help: "How logs are written to standard error: text, or json with Cloud Logging's field names.")
    var logFormat = LogFormat.text

    @Flag(help: "Log every request and decision too.")
    var verbose = false

    func validate() throws {
        if quiet, verbose { throw ValidationError("--quiet and --verbose exclude each other.") }
    }
}
