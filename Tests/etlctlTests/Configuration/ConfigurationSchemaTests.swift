import Foundation
import Testing

@testable import etlctl

/// A JSON document as the schema tests walk it.
indirect enum SchemaNode: Decodable, Equatable {
    case null
    case bool(Bool)
    case number(Int64)
    case text(String)
    case list([SchemaNode])
    case object([String: SchemaNode])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let flag = try? container.decode(Bool.self) {
            self = .bool(flag)
        } else if let number = try? container.decode(Int64.self) {
            self = .number(number)
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let list = try? container.decode([SchemaNode].self) {
            self = .list(list)
        } else {
            self = .object(try container.decode([String: SchemaNode].self))
        }
    }

    subscript(name: String) -> SchemaNode? { if case .object(let members) = self { members[name] } else { nil } }

    var text: String? { if case .text(let text) = self { text } else { nil } }

    var list: [SchemaNode] { if case .list(let list) = self { list } else { [] } }

    var names: Set<String> { if case .object(let members) = self { Set(members.keys) } else { [] } }

    static func reference(_ name: String) -> SchemaNode { .object(["$ref": .text("#/$defs/\(name)")]) }

    static func either(_ alternatives: SchemaNode...) -> SchemaNode { .object(["anyOf": .list(alternatives)]) }
}

/// One mapping of the file: the decoder's keys, and where the schema describes it.
struct SectionUnderTest: Sendable, CustomTestStringConvertible {
    let definition: String
    let keys: [ConfigurationKey]
    /// The heading of its table in docs/configuration.md.
    let heading: String

    var testDescription: String { definition }

    static let all =
        [
            SectionUnderTest(definition: "spool", keys: ConfigurationKey.Spool.all, heading: "## `spool`"),
            SectionUnderTest(
                definition: "destination", keys: ConfigurationKey.Destination.all, heading: "## `destination`"),
            SectionUnderTest(definition: "stream", keys: ConfigurationKey.Stream.all, heading: "## `streams`"),
        ]
        + SourceKind.allCases.map { kind in
            SectionUnderTest(
                definition: "\(kind.rawValue)Source",
                keys: ConfigurationKey.Source.all.filter { $0.kinds.contains(kind) }, heading: "## `sources`")
        }
}

enum Repository {
    static func text(_ path: String) throws -> String {
        // Tests/etlctlTests/Configuration/<this file>
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }
}

@Suite struct ConfigurationSchemaTests {
    private func schema() throws -> SchemaNode {
        try JSONDecoder().decode(SchemaNode.self, from: Data(Repository.text("docs/etl.schema.json").utf8))
    }

    /// The schema of a key's value, without description and default.
    private func expected(_ key: ConfigurationKey) -> [String: SchemaNode] {
        func bounds(_ range: ClosedRange<Int64>) -> SchemaNode {
            var members: [String: SchemaNode] = ["type": .text("integer"), "minimum": .number(range.lowerBound)]
            if range.upperBound != ConfigurationKey.unbounded { members["maximum"] = .number(range.upperBound) }
            return .object(members)
        }
        func choices(_ names: [String]) -> SchemaNode { .object(["enum": .list(names.map { .text($0) })]) }
        let variable = SchemaNode.reference("variable")
        let node: SchemaNode =
            switch key.value {
            case .text: .object(["type": .text("string")])
            case .flag: .either(.object(["type": .text("boolean")]), variable)
            case .choice(let names): .either(choices(names), variable)
            case .number(let range): .either(bounds(range), variable)
            case .duration: .reference("duration")
            case .size: .reference("size")
            case .bytes(let range): .either(.reference("size"), bounds(range))
            case .lookback: .either(.reference("duration"), bounds(0...ConfigurationKey.unbounded))
            case .texts:
                .object([
                    "type": .text("array"), "items": .object(["type": .text("string")]), "uniqueItems": .bool(true),
                ])
            case .textMap:
                .object(["type": .text("object"), "additionalProperties": .object(["type": .text("string")])])
            case .typeMap:
                .object([
                    "type": .text("object"),
                    "additionalProperties": .either(choices(ColumnType.acceptedNames), variable),
                ])
            }
        if case .object(let members) = node { return members }
        return [:]
    }

    private func expectedDefault(_ key: ConfigurationKey) -> SchemaNode? {
        key.defaultText.map { text in
            switch key.value {
            case .flag: .bool(text == "true")
            case .number: Int64(text).map(SchemaNode.number) ?? .null
            default: .text(text)
            }
        }
    }

