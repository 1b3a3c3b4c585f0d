import Foundation
import TestSupport
import Testing

/// The names of a new spool and of the folders made for it are synced: a power cut must not take the file away as a whole.
@Suite struct NewSpoolTests {
    private static let strace = "/usr/bin/strace"

    @Test(.enabled(if: access(strace, X_OK) == 0, "needs strace"))
    func `every folder that got a new entry is synced before anything is committed`() async throws {
        try await withTemporaryFolder { folder in
            let configuration = """
                spool: {path: a/b/spool.sqlite}
                destination: {project: p, dataset: d, endpoint: "http://127.0.0.1:9"}
                sources:
                  drops: {type: files, url: drops}
                streams:
                  lines: {source: drops, from: "*.jsonl"}

                """
            try configuration.write(toFile: folder + "/etl.yaml", atomically: true, encoding: .utf8)
            try ChildProcess.run([
                Self.strace, "-f", "-e", "trace=mkdir,openat,fsync,fdatasync,close", "-o", folder + "/calls",
                EtlctlProcess.binary, "status", "--config", folder + "/etl.yaml",
            ])
            let calls = try String(contentsOfFile: folder + "/calls", encoding: .utf8).split(separator: "\n")
            for (entry, parent) in [("a", ""), ("a/b", "/a"), ("a/b/spool.sqlite", "/a/b")] {
                let made = try #require(
                    calls.firstIndex {
                        $0.contains("\"\(folder)/\(entry)\", ") && ($0.contains("O_CREAT") || $0.contains("mkdir"))
                            && !$0.contains("= -1")
                    }, "\(entry) is made")
                let opened = try #require(
                    calls[made...].firstIndex { $0.contains("openat(AT_FDCWD, \"\(folder)\(parent)\", ") },
                    "the folder of \(entry) is opened")
                let descriptor = calls[opened].split(separator: " ").last ?? ""
                #expect(
                    calls[opened...].dropFirst().first.map { $0.contains("sync(\(descriptor))") } ?? false,
                    "the folder of \(entry) is synced")
            }
        }
    }
}
