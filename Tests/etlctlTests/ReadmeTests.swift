import ArgumentParser
import Foundation
import Testing

@testable import etlctl

@Suite struct ReadmeTests {
    private static let readme = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("README.md")

    @Test func `the README lists the exit codes as the program has them`() throws {
        let text = try String(contentsOf: Self.readme, encoding: .utf8)
        let section = try #require(
            text.components(separatedBy: "## Exit codes").last?.components(separatedBy: "\n## ").first)
        let rows = section.split(separator: "\n").compactMap { line -> String? in
            guard let code = line.split(separator: "|").first, Int(code.trimmingCharacters(in: .whitespaces)) != nil
            else {
                return nil
            }
            return String(line)
        }
        #expect(rows == ExitStatus.allCases.map { "\($0.rawValue) | \($0.meaning)" })
    }

    @Test func `the README names every command`() throws {
        let text = try String(contentsOf: Self.readme, encoding: .utf8)
        for command in Etlctl.configuration.subcommands {
            let name = command.configuration.commandName ?? "\(command)".lowercased()
            #expect(text.contains("etlctl \(name)"), "the README does not name etlctl \(name)")
        }
    }
}
