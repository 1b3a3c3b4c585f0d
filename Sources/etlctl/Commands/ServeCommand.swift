import ArgumentParser
import Dispatch
import HTTPServer
import JSONBytes

/// `etlctl serve`: a status page, metrics and health for this machine.
struct ServeCommand: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve a status page, /metrics and /healthz on 127.0.0.1.",
        discussion: """
            Reads the spool alone, beside whatever else works on it, until it is interrupted: / is a page for people, /metrics is \
            for Prometheus, /healthz answers 200 as long as the spool can be read. docs/monitoring.md lists the metrics.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "The port; 0 takes a free one.")
    var port: UInt16 = 8321

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let server = StatusServer(SpoolReader(try session.loadConfiguration(), session.console))
        // Nothing is uploaded here, and a client that says nothing keeps no thread.
        let listener = try HTTPListener(
            port: port, uploads: HTTPListener.UploadPolicy(limit: { 64 << 10 }),
            limits: HTTPListener.Limits(connections: 64, silence: .seconds(30))
        ) { .response(server.response(to: $0)) }
        let interruption = Interruption()
        try await interruption.run {
            try Self.announce(listener.port, session)
            do {
                while true { try await session.context.sleep(.seconds(3600)) }
            } catch is CancellationError {}
            await Self.stop(listener)
        }
        // Whoever reads standard output has the one object already.
        let status: ExitStatus = interruption.signal == 15 ? .terminated : .interrupted
        throw ExitCode(status.rawValue)
    }

    /// Whoever started it waits for this line to learn the port.
    private static func announce(_ port: UInt16, _ session: CommandSession) throws {
        let endpoint = "http://127.0.0.1:\(port)"
        let ready: JSONValue = ["endpoint": .string(endpoint)]
        try session.context.output.write(
            (session.console.options.isJSON ? ready.text : "Status page at \(endpoint)/, until interrupted.") + "\n")
    }

    /// Waits for answers that are being made, which need Swift's threads: so not on one of them.
    private static func stop(_ listener: HTTPListener) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                listener.stop()
                continuation.resume()
            }
        }
    }
}
