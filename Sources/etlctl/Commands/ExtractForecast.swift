import Extract
import Foundation
import JSONBytes
import Spool

/// `extract --dry-run`: what a full read would bring and cost, before anything is read. Firestore counts documents by aggregation, PostgreSQL
/// and MySQL count rows, BigQuery tells the bytes that its query would process, folders and buckets list what matches. What an estimate is
/// based on is said beside it.
struct ExtractForecast: Sendable {
    let environment: CommandEnvironment

    func outcome(_ streams: [StreamConfiguration]) async throws -> CommandOutcome {
        var table = TextTable(
            "STREAM", "MODE", "RECORDS", "BILLED READS OF A FULL READ", "OBJECTS", "BYTES", "TIME", "BASED ON")
        var items: [JSONValue] = []
        for stream in streams {
            let anySource = try await environment.source(of: stream)
            if let source = anySource as? FilesSource {
                let (objects, bytes) = try await source.size(environment.request(for: stream))
                table.append(
                    .text(stream.name), .text(stream.mode.rawValue), .none, .none, .count(objects), .bytes(bytes))
                items.append([
                    "stream": .string(stream.name), "mode": .string(stream.mode.rawValue), "objects": .int(objects),
                    "bytes": .int(Int(bytes)),
                ])
            }
            if let source = anySource as? BigQuerySource {
                let bytes = try await source.bytes(environment.request(for: stream))
                table.append(
                    .text(stream.name), .text(stream.mode.rawValue), .none, .none, .none, .bytes(bytes), .none,
                    .text("the bytes that BigQuery would process"))
                items.append([
                    "stream": .string(stream.name), "mode": .string(stream.mode.rawValue), "bytes": .int(Int(bytes)),
                ])
            }
            if let source = anySource as? any CountableSource {
                let rows = try await source.count(environment.request(for: stream))
                let estimate = Estimate(rows, "row", try await pace(of: stream))
                table.append(
                    .text(stream.name), .text(stream.mode.rawValue), .count(rows), .none, .none,
                    .bytes(estimate.bytes), .duration(.seconds(estimate.seconds)), .text(estimate.basis))
                items.append(
                    JSONValue.object(
                        [
                            JSONMember("stream", .string(stream.name)),
                            JSONMember("mode", .string(stream.mode.rawValue)),
                            JSONMember("rows", .int(rows)),
                        ] + estimate.members))
            }
            guard let source = anySource as? FirestoreSource else { continue }
            let documents = try await source.count(environment.request(for: stream))
            let estimate = Estimate(documents, "document", try await pace(of: stream))
            table.append(
                .text(stream.name), .text(stream.mode.rawValue), .count(documents), .count(max(documents, 1)), .none,
                .bytes(estimate.bytes), .duration(.seconds(estimate.seconds)), .text(estimate.basis))
            items.append(
                JSONValue.object(
                    [
                        JSONMember("stream", .string(stream.name)), JSONMember("mode", .string(stream.mode.rawValue)),
                        JSONMember("documents", .int(documents)), JSONMember("billed_reads", .int(max(documents, 1))),
                    ] + estimate.members))
        }
        return CommandOutcome(json: ["streams": .array(items)], text: table.text)
    }

    /// What the spool knows of the stream; nothing where there is no spool yet, for a dry run makes none.
    private func pace(of stream: StreamConfiguration) async throws -> StreamPace {
        let path = environment.configuration.spool.path
        guard FileManager.default.fileExists(atPath: path) else { return StreamPace() }
        let store = try SpoolStore(path: path, creating: false)
        defer { try? store.close() }
        return try await store.pace(ofStream: stream.name)
    }

    /// Bytes that a full read would add to the spool, and how long it would take.
    struct Estimate: Sendable, Equatable {
        /// For streams that nothing is known of.
        static let assumedBytes = 1000.0
        static let assumedRowsPerSecond = 2000.0

        let bytes: Int64
        let seconds: Int64
        let basis: String

        init(_ count: Int, _ noun: String, _ pace: StreamPace) {
            let records = Double(count)
            bytes = Int64(records * (pace.bytesPerRow ?? Self.assumedBytes))
            seconds = Int64((records / (pace.rowsPerSecond ?? Self.assumedRowsPerSecond)).rounded(.up))
            let size =
                pace.bytesPerRow.map { "\(Readable.count(Int64(pace.rows))) rows in the spool, \(Int($0)) bytes each" }
                ?? "an assumption: \(Int(Self.assumedBytes)) bytes a \(noun)"
            let speed =
                pace.rowsPerSecond.map { "an earlier run, \(Readable.count(Int64($0))) \(noun)s a second" }
                ?? "an assumption: \(Readable.count(Int64(Self.assumedRowsPerSecond))) \(noun)s a second"
            basis = size + "; " + speed
        }

        var members: [JSONMember] {
            [
                JSONMember("estimated_bytes", .int(Int(bytes))), JSONMember("estimated_seconds", .int(Int(seconds))),
                JSONMember("estimate_basis", .string(basis)),
            ]
        }
    }
}
