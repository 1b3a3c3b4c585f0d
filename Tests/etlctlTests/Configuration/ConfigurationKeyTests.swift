import Testing

@testable import etlctl

/// Every key the decoder lists is one it reads: setting it changes the configuration.
@Suite struct ConfigurationKeyTests {
    /// A value that differs from the default, written as YAML.
    private static func sample(_ key: ConfigurationKey) -> String {
        switch (key.name, key.value) {
        case ("url", _): "\"gs://other/dir\""
        case ("endpoint", _): "\"http://127.0.0.1:1\""
        case ("delimiter", _), ("quote", _): "\";\""
        case ("remote", _): "s3://bucket/copy"
        case (_, .text): "other"
        case (_, .flag): key.defaultText == "true" ? "false" : "true"
        case (_, .choice(let names)): names.last { $0 != key.defaultText } ?? ""
        case (_, .number(let range)): String(min(range.upperBound, 7))
        case (_, .duration): "11m"
        case (_, .size), (_, .bytes): "3MiB"
        case (_, .lookback): "11m"
        case (_, .texts): "[other]"
        case (_, .textMap): "{a: b}"
        case (_, .typeMap): "{a: DATE}"
        }
    }

    private static let sourceLines: [SourceKind: [String]] = [
        .firestore: ["project: p"], .postgres: ["url: \"postgres://h/d\""], .mysql: ["url: \"mysql://h/d\""],
        .bigquery: ["project: p"], .files: ["url: \"s3://bucket/dir\""],
    ]

    private static func file(
        spool: [String] = [], destination: [String] = [], kind: SourceKind, source: [String] = [],
        stream: [String] = []
    ) -> String {
        func block(_ name: String, _ base: [String], _ extra: [String], indent: String) -> String {
            // A sample replaces the line it overrides.
            let names = extra.map { $0.prefix { $0 != ":" } }
            let lines = base.filter { line in !names.contains { line.hasPrefix("\($0):") } } + extra
            return "\(indent.dropLast(2))\(name):\n" + lines.map { "\(indent)\($0)\n" }.joined()
        }
        return block("spool", ["path: x"], spool, indent: "  ")
            + block("destination", ["project: p", "dataset: d"], destination, indent: "  ")
            + "sources:\n"
            + block("one", ["type: \(kind.rawValue)"] + (sourceLines[kind] ?? []), source, indent: "    ")
            + "  other: {type: firestore, project: p}\n"
            + "streams:\n" + block("s", ["source: one", "from: a"], stream, indent: "    ")
    }

    @Test(arguments: ConfigurationKey.Spool.all.map(\.name))
    func `every key of the spool is read`(_ name: String) throws {
        let key = try #require(ConfigurationKey.Spool.all.first { $0.name == name })
        let plain = try decode(Self.file(kind: .firestore))
        let changed = try decode(Self.file(spool: ["\(name): \(Self.sample(key))"], kind: .firestore))
        #expect(plain.spool != changed.spool)
    }

    @Test(arguments: ConfigurationKey.Destination.all.map(\.name))
    func `every key of the destination is read`(_ name: String) throws {
        let key = try #require(ConfigurationKey.Destination.all.first { $0.name == name })
        let plain = try decode(Self.file(kind: .firestore))
        let changed = try decode(Self.file(destination: ["\(name): \(Self.sample(key))"], kind: .firestore))
        #expect(plain.destination != changed.destination)
    }

    @Test(arguments: SourceKind.allCases, ConfigurationKey.Source.all.map(\.name))
    func `every key of a source is read by its types and refused by the others`(
        _ kind: SourceKind, _ name: String
    ) throws {
        let key = try #require(ConfigurationKey.Source.all.first { $0.name == name })
        guard name != "type" else { return }
        let sample =
            switch (name, kind) {
            case ("url", .postgres): "\"postgres://other/d\""
            case ("url", .mysql): "\"mysql://other/d\""
            default: Self.sample(key)
            }
        let text = Self.file(kind: kind, source: ["\(name): \(sample)"])
        guard key.kinds.contains(kind) else {
            #expect(try rejection(of: text).message.contains("the key \"\(name)\" belongs to sources of type"))
            return
        }
        #expect(try decode(Self.file(kind: kind)).sources["one"] != decode(text).sources["one"])
    }

    @Test(arguments: SourceKind.allCases, ConfigurationKey.Stream.all.map(\.name))
    func `every key of a stream is read by its types and refused by the others`(
        _ kind: SourceKind, _ name: String
    ) throws {
        let key = try #require(ConfigurationKey.Stream.all.first { $0.name == name })
        let extra =
            switch name {
            case "mode": ["mode: changes"]
            default: ["\(name): \(Self.sample(key))"]
            }
        var text = Self.file(kind: kind, stream: extra)
        if name == "query" { text = text.replacing("    from: a\n", with: "") }
        guard key.kinds.contains(kind) else {
            #expect(try rejection(of: text).message.contains("the key \"\(name)\" belongs to sources of type"))
            return
        }
        #expect(try decode(Self.file(kind: kind)).streams != decode(text).streams)
    }

    @Test func `defaults are written in a form the decoder reads`() {
        let keys =
            ConfigurationKey.Spool.all + ConfigurationKey.Destination.all + ConfigurationKey.Source.all
            + ConfigurationKey.Stream.all
        for key in keys {
            guard let text = key.defaultText else { continue }
            switch key.value {
            case .text: #expect(!text.isEmpty)
            case .flag: #expect(text == "true" || text == "false")
            case .choice(let names): #expect(names.contains(text))
            case .number(let range): #expect(Int64(text).map(range.contains) == true)
            case .duration: #expect(ValueText.duration(text) != nil)
            case .size(let range), .bytes(let range): #expect(ValueText.size(text).map(range.contains) == true)
            case .lookback, .texts, .textMap, .typeMap: Issue.record("\(key.name): a default of this form is not read")
            }
        }
    }

    @Test func `column types are read by every name BigQuery gives them`() {
        #expect(ColumnType(name: "timestamp") == .timestamp)
        #expect(ColumnType(name: "BOOLEAN") == .bool)
        #expect(ColumnType(name: "Integer") == .int64)
        #expect(ColumnType(name: "FLOAT") == .float64)
        #expect(ColumnType(name: "RECORD") == nil)
        for name in ColumnType.acceptedNames { #expect(ColumnType(name: name) != nil) }
    }

    @Test func `lookback is a duration or a number`() throws {
        #expect(
            try decode(stream("source: app", "from: a", "lookback: 15m")).streams[0].lookback
                == .duration(.seconds(900)))
        #expect(try decode(stream("source: app", "from: a", "lookback: 100")).streams[0].lookback == .number(100))
        #expect(try rejection(of: stream("source: app", "from: a", "lookback: -1")).message.contains("(line 14)"))
    }

    @Test func `the CSV options are read`() throws {
        let options = try #require(
            decode(
                stream(
                    "source: drops", "from: a", "format: csv", #"delimiter: "\t""#, #"quote: """#, "header: false",
                    "encoding: ISO-8859-1", #"nulls: ["", NULL]"#, "on_bad_row: stop")
            ).streams[0].files)
        #expect(
            options
                == FileOptions(
                    format: .csv, delimiter: "\t", quote: nil, hasHeader: false, encoding: "iso-8859-1",
                    nulls: ["", "NULL"], onBadRow: .stop))
    }
}
