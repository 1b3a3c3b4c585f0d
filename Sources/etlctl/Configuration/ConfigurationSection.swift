import Yams

/// One mapping of the file, read by its keys.
struct ConfigurationSection {
    struct Entry {
        let name: String
        /// The key's own line.
        let line: Int
        let value: ConfigurationValue
    }

    let reader: ConfigurationReader
    let path: String
    let line: Int
    /// In the order of the file; keys whose value is null are left out.
    let entries: [Entry]

    /// - Throws: where the value is no mapping, or a key no text.
    init(_ value: ConfigurationValue, reader: ConfigurationReader) throws(Failure) {
        self.reader = reader
        path = value.path
        line = value.line
        guard case .mapping(let mapping) = value.node else {
            throw reader.failure(at: path, line: line, "expected a mapping of keys, got \(value.shown)")
        }
        var entries: [Entry] = []
        try Self.collect(mapping, path: path, reader: reader, into: &entries)
        self.entries = entries.filter { !$0.value.isNull }
        for entry in entries { reader.record(entry.value.path, line: entry.line) }
    }

    /// A section that is not in the file.
    init(missing path: String, reader: ConfigurationReader) {
        self.reader = reader
        self.path = path
        line = 1
        entries = []
    }

    /// Own keys first; then those of `<<` (YAML's merge key), which never replace an own one.
    private static func collect(
        _ mapping: Node.Mapping, path: String, reader: ConfigurationReader, into entries: inout [Entry]
    ) throws(Failure) {
        var merged: [Node] = []
        for (key, node) in mapping {
            let line = key.mark?.line ?? 1
            guard case .scalar(let scalar) = key else {
                throw reader.failure(at: path, line: line, "expected a name as the key")
            }
            if scalar.string == "<<", scalar.style == .plain {
                merged.append(node)
                continue
            }
            guard !entries.contains(where: { $0.name == scalar.string }) else { continue }
            let keyPath = path.isEmpty ? scalar.string : "\(path).\(scalar.string)"
            let value = ConfigurationValue(node: node, path: keyPath, line: node.mark?.line ?? line)
            entries.append(Entry(name: scalar.string, line: line, value: value))
        }
        for node in merged {
            switch node {
            case .mapping(let mapping):
                try collect(mapping, path: path, reader: reader, into: &entries)
            case .sequence(let list):
                for case .mapping(let mapping) in list {
                    try collect(mapping, path: path, reader: reader, into: &entries)
                }
            case .scalar, .alias:
                throw reader.failure(at: path, line: node.mark?.line, "\"<<\" merges a mapping, such as *name")
            }
        }
    }

    /// Checks that every key is one of `keys`, and one that belongs to `kind`.
    func accept(_ keys: [ConfigurationKey], for kind: SourceKind? = nil) throws(Failure) {
        for entry in entries {
            guard let key = keys.first(where: { $0.name == entry.name }) else {
                throw unknown(
                    entry, among: keys.filter { kind == nil || $0.kinds.contains(kind ?? .files) }.map(\.name))
            }
            if let kind, !key.kinds.contains(kind) {
                let owners = key.kinds.map(\.rawValue).joined(separator: ", ")
                throw reader.failure(
                    at: entry.value.path, line: entry.line,
                    "the key \"\(key.name)\" belongs to sources of type \(owners), and this one is \(kind.rawValue)",
                    hint: "Remove the key.")
            }
        }
    }

    func unknown(_ entry: Entry, among names: [String]) -> Failure {
        let nearest = NearestName.of(entry.name, among: names) ?? ""
        let owner = Self.owner(of: entry.name).map { " \"\(entry.name)\" is a key of \($0)." } ?? ""
        return reader.failure(
            at: path, line: entry.line, "unknown key \"\(entry.name)\", did you mean \"\(nearest)\"?",
            hint: "Keys here: \(names.joined(separator: ", ")).\(owner)")
    }

    /// Where a key stands that was put into the wrong section.
    private static func owner(of name: String) -> String? {
        let sections: [(String, [ConfigurationKey])] = [
            ("spool", ConfigurationKey.Spool.all), ("destination", ConfigurationKey.Destination.all),
            ("a source", ConfigurationKey.Source.all), ("a stream", ConfigurationKey.Stream.all),
        ]
        let owners = sections.filter { $0.1.contains { $0.name == name } }.map(\.0)
        return owners.isEmpty ? nil : owners.joined(separator: " and of ")
    }

    func entry(_ name: String) -> Entry? { entries.first { $0.name == name } }

    func failure(_ key: ConfigurationKey, _ problem: String, hint: String? = nil) -> Failure {
        reader.failure(
            at: path.isEmpty ? key.name : "\(path).\(key.name)", line: entry(key.name)?.line ?? line, problem,
            hint: hint)
    }

    func missing(_ key: ConfigurationKey, hint: String? = nil) -> Failure {
        reader.failure(at: path, line: line, "the key \"\(key.name)\" is missing", hint: hint)
    }
}
