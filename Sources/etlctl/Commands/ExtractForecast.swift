import Extract
import JSONBytes

/// `extract --dry-run`: counts what a full read would bring, by aggregation, before anything is read.
struct ExtractForecast: Sendable {
    let environment: CommandEnvironment

    func outcome(_ streams: [StreamConfiguration]) async throws -> CommandOutcome {
        var table = TextTable("STREAM", "MODE", "DOCUMENTS", "BILLED READS OF A FULL READ")
        var items: [JSONValue] = []
        for stream in streams {
            guard let source = try await environment.source(of: stream) as? FirestoreSource else { continue }
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
