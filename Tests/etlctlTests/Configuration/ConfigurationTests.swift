import Testing

@testable import etlctl

@Suite struct ConfigurationTests {
    /// The example of the public contract, with every key.
    static let wholeFile = """
        spool:
          path: var/spool.sqlite
          max_size: 20GiB
          keep_delivered: 7d
          remote: gs://bucket/etl

        destination:
          project: b2b-recs
          dataset: raw_data
          location: EU
          credentials: keys/sa.json
          endpoint: http://127.0.0.1:9050
          create: true
          schema: evolve
          latest_views: true
          max_rows_per_request: 500
          max_request_size: 5MiB
          max_in_flight: 8
          rows_per_second: 0
          verify: auto

        sources:
          app:   {type: firestore, project: b2b-recs, database: (default), credentials: keys/reader.json}
          shop:  {type: postgres, url: "postgres://etl:${SHOP_PASSWORD}@db.example/shop?sslmode=verify-full"}
          erp:   {type: mysql, url: "mysql://etl:${ERP_PASSWORD}@erp.example:3306/erp"}
          dw:    {type: bigquery, project: other-project, location: US}
          drops: {type: files, url: "gs://bucket/exports/"}

        streams:
          memos:
            source: app
            from: memos
            mode: incremental
            watermark: last_modified
            table: bq_memos
            columns: [title, owner]
            rename: {_id: id}
            types: {last_modified: TIMESTAMP}
            nested: string
            lookback: 5m
            parallel: 4
            generation: 0
            max_reads: 0
        """

    @Test func `the contract's example is read as it says`() throws {
        let environment = ["SHOP_PASSWORD": "s3cret", "ERP_PASSWORD": "0ther"]
        let configuration = try decode(Self.wholeFile, environment: environment)

        #expect(
            configuration.spool
                == SpoolConfiguration(
                    path: "/project/var/spool.sqlite", maximumBytes: 20 << 30, keepDelivered: .seconds(7 * 86_400),
                    remote: StoreConfiguration(
                        store: .googleCloudStorage, url: "gs://bucket/etl/", region: nil, profile: nil,
                        credentials: nil, endpoint: nil)))
        let destination = configuration.destination
        #expect(destination.project == "b2b-recs")
        #expect(destination.dataset == "raw_data")
        #expect(destination.location == "EU")
        #expect(destination.credentials == "/project/keys/sa.json")
        #expect(destination.endpoint.url == "http://127.0.0.1:9050")
        #expect(destination.endpoint.isLoopback)
        #expect(destination.maximumRequestBytes == 5 << 20)

        guard case .postgres(let shop) = configuration.sources["shop"] else {
            Issue.record("shop is no postgres source")
            return
        }
        #expect(shop.url.secret.exposed == "postgres://etl:s3cret@db.example/shop?sslmode=verify-full")
        #expect(shop.url.safeURL == "postgres://etl@db.example/shop")
        #expect(shop.lockTimeout == .seconds(30))

        let memos = try #require(configuration.stream(named: "memos"))
        #expect(memos.mode == .incremental)
        #expect(memos.fields == .only(["title", "owner"]))
        #expect(memos.rename == ["_id": "id"])
        #expect(memos.types == ["last_modified": .timestamp])
        #expect(memos.lookback == .duration(.seconds(300)))
        #expect(memos.parallel == 4)
        #expect(configuration.lines["streams.memos.parallel"] == 41)
    }

    @Test func `what is left out has the documented default`() throws {
        let configuration = try decode(
            """
            destination: {project: p, dataset: d}
            sources: {app: {type: firestore, project: p}}
            streams: {my-memos.v2: {source: app, from: memos}}
            """)
        #expect(
            configuration.spool
                == SpoolConfiguration(
                    path: "/project/var/spool.sqlite", maximumBytes: 20 << 30, keepDelivered: .seconds(7 * 86_400),
                    remote: nil))
        #expect(
            configuration.destination
                == DestinationConfiguration(
                    project: "p", dataset: "d", location: nil, credentials: nil, endpoint: .bigQuery,
                    createsMissing: true, schemaPolicy: .evolve, keepsLatestViews: true, maximumRowsPerRequest: 500,
                    maximumRequestBytes: 5 << 20, maximumInFlight: 8, rowsPerSecond: 0, verification: .auto))
        #expect(
            configuration.sources["app"]
                == .firestore(
                    FirestoreSourceConfiguration(
                        project: "p", database: "(default)", credentials: nil, endpoint: .firestore)))
        #expect(
            configuration.streams == [
                StreamConfiguration(
                    name: "my-memos.v2", source: "app", kind: .firestore, input: .from("memos"), mode: .full,
                    watermark: nil, lookback: nil, key: [], table: "my_memos_v2", fields: .all, rename: [:],
                    types: [:], nested: .string, parallel: 1, generation: 0, maximumReads: 0, files: nil)
            ])
    }

    @Test(arguments: ["\n", "\r\n", "\r"], ["", "\u{feff}"])
    func `line ends and a byte order mark change nothing`(_ lineEnd: String, _ mark: String) throws {
        let environment = ["SHOP_PASSWORD": "s3cret", "ERP_PASSWORD": "0ther"]
        let text = mark + Self.wholeFile.replacing("\n", with: lineEnd)
        #expect(try decode(text, environment: environment) == decode(Self.wholeFile, environment: environment))
    }

    @Test func `no text crashes the decoder`() {
        // Deterministic: every run tries the same damage.
        var seed: UInt64 = 0x9e37_79b9_7f4a_7c15
        func next(_ bound: Int) -> Int {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(seed >> 33) % bound
        }
        let pieces = [
            "*x", "&x ", "<<: ", "{", "}", "[", "]", ": ", "- ", "${", "}", "!!int ", "? ", "|\n", "\u{0}", "\t", "~",
        ]
        let whole = Array(Self.wholeFile)
        var refused = 0
        for _ in 0..<2_000 {
            var text = whole
            for _ in 0...next(3) {
                let start = next(text.count)
                let end = min(start + next(12), text.count)
                text.replaceSubrange(start..<end, with: pieces[next(pieces.count)])
            }
            do {
                _ = try decode(String(text), environment: ["SHOP_PASSWORD": "geheim", "ERP_PASSWORD": "geheim"])
            } catch {
                refused += 1
                #expect(error.exitCode == 78)
                #expect(!error.description.contains("geheim"))
            }
        }
        #expect(refused > 500)
    }

    @Test func `JSON is read too`() throws {
        let configuration = try decode(
            #"{"destination":{"project":"p","dataset":"d","max_in_flight":2,"create":false}}"#)
        #expect(configuration.destination.maximumInFlight == 2)
        #expect(!configuration.destination.createsMissing)
        #expect(configuration.streams.isEmpty)
    }

    @Test func `JSON's escapes are read, also those in pairs`() throws {
        let configuration = try decode(
            #"{"destination":{"project":"p","dataset":"d"},"sources":{"a":{"type":"files","url":"\/x"}},"# + "\n"
                + #""streams":{"s":{"source":"a","from":"\ud83d\ude00\uD83D\uDE00-\u00e9-\\\\ud83d\\\\ude00.csv"}}}"#)
        #expect(configuration.streams.first?.input == .from(#"😀😀-é-\\ud83d\\ude00.csv"#))
    }
}