    @Test(arguments: SectionUnderTest.all)
    func `the schema and the decoder have the same keys`(_ section: SectionUnderTest) throws {
        let definition = try #require(schema()["$defs"]?[section.definition])
        #expect(definition["properties"]?.names == Set(section.keys.map(\.name)))
        #expect(definition["additionalProperties"] == .bool(false))
        let required = Set(definition["required"]?.list.compactMap(\.text) ?? [])
        // A database's URL is required where no variable of libpq stands in for it.
        let named = section.keys.filter { $0.isRequired }.map(\.name)
        let hasURL = section.definition == "mysqlSource" || section.definition == "filesSource"
        #expect(required == Set(named + (hasURL ? ["url"] : [])))
    }

    @Test(arguments: SectionUnderTest.all)
    func `the schema has the decoder's types, bounds, choices and defaults`(_ section: SectionUnderTest) throws {
        let properties = try #require(schema()["$defs"]?[section.definition]?["properties"])
        for key in section.keys {
            guard case .object(var members)? = properties[key.name] else { continue }
            let description = members.removeValue(forKey: "description")
            #expect((description?.text ?? "").count > 5, "\(key.name) has no description")
            if key.name == "type" {
                #expect(members == ["const": .text(section.definition.replacing("Source", with: ""))])
                continue
            }
            #expect(members.removeValue(forKey: "default") == expectedDefault(key), "\(key.name)")
            #expect(members == expected(key), "\(key.name)")
            if case .size(let range) = key.value, range.upperBound < ConfigurationKey.unbounded {
                let bounds =
                    "from \(ValueText.text(ofBytes: range.lowerBound)) to \(ValueText.text(ofBytes: range.upperBound))"
                #expect(description?.text?.contains(bounds) == true)
            }
        }
    }

    @Test func `the schema has the decoder's sections and forms`() throws {
        let schema = try schema()
        #expect(schema["properties"]?.names == Set(ConfigurationKey.Root.all))
        #expect(schema["additionalProperties"] == .bool(false))
        let kinds = schema["properties"]?["sources"]?["additionalProperties"]?["oneOf"]?.list
        #expect(kinds == SourceKind.allCases.map { .reference("\($0.rawValue)Source") })
        let definitions = try #require(schema["$defs"])
        #expect(definitions.names == Set(SectionUnderTest.all.map(\.definition) + ["variable", "duration", "size"]))
        #expect(definitions["duration"]?["anyOf"]?.list.first?["pattern"]?.text == ValueText.durationPattern)
        #expect(definitions["size"]?["anyOf"]?.list.first?["pattern"]?.text == ValueText.sizePattern)
    }

    @Test func `the written forms and their patterns agree`() throws {
        let durations = try Regex(ValueText.durationPattern)
        let sizes = try Regex(ValueText.sizePattern)
        for text in ["0", "0s", "5m", "250ms", "7d", "", "5", "1.5h", "-5m", "5M", "m"] {
            #expect((ValueText.duration(text) != nil) == (text.wholeMatch(of: durations) != nil), "\(text)")
        }
        for text in ["1B", "512KiB", "20GiB", "2TiB", "", "5", "5MB", "1.5GiB", "KiB"] {
            #expect((ValueText.size(text) != nil) == (text.wholeMatch(of: sizes) != nil), "\(text)")
        }
    }

    @Test(arguments: SectionUnderTest.all)
    func `the docs describe every key with its default and an example`(_ section: SectionUnderTest) throws {
        let docs = try Repository.text("docs/configuration.md")
        let start = try #require(docs.firstRange(of: section.heading)).upperBound
        let part = docs[start...].prefix(upTo: docs[start...].firstRange(of: "\n## ")?.lowerBound ?? docs.endIndex)
        let rows = part.split(separator: "\n").filter { $0.contains(" | ") }
        for key in section.keys {
            let row = try #require(rows.first { $0.hasPrefix("`\(key.name)` | ") }, "\(key.name) has no row")
            let cells = row.components(separatedBy: " | ")
            let fallback = cells[cells.count - 2]
            #expect(key.defaultText.map { fallback.contains("`\($0)`") } ?? !fallback.isEmpty, "\(key.name)")
            #expect(cells.last?.hasPrefix("`\(key.name): ") == true, "\(key.name) has no example")
            if key.isRequired { #expect(fallback == "required") }
            if section.heading == "## `streams`" || section.heading == "## `sources`" {
                let owners =
                    key.kinds == SourceKind.allCases ? "all" : key.kinds.map(\.rawValue).joined(separator: ", ")
                #expect(cells[1] == owners, "\(key.name)")
            }
            if case .choice(let names) = key.value {
                for name in names { #expect(row.contains("`\(name)`"), "\(key.name): \(name)") }
            }
        }
        let documented = rows.compactMap { $0.split(separator: "`").first.map(String.init) }
        let known = Set(
            section.heading == "## `sources`" ? ConfigurationKey.Source.all.map(\.name) : section.keys.map(\.name))
        let keyRows = documented.filter { $0 != "key | " && !$0.hasPrefix("--- |") && !$0.hasPrefix("key |") }
        #expect(Set(keyRows) == known)
    }
}
