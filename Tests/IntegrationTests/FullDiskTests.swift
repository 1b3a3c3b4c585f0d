import Foundation
import Glibc
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// The spool on a file system of three megabytes, far too small for what is to be read.
@Suite(.enabled(if: SmallDisk.mayBeMounted, "needs root, and leave to mount a file system")) struct FullDiskTests {
    private static func withSmallDisk(_ folder: String, _ body: (String) async throws -> Void) async throws {
        let disk = folder + "/disk"
        try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
        try #require(SmallDisk.mount(at: disk))
        do { try await body(disk) } catch {
            umount2(disk, Int32(MNT_DETACH))
            throw error
        }
        umount2(disk, Int32(MNT_DETACH))
    }

    private static func withPipeline(
        rows: Int, _ body: (EtlctlProcess, SandboxServer, _ disk: String) async throws -> Void
    ) async throws {
        let sandbox = try SandboxServer()
        try sandbox.start()
        defer { sandbox.stop() }
        try await withTemporaryFolder { folder in
            try await withSmallDisk(folder) { disk in
                let text = (0..<rows).map { "{\"id\":\($0),\"text\":\"\(String(repeating: "x", count: 200))\"}\n" }
                try FileManager.default.createDirectory(atPath: folder + "/drops", withIntermediateDirectories: true)
                try text.joined().write(toFile: folder + "/drops/a.jsonl", atomically: true, encoding: .utf8)
                let configuration = """
                    spool: {path: "\(disk)/spool.sqlite"}
                    destination: {project: p, dataset: d, endpoint: "\(sandbox.endpoint)"}
                    sources:
                      drops: {type: files, url: drops}
                    streams:
                      lines: {source: drops, from: "*.jsonl", mode: incremental, key: [id]}

                    """
                try configuration.write(toFile: folder + "/etl.yaml", atomically: true, encoding: .utf8)
                try await body(EtlctlProcess(folder: folder), sandbox, disk)
            }
        }
    }

    @Test func `extract ends with 74, ship drains, and in turns everything arrives once`() async throws {
        let rows = 12_000
        try await Self.withPipeline(rows: rows) { program, sandbox, _ in
            var turns = 0
            var isComplete = false
            while !isComplete {
                turns += 1
                guard turns < 20 else {
                    Issue.record("no end after 20 turns")
                    return
                }
                let extracted = try await program.run("extract", "--json")
                isComplete = extracted.code == 0
                if !isComplete {
                    #expect(extracted.code == 74)
                    #expect(try extracted.json()["error"]?["code"] == "spool")
                    #expect(extracted.diagnostics.contains("the disk is full"))
                    #expect(extracted.diagnostics.contains("etlctl ship"))
                }
                #expect(try await program.run("audit", "--json").json()["balanced"] == true)
                let shipped = try await program.run("ship", "--settle", "0s", "--json")
                #expect(shipped.code == 0, "\(shipped.diagnostics)")
                #expect(try shipped.json()["status"] == "drained")
            }
            #expect(turns > 2, "the disk was too large to prove anything")
            #expect(try sandbox.state.rowCount(of: "p.d.lines") == rows)
            #expect(Set(try sandbox.state.rows(of: "p.d.lines").compactMap { $0["_id"]?.stringValue }).count == rows)
            #expect(try await program.run("audit").code == 0)
        }
    }

    @Test func `ship drains also when something else has taken the last byte`() async throws {
        try await Self.withPipeline(rows: 12_000) { program, sandbox, disk in
            #expect(try await program.run("extract").code == 74)
            var status = statvfs()
            statvfs(disk, &status)
            let free = Int(status.f_bavail) * Int(status.f_frsize)
            try Data(count: free).write(to: URL(fileURLWithPath: disk + "/other"))
            let spooled = try await program.run("status", "--json").json()["streams"]?.arrayValue?.first?["pending"]?
                .intValue
            let shipped = try await program.run("ship", "--settle", "0s", "--json")
            #expect(shipped.code == 0, "\(shipped.diagnostics)")
            #expect(try sandbox.state.rowCount(of: "p.d.lines") == spooled.map { Int($0) })
            // The reserve is used up: nothing is spooled until it can be set aside again.
            #expect(try await program.run("extract").code == 74)
            try FileManager.default.removeItem(atPath: disk + "/other")
            let again = try await program.run("extract", "--json")
            #expect(
                try again.json()["streams"]?.arrayValue?.first?["rows_spooled"]?.intValue ?? 0 > 0, "\(again.output)")
            #expect(try await program.run("audit", "--json").json()["balanced"] == true)
        }
    }
}

private enum SmallDisk {
    static func mount(at path: String) -> Bool { Glibc.mount("tmpfs", path, "tmpfs", 0, "size=3m") == 0 }

    /// Found out by doing it: a container's root may not.
    static let mayBeMounted: Bool = {
        var template = Array("/tmp/etlctl-disk-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { return false }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { rmdir(path) }
        guard mount(at: path) else { return false }
        umount2(path, Int32(MNT_DETACH))
        return true
    }()
}
