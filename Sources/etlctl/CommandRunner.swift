import ArgumentParser
import Foundation
import JSONBytes

/// A command of `etlctl`: arguments in, an outcome out. It prints nothing itself but logs and progress.
protocol EtlctlCommand: AsyncParsableCommand {
    var global: GlobalOptions { get }

    /// - Returns: the result, with a failure in it where part of the work failed.
    /// - Throws: a `Failure`, or an error of a room that `Failure(describing:)` knows, where there is no result.
    func run(in session: CommandSession) async throws -> CommandOutcome
}

extension EtlctlCommand {
    /// `CommandRunner` runs commands; this is for ArgumentParser's own entry point.
    func run() async throws {
        let status = await CommandRunner.run(self, in: .process())
        if status != 0 { throw ExitCode(status) }
    }
}

/// What a running command works with.
struct CommandSession: Sendable {
    let context: CommandContext
    let console: Console
    /// `--config`.
    let configurationFlag: String?

    /// Reads the configuration file, and keeps the passwords it holds out of everything printed from now on.
    func loadConfiguration() throws(Failure) -> Configuration {
        let configuration = try ConfigurationLoader.load(
            flag: configurationFlag, environment: context.environment, workingDirectory: context.workingDirectory)
        console.diagnostics.conceal(configuration.secrets)
        return configuration
    }
}

/// The one way from arguments to an exit code.
enum CommandRunner {
    /// Parses, runs and prints.
    ///
    /// - Returns: the exit code.
    static func main(_ root: any ParsableCommand.Type, arguments: [String], in context: CommandContext) async -> Int32 {
        var command: any ParsableCommand
        do {
            command = try root.parseAsRoot(arguments)
        } catch {
            return end(root, with: error, arguments: arguments, in: context)
        }
        if let command = command as? any EtlctlCommand { return await run(command, in: context) }
        do {
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return 0
        } catch {
            return end(root, with: error, arguments: arguments, in: context)
        }
    }

    /// Runs a parsed command and prints its outcome.
    static func run(_ command: some EtlctlCommand, in context: CommandContext) async -> Int32 {
        // A reader that goes away must not end the process in the middle of a transaction.
        signal(SIGPIPE, SIG_IGN)
        let console = Console(context: context, options: command.global.output)
        let session = CommandSession(
            context: context, console: console, configurationFlag: command.global.config)
        var outcome: CommandOutcome
        do {
            outcome = try await command.run(in: session)
        } catch let exit as ExitCode {
            return exit.rawValue
        } catch {
            outcome = CommandOutcome(failure: Failure(describing: error))
        }
        do {
            try console.finish(outcome)
        } catch {
            console.report(error)
            return outcome.failure?.exitCode ?? error.exitCode
        }
        return outcome.failure?.exitCode ?? 0
    }

    /// Help and version texts, and arguments that can't be parsed.
    private static func end(
        _ root: any ParsableCommand.Type, with error: any Error, arguments: [String], in context: CommandContext
    ) -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        let code = root.exitCode(for: error)
        let text = root.fullMessage(for: error)
        guard !code.isSuccess else {
            do { try context.output.write(text + "\n") } catch { return error.exitCode }
            return 0
        }
        let failure = Failure.usage(root.message(for: error), hint: "See `etlctl --help`.")
        if arguments.prefix(while: { $0 != "--" }).contains("--json") {
            let object: JSONValue = ["error": failure.json]
            do { try context.output.write(object.text + "\n") } catch { return error.exitCode }
        }
        let words = arguments.prefix { $0 != "--" }
        if zip(words, words.dropFirst()).contains(where: { $0 == ("--log-format", "json") })
            || words.contains("--log-format=json")
        {
            var options = GlobalOptions.Output()
            options.logFormat = .json
            Console(context: context, options: options).report(failure)
        } else {
            Diagnostics(context.diagnostics).line(text)
        }
        return failure.exitCode
    }
}
