import Testing

@testable import etlctl

/// A file that must be refused, and what the message must say.
struct Refusal: Sendable, CustomTestStringConvertible {
    let name: String
    let text: String
    let message: String

    var testDescription: String { name }

    init(_ name: String, _ text: String, _ message: String) {
        self.name = name
        self.text = text
        self.message = message
    }

    static let form: [Refusal] = [
        Refusal(
            "a word for a number", stream("source: app", "from: memos", "parallel: many"),
            #"streams.memos.parallel: expected a whole number from 1 to 64, got "many" (line 14)"#),
        Refusal(
            "a number out of bounds", stream("source: app", "from: memos", "parallel: 65"),
            #"streams.memos.parallel: expected a whole number from 1 to 64, got "65" (line 14)"#),
        Refusal(
            "a number in quotes", stream("source: app", "from: memos", #"parallel: "4""#),
            #"streams.memos.parallel: expected a whole number from 1 to 64, got the text "4" (line 14)"#),
        Refusal(
            "a fraction", stream("source: app", "from: memos", "max_reads: 1.5"),
            #"expected a whole number from 0 on, got "1.5" (line 14)"#),
        Refusal(
            "a list for a number", stream("source: app", "from: memos", "parallel: [1]"),
            "expected a whole number from 1 to 64, got a list (line 14)"),
        Refusal(
            "a number for text", stream("source: app", "from: 2024"),
            #"streams.memos.from: expected text, got "2024" (line 13)"#),
        Refusal(
            "a mapping for text", stream("source: app", "from: {a: b}"),
            "streams.memos.from: expected text, got a mapping (line 13)"),
        Refusal(
            "an empty text", stream("source: app", #"from: """#),
            "streams.memos.from: must not be empty (line 13)"),
        Refusal(
            "yes for true", "destination:\n  dataset: d\n  project: p\n  create: yes\n",
            #"destination.create: expected true or false, got "yes" (line 4)"#),
        Refusal(
            "a duration without unit", "spool: {keep_delivered: 7}\ndestination: {dataset: d, project: p}",
            #"spool.keep_delivered: expected a duration such as 90s, 5m, 12h or 7d, got "7" (line 1)"#),
        Refusal(
            "a size in decimal units", "destination: {dataset: d, project: p}\nspool: {max_size: 20GB}",
            #"spool.max_size: expected a size such as 512KiB, 10MiB or 20GiB, got "20GB" (line 2)"#),
        Refusal(
            "a size beyond its bound", "destination: {dataset: d, project: p, max_request_size: 10MiB}",
            #"from 1KiB to 9MiB, got "10MiB" (line 1)"#),
        Refusal(
            "too many rows", "destination: {dataset: d, project: p, max_rows_per_request: 50001}",
            #"expected a whole number from 1 to 50000, got "50001" (line 1)"#),
        Refusal(
            "a mode that is none", stream("source: app", "from: memos", "mode: Full"),
            #"streams.memos.mode: expected one of full, incremental, changes, got "Full" (line 14)"#),
        Refusal(
            "text for a list", stream("source: shop", "from: a.b", "key: id"),
            #"streams.memos.key: expected a list, such as [a, b], got "id" (line 14)"#),
        Refusal(
            "an empty key", stream("source: shop", "from: a.b", "key: []"),
            "streams.memos.key: expected at least one column (line 14)"),
        Refusal(
            "a name twice in a list", stream("source: app", "from: memos", "columns:", "  - a", "  - a"),
            #"streams.memos.columns: "a" stands twice in the list (line 16)"#),
        Refusal(
            "text for a map", stream("source: app", "from: memos", "rename: a"),
            #"streams.memos.rename: expected a mapping, such as {a: b}, got "a" (line 14)"#),
        Refusal(
            "text for a section", "destination: none",
            #"destination: expected a mapping of keys, got "none" (line 1)"#),
        Refusal(
            "a list for the file", "- a\n", "expected a mapping of keys, got a list (line 1)"),
        Refusal("an empty file", "# nothing\n", "the file is empty"),
        Refusal("broken YAML", "destination:\n  project: [a\n", "the file is not valid YAML"),
        Refusal("no destination", "sources: {}\n", #"the section "destination" is missing"#),
    ]

    static let names: [Refusal] = [
        Refusal(
            "an unknown key", stream("source: app", "from: memos", "watermrak: x"),
            #"streams.memos: unknown key "watermrak", did you mean "watermark"? (line 14)"#),
        Refusal(
            "an unknown key of the destination", "destination:\n  project: p\n  datset: d\n",
            #"destination: unknown key "datset", did you mean "dataset"? (line 3)"#),
        Refusal(
            "an unknown section", "destination: {dataset: d, project: p}\nstream: {}\n",
            #"etl.yaml: unknown key "stream", did you mean "streams"? (line 2)"#),
        Refusal(
            "an unknown key of a source",
            "destination: {dataset: d, project: p}\nsources:\n  a: {type: postgres, ulr: x}\n",
            #"sources.a: unknown key "ulr", did you mean "url"? (line 3)"#),
        Refusal(
            "a misspelt source key", stream("sorce: app", "from: memos"),
            #"streams.memos: unknown key "sorce", did you mean "source"? (line 12)"#),
        Refusal(
            "a key that stands twice", stream("source: app", "from: memos", "from: notes"),
            #"the key "from" stands twice in one mapping, first on line 13 (line 14)"#),
        Refusal(
            "a stream that stands twice",
            everySource + "streams:\n  a: {source: app, from: a}\n  a: {source: app, from: b}\n",
            #"the key "a" stands twice in one mapping, first on line 11 (line 12)"#),
        Refusal(
            "a key of another source type", stream("source: app", "from: memos", "format: csv"),
            #"streams.memos.format: the key "format" belongs to sources of type files, and this one is firestore"#
                + " (line 14)"),
        Refusal(
            "a query for Firestore", stream("source: app", "query: SELECT 1"),
            #"the key "query" belongs to sources of type postgres, mysql, bigquery, and this one is firestore (line 13)"#
        ),
        Refusal(
            "a key of another type in a source",
            "destination: {dataset: d, project: p}\nsources:\n  a: {type: firestore, project: p, url: x}\n",
            #"sources.a.url: the key "url" belongs to sources of type postgres, mysql, files"#),
        Refusal(
            "a region without S3",
            "destination: {dataset: d, project: p}\nsources:\n  a: {type: files, url: /data, region: x}\n",
            #"sources.a.region: the key "region" belongs to s3:// URLs (line 3)"#),
        Refusal(
            "an unknown source type",
            "destination: {dataset: d, project: p}\nsources:\n  a: {type: postgresql}\n",
            #"sources.a.type: expected one of firestore, postgres, mysql, bigquery, files, got "postgresql" (line 3)"#),
        Refusal(
            "a source without type", "destination: {dataset: d, project: p}\nsources:\n  a: {project: p}\n",
            #"sources.a: the key "type" is missing (line 3)"#),
        Refusal(
            "a stream's name with a space", everySource + "streams:\n  my memos: {source: app, from: memos}\n",
            #""my memos" is no name for a stream"#),
        Refusal(
            "no source", stream("from: memos"), #"streams.memos: the key "source" is missing (line 12)"#),
        Refusal(
            "an unknown source", stream("source: ap", "from: memos"),
            #"streams.memos.source: no source "ap" is configured, did you mean "app"? (line 12)"#),
        Refusal(
            "no project", "destination:\n  dataset: d\n", #"destination: the key "project" is missing (line 2)"#),
        Refusal(
            "no dataset", "destination:\n  project: p\n", #"destination: the key "dataset" is missing (line 2)"#),
    ]

    static let meaning: [Refusal] = [
        Refusal(
            "two streams into one table",
            everySource + "streams:\n  a.b: {source: app, from: a}\n  a-b: {source: app, from: b}\n",
            #"streams.a-b.table: the streams "a.b" and "a-b" both go into the table "a_b" (line 12)"#),
        Refusal(
            "a table that is another stream's view",
            everySource
                + "streams:\n  memos: {source: app, from: a}\n  b: {source: app, from: b, table: memos_latest}\n",
            #"streams.b.table: the table "memos_latest" is the latest view of the stream "memos" (line 12)"#),
        Refusal(
            "incremental without a watermark", stream("source: app", "from: memos", "mode: incremental"),
            #"streams.memos: mode incremental needs the key "watermark" (line 14)"#),
        Refusal(
            "neither from nor query", stream("source: shop"),
            #"streams.memos: the key "from" (or "query") is missing (line 12)"#),
        Refusal(
            "both from and query", stream("source: shop", "from: a.b", "query: SELECT 1"),
            #"a stream has either "from" or "query", and this one has both (line 14)"#),
        Refusal(
            "both columns and exclude", stream("source: app", "from: memos", "columns: [a]", "exclude: [b]"),
            #"a stream has either "columns" or "exclude", and this one has both (line 15)"#),
        Refusal(
            "a table id with a dot", stream("source: app", "from: memos", "table: raw.memos"),
            #"streams.memos.table: "raw.memos" is no table id"#),
        Refusal(
            "a type that is none", stream("source: app", "from: memos", "types: {a: TIMESTMP}"),
            #"streams.memos.types.a: "TIMESTMP" is no BigQuery type, did you mean "TIMESTAMP"? (line 14)"#),
        Refusal(
            "a type for a name that can't be a column", stream("source: app", "from: memos", "types: {my-date: DATE}"),
            #"streams.memos.types: "my-date" is no column name (line 14)"#),
        Refusal(
            "a type for the name before a rename",
            stream("source: app", "from: memos", "rename: {a: b}", "types: {a: DATE}"),
            #"streams.memos.types.a: the column "a" is renamed to "b" (line 15)"#),
        Refusal(
            "another type for a metadata column",
            stream("source: app", "from: memos", "types: {_extracted_at: STRING}"),
            #"the metadata column "_extracted_at" is always TIMESTAMP (line 14)"#),
        Refusal(
            "two columns renamed to one", stream("source: app", "from: memos", "rename: {a: c, b: C}"),
            #""a" and "b" would both become "C" (line 14)"#),
        Refusal(
            "a rename onto a metadata column", stream("source: app", "from: memos", "rename: {id: _id}"),
            #""id" would become "_id", which is the name of another column (line 14)"#),
        Refusal(
            "a rename onto a chosen column",
            stream("source: app", "from: memos", "columns: [a, b]", "rename: {a: b}"),
            #""a" would become "b", which is the name of another column (line 15)"#),
        Refusal(
            "a rename to a reserved prefix", stream("source: app", "from: memos", "rename: {a: _table_x}"),
            #"streams.memos.rename.a: "_table_x" is no column name (line 14)"#),
        Refusal(
            "a rename of a field's name", stream("source: app", "from: memos", "rename: {my field: a}"),
            #"streams.memos.rename: "my field" is no column name (line 14)"#),
        Refusal(
            "a long delimiter", stream("source: drops", "from: a.csv", #"delimiter: "||""#),
            "streams.memos.delimiter: expected one ASCII character"),
        Refusal(
            "the same delimiter and quote", stream("source: drops", "from: a.csv", #"quote: ",""#),
            #""quote" and "delimiter" are the same character (line 14)"#),
        Refusal(
            "a dataset with its project", "destination: {project: p, dataset: p.d}",
            "destination.dataset: a dataset's id consists of letters, digits and _ (line 1)"),
        Refusal(
            "an endpoint without scheme", "destination: {project: p, dataset: d, endpoint: 127.0.0.1:9050}",
            "destination.endpoint: expected a URL such as http://127.0.0.1:9050"),
        Refusal(
            "a URL of another database",
            "destination: {dataset: d, project: p}\nsources:\n  a: {type: mysql, url: \"postgres://u:geheim@h/d\"}\n",
            "sources.a.url: expected a URL such as mysql://user@host/database (line 3)"),
        Refusal(
            "a store that is none",
            "destination: {dataset: d, project: p}\nsources:\n  a: {type: files, url: \"ftp://host/\"}\n",
            "sources.a.url: expected a path, file:///dir/, gs://bucket/"),
    ]
}

@Suite struct ConfigurationErrorTests {
    @Test(arguments: Refusal.form + Refusal.names + Refusal.meaning)
    func `a mistake is refused with its place`(_ refusal: Refusal) throws {
        let failure = try rejection(of: refusal.text)
        #expect(failure.message.contains(refusal.message), "\(failure.message)")
        #expect(failure.message.hasPrefix("etl.yaml: "))
        #expect(failure.exitCode == 78)
        #expect(failure.code == .config)
    }

    @Test(arguments: ["_updated_at", "_created_at", "_id", "__name__", "__updated__"])
    func `a Firestore watermark that is no field points to mode changes`(_ field: String) throws {
        let failure = try rejection(of: stream("source: app", "from: memos", "watermark: \(field)"))
        #expect(failure.message.contains("(line 14)"))
        #expect(failure.message.contains("updateTime"))
        #expect(failure.hint?.contains("mode: changes") == true)
    }

    @Test func `a column with a metadata name is a watermark like any other in SQL`() throws {
        let configuration = try decode(stream("source: dw", "from: d.t", "watermark: _extracted_at"))
        #expect(configuration.streams[0].mode == .incremental)
    }

    @Test(arguments: ["memos", "users/alice/orders", "**/orders", "users/*/orders", "a/b/c/d/e"])
    func `a Firestore path that can be read is accepted`(_ from: String) throws {
        let configuration = try decode(stream("source: app", #"from: "\#(from)""#))
        #expect(configuration.streams[0].input == .from(from))
    }

    @Test(
        arguments: [
            "users/alice", "/memos", "memos/", "users//orders", "**", "*/orders", "users/*", "users/*/orders/*/lines",
            "**/a/b", "use*/a/orders", "a/../b",
        ])
    func `a Firestore path that can't be read is refused`(_ from: String) throws {
        let failure = try rejection(of: stream("source: app", #"from: "\#(from)""#))
        #expect(failure.message.contains("streams.memos.from: "))
        #expect(failure.message.contains("(line 13)"))
    }

    @Test func `no message shows a password`() throws {
        let files = [
            "destination: {dataset: d, project: p}\nsources:\n  a: {type: mysql, url: \"postgres://u:geheim@h/d\"}\n",
            "destination: {dataset: d, project: p}\nsources:\n  a: {type: files, url: \"ftp://u:geheim@h/d\"}\n",
            "destination: {dataset: d, project: p, endpoint: \"http://u:geheim@h\"}",
            "destination: {dataset: d, project: p}\nsources:\n  a: {type: postgres, url: [postgres://u:geheim@h/d\n",
            "destination: {dataset: d, project: p, max_in_flight: \"${SECRET}\"}",
        ]
        for file in files {
            let failure = try rejection(of: file, environment: ["SECRET": "geheim"])
            #expect(!failure.description.contains("geheim"), "\(failure.description)")
        }
    }

    @Test func `views that are turned off free their names`() throws {
        let text = everySource.replacing("dataset: raw_data", with: "dataset: raw_data\n  latest_views: false")
        let configuration = try decode(
            text + "streams:\n  memos: {source: app, from: a}\n  memos_latest: {source: app, from: b}\n")
        #expect(configuration.streams.map(\.table) == ["memos", "memos_latest"])
    }

    @Test func `names can be swapped by a rename`() throws {
        let configuration = try decode(
            stream("source: app", "from: memos", "columns: [a, b]", "rename: {a: b, b: a, _id: id, other: _id}"))
        #expect(configuration.streams[0].rename["other"] == "_id")
    }

    @Test func `a watermark beside another mode is accepted and the mode wins`() throws {
        for mode in ["full", "changes"] {
            let configuration = try decode(
                stream("source: app", "from: memos", "watermark: at", "mode: \(mode)"))
            #expect(configuration.streams[0].mode.rawValue == mode)
        }
    }
}
