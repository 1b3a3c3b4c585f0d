import Extract
import JSONBytes

/// `extract --dry-run`: what a full read would bring and cost, before anything is read. Firestore counts documents by aggregation, BigQuery
/// tells the bytes that its query would process, folders and buckets list what matches.
struct ExtractForecast: Sendable {
    let environment: CommandEnvironment

    func outcome(_ streams: [StreamConfiguration]) async throws -> CommandOutcome {
        var table = TextTable("STREAM", "MODE", "DOCUMENTS", "BILLED READS OF A FULL READ", "OBJECTS", "BYTES")
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
                    .text(stream.name), .text(stream.mode.rawValue), .none, .none, .none, .bytes(bytes))
                items.append([
                    "stream": .string(stream.name), "mode": .string(stream.mode.rawValue), "bytes": .int(Int(bytes)),
                ])
            }
            guard let source = anySource as? FirestoreSource else { continue }
            let documents = try await source.count(environment.request(for: stream))
            table.append(
                .text(stream.name), .text(stream.mode.rawValue), .count(documents), .count(max(documents, 1)))
            items.append([
                "stream": .string(stream.name), "mode": .string(stream.mode.rawValue), "documents": .int(documents),
                "billed_reads": .int(max(documents, 1)),
            ])
        }
        return CommandOutcome(json: ["streams": .array(items)], text: table.text)
    }
}
