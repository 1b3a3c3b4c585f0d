import ArgumentParser
import JSONBytes
import Spool

/// `etlctl audit objects`: which files were read.
struct AuditObjects: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "objects", abstract: "Show which files were read, in which version, with how many rows.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The streams; all of them by default.")
    var streams: [String] = []

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let store = try await CommandEnvironment(configuration, session).openSpool()
        var found: [(stream: String, object: ObjectRecord)] = []
        for name in try await StreamSelection(configuration, store).names(streams) {
            guard let state = try await store.stream(named: name) else { continue }
            found += try await store.objects(stream: state.number).map { (name, $0) }
        }
        return CommandOutcome(json: ["objects": .array(found.map(Self.json))], text: Self.text(found))
    }

    private static func json(_ found: (stream: String, object: ObjectRecord)) -> JSONValue {
        [
            "stream": .string(found.stream), "object": .string(found.object.name),
            "version": .string(found.object.version), "size": .int(Int(found.object.size)),
            "rows": .int(found.object.rows), "read_at": .string(found.object.readAt?.description),
        ]
    }

    private static func text(_ found: [(stream: String, object: ObjectRecord)]) -> String {
        if found.isEmpty { return "No objects were read." }
        var table = TextTable("STREAM", "OBJECT", "VERSION", "SIZE", "ROWS", "READ AT")
        for (stream, object) in found {
            table.append(
                .text(stream), .text(object.name), .text(object.version ?? ""), .count(Int(object.size)),
                .count(object.rows), .text(object.readAt?.description ?? ""))
        }
        return table.text
    }
}
