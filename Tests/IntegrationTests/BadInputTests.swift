import Foundation
import JSONBytes
import TestSupport
import Testing

@Suite(.firestoreEmulator) struct BadInputTests {
    /// What is wrong, the exit code, and a word the message must hold.
    @Test(arguments: [
        ("mode: changes", "mode: chnages", Int32(78), "changes"),
        ("mode: changes", "mdoe: changes", 78, "mode"),
        ("mode: changes", "mode: changes, table: \"${NO_SUCH_NAME}\"", 78, "NO_SUCH_NAME"),
        ("source: app", "source: ap", 78, "app"),
        ("mode: changes", "watermark: _updated_at", 78, "changes"),
        ("from: memos", "from: memos/m1", 78, "collection"),
        ("dataset: d", "dataset: d, credentials: missing.json", 78, "missing.json"),
        ("sources:", "spool: {remote: \"ftp://host/etl\"}\nsources:", 78, "gs://bucket/"),
    ])
    func `a configuration that can't work is refused with its line and changes nothing`(
        old: String, new: String, code: Int32, word: String
    ) async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<3)
            #expect(try await pipeline.program.run("extract").code == 0)
            try pipeline.reconfigure(old, new)
            let outcome = try await pipeline.program.run("ship", "--json")
            #expect(outcome.code == code)
            #expect(try outcome.json()["error"]?["code"] == "config")
            #expect(outcome.diagnostics.contains(word), "\(outcome.diagnostics)")
            try pipeline.reconfigure(new, old)
            #expect(try await pipeline.stream("status")["pending"]?.intValue == 3)
        }
    }

    @Test func `two streams into one table are refused`() async throws {
        try await Pipeline.with(
            streams: Pipeline.memos + "\n  others: {source: app, from: others, mode: changes, table: memos}"
        ) { pipeline in
            let outcome = try await pipeline.program.run("extract")
            #expect(outcome.code == 78)
            #expect(outcome.diagnostics.contains("memos"))
        }
    }

    @Test(arguments: [
        ("mode: changes", "mode: incremental, watermark: last_modified"), ("from: memos", "from: others"),
        ("mode: changes", "mode: changes, table: elsewhere"),
    ])
    func `a position that belongs to something else stops the stream until it is reset`(
        old: String, new: String
    ) async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<3)
            try await pipeline.seed(0..<3, collection: "others")
            #expect(try await pipeline.program.run("extract").code == 0)
            try pipeline.reconfigure(old, new)
            let outcome = try await pipeline.program.run("extract")
            #expect(outcome.code == 78)
            #expect(outcome.diagnostics.contains("watermark reset memos"))
            #expect(try await pipeline.program.run("watermark", "reset", "memos").code == 0)
            #expect(try await pipeline.program.run("extract").code == 0)
        }
    }

    @Test func `a collection that does not exist is a warning, not an error`() async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            let outcome = try await pipeline.program.run("extract", "--json")
            #expect(outcome.code == 0)
            let stream = try outcome.json()["streams"]?.arrayValue?.first
            #expect(stream?["status"] == "complete")
            #expect(stream?["rows_read"]?.intValue == 0)
            #expect(stream?["warnings"]?.arrayValue?.first?["code"] == "no_documents")
        }
    }

    @Test func `a spool of a newer version, and a file that is none, are left as they are`() async throws {
        for text in ["this is no database, whatever its name says", nil] {
            try await Pipeline.with(streams: Pipeline.memos) { pipeline in
                let path = pipeline.program.folder + "/var/spool.sqlite"
                if let text {
                    try FileManager.default.createDirectory(
                        atPath: pipeline.program.folder + "/var", withIntermediateDirectories: true)
                    try text.write(toFile: path, atomically: true, encoding: .utf8)
                } else {
                    _ = try await pipeline.program.run("status")
                    let handle = try #require(FileHandle(forUpdatingAtPath: path))
                    // The header's user version (SQLite file format, offset 60).
                    try handle.seek(toOffset: 60)
                    try handle.write(contentsOf: Data([0, 0, 0, 99]))
                    try handle.close()
                    for end in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + end) }
                }
                let before = try Data(contentsOf: URL(fileURLWithPath: path))
                for command in ["extract", "ship", "status"] {
                    let outcome = try await pipeline.program.run(command, "--json")
                    #expect(outcome.code == 74)
                    #expect(try outcome.json()["error"]?["code"] == "spool")
                }
                #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
            }
        }
    }

    @Test func `a stream that is not configured is a usage error`() async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            for command in ["extract", "ship", "run", "audit", "retry"] {
                let outcome = try await pipeline.program.run(command, "memo", "--json")
                #expect(outcome.code == 64, "\(command)")
                #expect(try outcome.json()["error"]?["code"] == "usage")
                #expect(outcome.diagnostics.contains("memos"))
            }
        }
    }
}
