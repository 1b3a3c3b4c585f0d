import Foundation
import JSONBytes
import Spool

/// What a stream's watermark belongs to: what it reads and where that goes.
///
/// Kept with the watermark. If the configuration says otherwise later, going on would skip or repeat rows silently.
struct StreamPosition: Sendable, Equatable {
    private struct Part: Sendable, Equatable {
        let name: String
        let value: String
    }

    private var parts: [Part]

    init(of stream: StreamConfiguration, in configuration: Configuration) {
        let destination = configuration.destination
        let reads =
            switch stream.input {
            case .from(let from): "from \(from)"
            case .query(let query): "query \(query)"
            }
        parts = [
            Part(name: "source", value: configuration.source(of: stream)?.identity ?? stream.source),
            Part(name: "reads", value: reads),
            Part(name: "key", value: stream.key.joined(separator: ", ")),
            Part(name: "mode", value: stream.mode.rawValue),
            Part(name: "watermark", value: stream.watermark ?? ""),
            Part(name: "endpoint", value: destination.endpoint.identity),
            Part(name: "table", value: "\(destination.project).\(destination.dataset).\(stream.table)"),
        ]
    }

    /// The order of the stored members does not matter.
    ///
    /// - Returns: nil for a text that is no such object.
    init?(text: String) {
        guard let members = try? JSONDecoder().decode([String: String].self, from: Data(text.utf8)) else { return nil }
        parts = members.sorted { $0.key < $1.key }.map { Part(name: $0.key, value: $0.value) }
    }

    /// One JSON object, a member for each part: what is stored.
    var text: String {
        JSONValue.object(parts.map { JSONMember($0.name, .string($0.value)) }).text
    }

    /// Adds what only the source knows, such as the watermark's type class.
    mutating func append(_ name: String, _ value: String) { parts.append(Part(name: name, value: value)) }

    /// Why a watermark kept for another position can't be used: the key, its line and both values. nil where it can.
    ///
    /// A part that only one of the two has is no difference: the version that wrote the other did not know it.
    func refusal(
        of kept: StreamPosition, for stream: StreamConfiguration, in configuration: Configuration
    ) -> Failure? {
        let differences = parts.compactMap { part in
            let other = kept.parts.first { $0.name == part.name }
            return other.flatMap { $0.value.exact == part.value.exact ? nil : (part: part, kept: $0.value) }
        }
        guard let first = differences.first else { return nil }
        let others = differences.dropFirst().map(\.part.name)
        return configuration.failure(
            at: Self.path(of: first.part.name, stream: stream),
            "the watermark in the spool was kept for the \(Self.words(first.part.name, first.kept)), and the file says"
                + " \"\(first.part.value)\"" + (others.isEmpty ? "" : "; \(others.joined(separator: ", ")) differ too"),
            hint: "`etlctl watermark reset \(stream.name)` begins anew, `etlctl watermark set \(stream.name) VALUE`"
                + " goes on from a value; or change the file back.")
    }

    private static func words(_ name: String, _ value: String) -> String {
        name == "reads" ? "input \"\(value)\"" : "\(name) \"\(value)\""
    }

    private static func path(of part: String, stream: StreamConfiguration) -> String {
        switch part {
        case "endpoint": "destination.endpoint"
        case "reads":
            if case .query = stream.input { "\(stream.path).query" } else { "\(stream.path).from" }
        case "source", "key", "mode", "watermark", "table": "\(stream.path).\(part)"
        default: stream.path
        }
    }
}

extension StreamConfiguration {
    /// Everything that decides what a spooled row looks like, as one line of JSON: when it differs from the last run's,
    /// rows already spooled are of another shape (warning `config_changed`).
    var shapeText: String {
        // The order of the lists changes nothing.
        let (columns, exclude): (JSONValue, JSONValue) =
            switch fields {
            case .all: (.null, .null)
            case .only(let names): (.array(names.map(\.exact).sorted().map { .string($0.string) }), .null)
            case .except(let names): (.null, .array(names.map(\.exact).sorted().map { .string($0.string) }))
            }
        let renames = rename.sorted { $0.key < $1.key }.map {
            JSONMember($0.key, .string($0.value))
        }
        let pins = types.sorted { $0.key < $1.key }.map {
            JSONMember($0.key, .string($0.value.rawValue))
        }
        let shape: JSONValue = [
            "columns": columns, "exclude": exclude, "rename": .object(renames), "nested": .string(nested.rawValue),
            "types": .object(pins),
        ]
        return shape.text
    }
}
