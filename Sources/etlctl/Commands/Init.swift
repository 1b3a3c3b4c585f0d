import ArgumentParser
import Foundation
import JSONBytes

/// `etlctl init`: a configuration file to start from.
struct Init: EtlctlCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a commented etl.yaml to start from.",
        discussion: """
            Writes the file the other commands would read: --config, else ETLCTL_CONFIG, else etl.yaml in this \
            folder. A file that is there already is never overwritten (exit code 64).
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "The type of the first source: firestore, postgres, mysql, bigquery or files.")
    var source = SourceKind.firestore

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let context = session.context
        let (path, name) = ConfigurationLoader.locate(
            flag: session.configurationFlag, environment: context.environment,
            workingDirectory: context.workingDirectory)
        do {
            try Data(InitTemplate.text(for: source).utf8).write(
                to: URL(fileURLWithPath: path), options: .withoutOverwriting)
        } catch {
            throw refusal(path: path, name: name, error: error)
        }
        return CommandOutcome(
            json: ["path": .string(path), "source": .string(source.rawValue)],
            text: """
                Wrote \(name). What to do next:
                  1. Put your project, dataset and source into it; \(InitTemplate.variables(for: source))
                  2. etlctl check      looks at credentials, permissions and schemas
                  3. etlctl run        extracts into the spool and ships to BigQuery
                """)
    }

    private func refusal(path: String, name: String, error: any Error) -> Failure {
        if FileManager.default.fileExists(atPath: path) {
            return .usage(
                "\(name) is there already, and init never overwrites.",
                hint: "Remove it first, or write another one with --config PATH.")
        }
        let folder = FilePaths.parent(of: path)
        guard FileManager.default.fileExists(atPath: folder) else {
            return .config("\(name) can't be written: the folder \(folder) does not exist.", hint: "Create it first.")
        }
        return .config(
            "\(name) can't be written into \(folder): permission denied or the disk is full.",
            hint: "Choose another place with --config PATH.")
    }
}

extension SourceKind: ExpressibleByArgument {}
