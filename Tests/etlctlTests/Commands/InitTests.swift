import Foundation
import Testing

@testable import etlctl

@Suite struct InitTests {
    private func run(_ arguments: [String], in test: TestContext, folder: String) async -> Int32 {
        await CommandRunner.main(
            Etlctl.self, arguments: ["init"] + arguments, in: test.context(workingDirectory: folder))
    }

    @Test(arguments: SourceKind.allCases)
    func `every template loads once its variables are set`(_ kind: SourceKind) async throws {
        try await withTemporaryFolder { folder in
            #expect(await run(["--source", kind.rawValue], in: TestContext(), folder: folder) == 0)
            let configuration = try ConfigurationLoader.load(
                flag: nil, environment: ["SOURCE_PASSWORD": "pw"], workingDirectory: folder)
            #expect(configuration.streams.map(\.kind) == [kind])
            #expect(configuration.streams[0].mode == .incremental)
            #expect(configuration.destination.dataset == "raw_data")
        }
    }

    @Test(arguments: SourceKind.allCases)
    func `every commented line of a template is one the decoder takes`(_ kind: SourceKind) throws {
        // Taken alone: some of them exclude each other.
        let lines = InitTemplate.text(for: kind).split(separator: "\n", omittingEmptySubsequences: false)
        var tried = 0
        for (index, line) in lines.enumerated() {
            guard let hash = line.firstIndex(of: "#"), line[..<hash].allSatisfy({ $0 == " " }), hash != line.startIndex
            else { continue }
            let content = line[line.index(after: hash)...].drop { $0 == " " }
            var copy = lines
            copy[index] = line[..<hash] + content
            let key = content.prefix { $0 != ":" }
            // `mode` stands in the files' template already.
            guard !lines.contains(where: { $0.hasPrefix("\(line[..<hash])\(key):") }) else { continue }
            tried += 1
            #expect(throws: Never.self, "\(content)") {
                try decode(copy.joined(separator: "\n"), environment: ["SOURCE_PASSWORD": "pw"])
            }
        }
        #expect(tried > 5)
    }

    @Test func `a file that is there is not overwritten`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/etl.yaml"
            try Data("mine".utf8).write(to: URL(fileURLWithPath: path))
            let test = TestContext()
            #expect(await run(["--json"], in: test, folder: folder) == 64)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "mine")
            #expect(test.output.hasPrefix(#"{"error":{"code":"usage","message":"etl.yaml is there already"#))
        }
    }

    @Test func `the file goes where the flag says`() async throws {
        try await withTemporaryFolder { folder in
            let test = TestContext()
            #expect(await run(["--config", "other.yaml", "--json"], in: test, folder: folder) == 0)
            #expect(test.output == "{\"path\":\"\(folder)/other.yaml\",\"source\":\"firestore\"}\n")
            #expect(FileManager.default.fileExists(atPath: folder + "/other.yaml"))
            #expect(await run(["--config", "none/other.yaml"], in: test, folder: folder) == 78)
        }
    }

    @Test func `a wrong argument is a usage error, in json too`() async throws {
        let test = TestContext()
        #expect(await run(["--source", "oracle", "--json"], in: test, folder: "/") == 64)
        #expect(test.output.hasPrefix(#"{"error":{"code":"usage","message":""#))
        #expect(test.output.hasSuffix("\n"))
        #expect(test.diagnostics.contains("Usage: etlctl init"))
        #expect(await run(["--quiet", "--verbose"], in: test, folder: "/") == 64)
    }

    @Test func `help goes to standard output and is no failure`() async {
        let test = TestContext()
        #expect(await run(["--help"], in: test, folder: "/") == 0)
        #expect(test.output.contains("--source"))
        #expect(test.diagnostics.isEmpty)
    }
}
