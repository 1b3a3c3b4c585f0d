import Foundation
import JSONBytes
import Sandbox
import TestSupport

/// A source of any type, a stand-in for BigQuery, and a folder with a configuration.
struct SQLPipeline: Sendable {
    let sandbox: SandboxServer
    let program: EtlctlProcess

    /// - Parameters:
    ///   - source: the source `shop` as YAML in one line.
    ///   - stream: the stream `orders` as YAML in one line, without its source.
    static func with<Result>(
        source: String, stream: String, environment: [String: String] = [:],
        _ body: (SQLPipeline) async throws -> Result
    ) async throws -> Result {
        let sandbox = try SandboxServer(SandboxConfiguration())
        try sandbox.start()
        defer { sandbox.stop() }
        return try await withTemporaryFolder { folder in
            let text = """
                spool: {path: spool.sqlite}
                destination: {project: p, dataset: d, endpoint: "\(sandbox.endpoint)"}
                sources:
                  shop: \(source)
                streams:
                  orders: {source: shop, \(stream)}

                """
            try text.write(toFile: folder + "/etl.yaml", atomically: true, encoding: .utf8)
            return try await body(
                SQLPipeline(sandbox: sandbox, program: EtlctlProcess(folder: folder, environment: environment)))
        }
    }

    /// What SQLite's own shell reads in the spool.
    func spool(_ query: String) throws -> String {
        try ChildProcess.run(["sqlite3", program.folder + "/spool.sqlite", query])
    }
}
