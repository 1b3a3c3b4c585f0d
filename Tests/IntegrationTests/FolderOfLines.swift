import Foundation
import JSONBytes
import Sandbox
import TestSupport

/// A folder of JSON lines as source, a stand-in for BigQuery, and the program between them.
final class FolderOfLines {
    let sandbox: SandboxServer
    let program: EtlctlProcess
    /// Lines written so far, numbered from 0; the number is the row's `_id`.
    private(set) var count = 0

    /// - Parameters:
    ///   - destination: more keys of the destination, as YAML in one line.
    ///   - spool: more keys of the spool, each with a comma before it.
    init(_ folder: String, _ sandbox: SandboxServer, destination: String, spool: String = "") throws {
        self.sandbox = sandbox
        program = EtlctlProcess(folder: folder)
        try FileManager.default.createDirectory(atPath: folder + "/drops", withIntermediateDirectories: true)
        let text = """
            spool: {path: spool.sqlite\(spool)}
            destination: {project: p, dataset: d, endpoint: "\(sandbox.endpoint)", latest_views: false, \(destination)}
            sources:
              drops: {type: files, url: drops}
            streams:
              lines: {source: drops, from: "*.jsonl", mode: incremental, key: [id]}

            """
        try text.write(toFile: folder + "/etl.yaml", atomically: true, encoding: .utf8)
    }

    /// Lends a folder and a stand-in of its own to the body.
    static func with(
        destination: String, spool: String = "", _ body: (FolderOfLines) async throws -> Void
    ) async throws {
        let sandbox = try SandboxServer()
        try sandbox.start()
        defer { sandbox.stop() }
        try await withTemporaryFolder { folder in
            try await body(try FolderOfLines(folder, sandbox, destination: destination, spool: spool))
        }
    }

    var spoolPath: String { program.folder + "/spool.sqlite" }

    /// Writes a file of so many more lines.
    @discardableResult
    func write(_ lines: Int, bytes: Int = 10) throws -> Range<Int> {
        let numbers = count..<count + lines
        let text = String(repeating: "x", count: bytes)
        let content = numbers.map { "{\"id\":\($0),\"text\":\"\(text)\"}\n" }.joined()
        try content.write(
            toFile: "\(program.folder)/drops/\(String(format: "%08d", numbers.lowerBound)).jsonl", atomically: true,
            encoding: .utf8)
        count += lines
        return numbers
    }

    /// What SQLite's own shell reads in the spool.
    @discardableResult
    func spool(_ query: String) throws -> String { try ChildProcess.run(["sqlite3", spoolPath, query]) }

    /// Each row's state by its insertId.
    func states(_ numbers: Range<Int>) throws -> [String: String] {
        let text = try spool(
            """
            SELECT insert_id || ' ' || state FROM spooled_rows
            WHERE CAST(id AS INTEGER) BETWEEN \(numbers.lowerBound) AND \(numbers.upperBound - 1)
            """)
        let pairs = text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        return Dictionary(uniqueKeysWithValues: pairs.map { ($0[0], $0[1]) })
    }

    /// The insertIds of rows that the destination holds.
    func arrived(_ numbers: Range<Int>) throws -> Set<String> {
        Set(
            try sandbox.state.rows(of: "p.d.lines").filter { row in
                row["_id"]?.stringValue.flatMap { Int($0) }.map(numbers.contains) ?? false
            }.compactMap { $0["_insert_id"]?.stringValue })
    }
}
