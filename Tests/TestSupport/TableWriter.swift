import Foundation

/// One table in every format and compression, written by Python's and Arrow's own code.
package enum TableWriter {
    /// The files' names behind `t.`.
    package static let forms =
        ["csv", "csv.gz", "csv.zst", "jsonl", "jsonl.gz", "jsonl.zst"]
        + ["none", "snappy", "gzip", "zstd", "lz4", "brotli"].map { $0 + ".parquet" }

    package struct Row: Encodable, Sendable {
        package var id: Int
        package var updatedAt: String
        package var note: String

        private enum CodingKeys: String, CodingKey {
            case id, note
            case updatedAt = "updated_at"
        }

        package init(id: Int, updatedAt: String, note: String) {
            self.id = id
            self.updatedAt = updatedAt
            self.note = note
        }
    }

    private struct Order: Encodable {
        var folder: String
        var forms: [String]
        var rows: [Row]?
        var count: Int?
    }

    /// Writes so many rows of every kind of value as `t.FORM` into a folder.
    package static func write(_ count: Int, _ forms: [String] = forms, into folder: String) async throws {
        try await run(Order(folder: folder, forms: forms, count: count))
    }

    package static func write(_ rows: [Row], _ forms: [String], into folder: String) async throws {
        try await run(Order(folder: folder, forms: forms, rows: rows))
    }

    private static func run(_ order: Order) async throws {
        _ = try await PythonPeer.run("table_writer", input: JSONEncoder().encode(order))
    }

    package static func bytes(_ form: String, in folder: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/t.\(form)")))
    }
}
