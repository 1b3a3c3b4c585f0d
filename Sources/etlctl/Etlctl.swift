import ArgumentParser
import Foundation

@main
struct Etlctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "etlctl",
        abstract: "Moves operational data into BigQuery through a durable local spool.",
        subcommands: [
            Init.self, ExtractCommand.self, StatusCommand.self, AuditCommand.self, RetryCommand.self,
            DiscardCommand.self,
            WatermarkCommand.self, SandboxCommand.self, CheckCommand.self, ShipCommand.self, RunCommand.self,
            ResumeCommand.self, SchemaCommand.self, SpoolCommand.self,
        ])

    static func main() async {
        Foundation.exit(
            await CommandRunner.main(Self.self, arguments: Array(CommandLine.arguments.dropFirst()), in: .process()))
    }
}
