import ArgumentParser

@main
struct Etlctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "etlctl",
        abstract: "Moves operational data into BigQuery through a durable local spool.")
}
