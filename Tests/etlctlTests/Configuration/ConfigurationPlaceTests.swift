import Foundation
import Testing

@testable import etlctl

/// Where files are, what the environment adds, and what URLs may show.
@Suite struct ConfigurationPlaceTests {
    @Test func `the flag names the file before the variable, and the variable before the working folder`() {
        let environment = ["ETLCTL_CONFIG": "conf/b.yaml"]
        func path(_ flag: String?, _ environment: [String: String]) -> String {
            ConfigurationLoader.locate(flag: flag, environment: environment, workingDirectory: "/here").path
        }
        #expect(path("../a.yaml", environment) == "/a.yaml")
        #expect(path(nil, environment) == "/here/conf/b.yaml")
        #expect(path(nil, ["ETLCTL_CONFIG": ""]) == "/here/etl.yaml")
        #expect(path("/etc/etl.yaml", [:]) == "/etc/etl.yaml")
    }

    @Test func `a file that is missing, a folder or no text is refused by name`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "etlctl-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func failure(_ name: String) throws -> Failure {
            try #require(throws: Failure.self) {
                try ConfigurationLoader.load(flag: name, environment: [:], workingDirectory: folder.path)
            }
        }
        let missing = try failure("none.yaml")
        #expect(missing.message == "There is no configuration file none.yaml.")
        #expect(missing.hint?.contains("etlctl init") == true)
        #expect(missing.exitCode == 78)

        try FileManager.default.createDirectory(
            at: folder.appending(path: "sub"), withIntermediateDirectories: true)
        let folderItself = try failure("sub")
        #expect(folderItself.message.contains("it is a folder"))
        #expect(folderItself.hint?.contains("sub/etl.yaml") == true)

        try Data([0x61, 0xff, 0xfe]).write(to: folder.appending(path: "latin.yaml"))
        #expect(try failure("latin.yaml").message == "latin.yaml: the file is not UTF-8 text")

        try Data("destination: {project: p, dataset: d}".utf8).write(to: folder.appending(path: "good.yaml"))
        let good = try ConfigurationLoader.load(flag: "good.yaml", environment: [:], workingDirectory: folder.path)
        #expect(good.spool.path == folder.path + "/var/spool.sqlite")
    }

    @Test func `relative paths start at the file`() throws {
        let configuration = try decode(
            """
            spool: {path: ../state/./spool.sqlite, remote: copies}
            destination: {project: p, dataset: d, credentials: ~/keys/sa.json}
            sources:
              drops: {type: files, url: exports, credentials: /etc/key}
              here: {type: files, url: "file:///data/in/"}
              store: {type: files, url: "s3://bucket/a//b/"}
            """, environment: ["HOME": "/home/etl"])
        #expect(configuration.spool.path == "/state/spool.sqlite")
        #expect(configuration.spool.remote?.url == "file:///project/copies/")
        #expect(configuration.destination.credentials == "/home/etl/keys/sa.json")
        let urls = configuration.sources.mapValues { source in
            if case .files(let files) = source { files.url } else { "" }
        }
        #expect(
            urls == ["drops": "file:///project/exports/", "here": "file:///data/in/", "store": "s3://bucket/a/b/"])
    }

    @Test func `the SDKs' variables fill in what the file leaves out`() throws {
        let environment = [
            "GOOGLE_CLOUD_PROJECT": "from-env", "BIGQUERY_EMULATOR_HOST": "127.0.0.1:9050",
            "FIRESTORE_EMULATOR_HOST": "localhost:8080", "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9023",
            "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:5000/", "AWS_ENDPOINT_URL": "http://elsewhere",
            "AWS_REGION": "eu-west-1", "AWS_PROFILE": "etl", "PGHOST": "db",
        ]
        let configuration = try decode(
            """
            destination: {dataset: d}
            sources:
              app: {type: firestore}
              dw: {type: bigquery, endpoint: "https://other.example"}
              gs: {type: files, url: "gs://b"}
              s3: {type: files, url: "s3://b", region: us-east-1}
              pg: {type: postgres}
            """, environment: environment)
        #expect(configuration.destination.project == "from-env")
        #expect(configuration.destination.endpoint.url == "http://127.0.0.1:9050")
        guard case .firestore(let app) = configuration.sources["app"],
            case .bigquery(let warehouse) = configuration.sources["dw"],
            case .files(let google) = configuration.sources["gs"],
            case .files(let amazon) = configuration.sources["s3"],
            case .postgres(let database) = configuration.sources["pg"]
        else {
            Issue.record("a source has the wrong type")
            return
        }
        #expect(app.project == "from-env")
        #expect(app.endpoint.url == "http://localhost:8080")
        #expect(warehouse.endpoint.url == "https://other.example")
        #expect(google.endpoint?.url == "http://127.0.0.1:9023")
        #expect(google.region == nil)
        #expect(amazon.endpoint?.url == "http://127.0.0.1:5000")
        #expect(amazon.region == "us-east-1")
        #expect(amazon.profile == "etl")
        #expect(database.url.target == "postgres://db:5432/")
    }

    @Test func `an endpoint of the file comes before a variable, an empty one does not`() throws {
        func endpoint(_ text: String, _ environment: [String: String]) throws -> String {
            let file = "destination: {project: p, dataset: d, endpoint: \"\(text)\"}"
            return try decode(file, environment: environment).destination.endpoint.url
        }
        let emulator = ["BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9050"]
        #expect(try endpoint("https://private.example", emulator) == "https://private.example")
        #expect(try endpoint("${NONE:-}", emulator) == "http://127.0.0.1:9050")
        #expect(try endpoint("${NONE:-}", [:]) == "https://bigquery.googleapis.com")
        #expect(try endpoint("https://private.example", ["BIGQUERY_EMULATOR_HOST": "ftp://x"]).hasPrefix("https"))
    }

    @Test func `a variable that holds no address is named`() throws {
        let failure = try rejection(
            of: "destination: {project: p, dataset: d}", environment: ["BIGQUERY_EMULATOR_HOST": "ftp://x"])
        #expect(failure.message.contains("BIGQUERY_EMULATOR_HOST"))
    }

    @Test(
        arguments: [
            ("http://127.0.0.1:9050", true), ("http://127.1.2.3", true), ("http://localhost:80/x", true),
            ("https://[::1]:9050", true), ("http://bq.localhost", true), ("https://bigquery.googleapis.com", false),
            ("http://127.0.0.1.example.com", false), ("http://10.0.0.1", false), ("http://localhost.example", false),
        ])
    func `loopback is what stays on this machine`(_ url: String, _ isLoopback: Bool) throws {
        let endpoint = try #require(Endpoint(url))
        #expect(endpoint.isLoopback == isLoopback)
        #expect((endpoint.identity == "loopback") == isLoopback)
    }

    @Test(arguments: ["", "http://", "ftp://h", "http://u@h", "http://h?x", "http://h:0", "http://h:x", "http://[::1"])
    func `what is no endpoint is refused`(_ text: String) {
        #expect(Endpoint(text) == nil)
    }

    @Test(
        arguments: [
            ("postgres://etl:pw@db.example:5433/shop?sslmode=require", "postgres://etl@db.example:5433/shop"),
            ("postgres://db.example/shop", "postgres://db.example/shop"),
            ("postgres://db/shop?user=etl&password=pw", "postgres://db/shop"),
            ("mysql://etl:p%40w@erp/erp", "mysql://etl@erp/erp"),
            // Not percent-encoded, so no valid URLs: still nothing of the password shows.
            ("postgres://etl:p@w/pw@db/shop", "postgres://etl@db/shop"),
            ("postgres://etl:pw/pw?pw@db/shop", "postgres://etl@db/shop"),
            ("postgres://etl:pw#pw@db/shop", "postgres://etl@db/shop"),
            ("postgres://h1:1,h2:2/shop", "postgres://h1:1,h2:2/shop"),
        ])
    func `a URL that is shown has no password`(_ text: String, _ safe: String) throws {
        let url = try #require(ConnectionURL(text))
        #expect(url.safeURL == safe)
        #expect(!"\(url)".contains("pw"))
        var dump = ""
        Swift.dump(url, to: &dump)
        #expect(!dump.contains("pw"), "\(dump)")
    }

    @Test func `passwords are known decoded and as they stand`() throws {
        let url = try #require(ConnectionURL("mysql://u:a%40b@h/d?password=c"))
        #expect(url.passwords.map(\.exposed) == ["a%40b", "a@b", "c"])
    }

    @Test func `the same database is the same target, whoever signs in`() throws {
        let same = [
            "postgres://a:1@DB.example/shop", "postgresql://b@db.example:5432/shop?sslmode=require",
            "postgres:///shop?host=db.example", "postgres://db.example:5432?dbname=shop",
        ]
        for text in same {
            #expect(try #require(ConnectionURL(text)).target == "postgres://db.example:5432/shop")
        }
        #expect(ConnectionURL("mysql://h/d")?.target == "mysql://h:3306/d")
        #expect(ConnectionURL("postgres://[::1]/d")?.target == "postgres://[::1]:5432/d")
        #expect(ConnectionURL("postgres://db/other")?.target != ConnectionURL("postgres://db/shop")?.target)
    }

    @Test func `a secret never describes itself`() {
        let secret = SecretString("geheim")
        #expect("\(secret)" == "<redacted>")
        #expect(String(reflecting: secret) == "<redacted>")
    }

    @Test func `a credentials file is checked when it is used`() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "etlctl-\(UUID().uuidString).json")
        try Data("{}".utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        try CredentialsFile.check(file.path)
        let missing = try #require(throws: Failure.self) { try CredentialsFile.check(file.path + ".none") }
        #expect(missing.exitCode == 78)
        #expect(missing.message.contains("does not exist"))
        let folder = try #require(throws: Failure.self) {
            try CredentialsFile.check(FileManager.default.temporaryDirectory.path)
        }
        #expect(folder.message.contains("is a folder"))
    }

    @Test func `streams are taken by name in the file's order, and a wrong name is a usage error`() throws {
        let configuration = try decode(
            everySource + "streams:\n  a: {source: app, from: a}\n  b: {source: app, from: b}\n")
        #expect(try configuration.streams(named: ["b", "a"]).map(\.name) == ["a", "b"])
        #expect(try configuration.streams(named: []).count == 2)
        let failure = try #require(throws: Failure.self) { try configuration.streams(named: ["a", "bb"]) }
        #expect(failure.exitCode == 64)
        #expect(failure.message.contains("\"bb\""))
        #expect(failure.hint?.contains("Did you mean \"b\"?") == true)
    }

    @Test func `a late failure has the line of its key, or of what it belongs to`() throws {
        let configuration = try decode(stream("source: app", "from: memos"))
        #expect(
            configuration.failure(at: "streams.memos.from", "no such collection").message
                == "etl.yaml: streams.memos.from: no such collection (line 13)")
        #expect(configuration.failure(at: "streams.memos.table", "x").message.hasSuffix("(line 11)"))
    }
}
