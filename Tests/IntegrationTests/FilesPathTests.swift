import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

@Suite struct FilesPathTests {
    private func withFiles(
        _ stream: String, _ files: [String: String], _ body: (EtlctlProcess, SandboxServer) async throws -> Void
    ) async throws {
        let sandbox = try SandboxServer()
        try sandbox.start()
        defer { sandbox.stop() }
        try await withTemporaryFolder { folder in
            try FileManager.default.createDirectory(atPath: folder + "/drops", withIntermediateDirectories: true)
            for (name, text) in files {
                try text.write(toFile: folder + "/drops/" + name, atomically: true, encoding: .utf8)
            }
            let text = """
                destination: {project: p, dataset: d, endpoint: "\(sandbox.endpoint)"}
                sources:
                  drops: {type: files, url: drops}
                streams:
                  lines: {source: drops, \(stream)}

                """
            try text.write(toFile: folder + "/etl.yaml", atomically: true, encoding: .utf8)
            try await body(EtlctlProcess(folder: folder), sandbox)
        }
    }

    @Test func `files arrive in the table, and the latest view shows every row that has no key`() async throws {
        let files = ["a.jsonl": "{\"id\":1,\"v\":\"x\"}\n{\"v\":\"y\"}\n{\"v\":\"z\"}\n{\"id\":null,\"v\":\"u\"}\n"]
        for stream in ["from: \"*.jsonl\", mode: incremental", "from: \"*.jsonl\", mode: incremental, key: [id]"] {
            try await withFiles(stream, files) { program, sandbox in
                let outcome = try await program.run("run", "--json")
                #expect(outcome.code == 0, "\(outcome.diagnostics)")
                let shown = try sandbox.state.rows(of: "p.d.lines_latest").compactMap { $0["v"]?.stringValue }
                #expect(shown.sorted() == ["u", "x", "y", "z"], "\(stream)")
                #expect(try await program.run("audit", "destination").code == 0)
                let again = try await program.run("extract", "--json").json()
                #expect(again["streams"]?.arrayValue?.first?["rows_spooled"]?.intValue == 0)
            }
        }
    }

    @Test func `a line that can't be parsed is rejected with its text, and the exit code says so`() async throws {
        try await withFiles("from: \"*.csv\"", ["a.csv": "id,name\n1,one\n2,\"tw\"o\n3,three\n"]) { program, _ in
            let outcome = try await program.run("extract", "--json")
            #expect(outcome.code == 65, "\(outcome.output)")
            let rejected = try await program.run("audit", "rows", "--state", "rejected", "--json").json()["rows"]?
                .arrayValue
            #expect(rejected?.count == 1)
            #expect(rejected?.first?["reason"] == "bad_line")
            #expect(try await program.run("ship").code == 0)
            #expect(try await program.run("audit").code == 0)
        }
    }
}
