import ArgumentParser
import Foundation
import JSONBytes
import Sandbox

/// `etlctl sandbox`: a local stand-in for BigQuery.
struct SandboxCommand: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "sandbox",
        abstract: "Run a local stand-in for BigQuery, to try things and rehearse failures against.",
        discussion: """
            Listens on 127.0.0.1 only, until it is interrupted. Set destination.endpoint to the address it prints. \
            Faults are described in docs/sandbox.md, for example: --fault status=503,rate=0.05,on=insertAll
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "The port; 0 takes a free one.")
    var port: UInt16 = 9050

    @Option(help: "Keep the data in this folder; in memory by default.", completion: .directory)
    var data: String?

    @Option(help: "A failure to rehearse; may be given several times.")
    var fault: [String] = []

    func run(in session: CommandSession) async throws -> CommandOutcome {
        var configuration = SandboxConfiguration()
        configuration.port = port
        configuration.dataFolder = data.map {
            FilePaths.resolve(
                $0, below: session.context.workingDirectory, home: session.context.environment["HOME"])
        }
        do { configuration.faults = try fault.map { try Fault(parsing: $0) } } catch {
            throw Failure.usage("\(error)".capitalizedSentence, hint: "docs/sandbox.md lists the faults.")
        }
        let server: SandboxServer
        do {
            server = try SandboxServer(configuration)
            try server.start()
        } catch {
            let cause = (error as? CocoaError)?.localizedDescription ?? "\(error)".capitalizedSentence
            throw Failure.unexpected(
                "The sandbox can't start: \(cause)", hint: "Choose another --port or --data, or leave them out.")
        }
        defer { server.stop() }
        // Whoever started it waits for this line to learn the port.
        let ready: JSONValue = ["endpoint": .string(server.endpoint)]
        try session.context.output.write(
            (session.console.options.isJSON ? ready.text : "Sandbox at \(server.endpoint), until interrupted.") + "\n")
        let interruption = Interruption()
        do {
            try await interruption.run {
                while true { try await session.context.sleep(.seconds(3600)) }
            }
        } catch is CancellationError {}
        // A signal is how a sandbox ends; the object with --json is printed already.
        throw ExitCode.success
    }
}
