import Foundation
import JSONBytes
import TestSupport
import Testing

/// What is wrong with a source or a stream: `check` says so before anything is read, and `extract` ends with the same code.
struct SQLCheckTests {
    private struct Case {
        var what: String
        var url: String
        var stream = "from: orders, mode: full"
        var code: Int32
        /// In the message.
        var says: String
        /// The key whose line is named.
        var at: String?
    }

    private func verify(_ cases: [Case], type: String) async throws {
        for one in cases {
            let source = "{type: \(type), url: \"\(one.url)\"}"
            try await SQLPipeline.with(source: source, stream: one.stream) { pipeline in
                let checked = try await pipeline.program.run("check", "--json")
                let findings = try checked.json()["findings"]?.arrayValue ?? []
                let errors = findings.filter { $0["level"] == "error" }
                let told = errors.map { $0["message"]?.stringValue ?? "" }.joined(separator: "\n")
                #expect(checked.code == one.code, "\(one.what): \(told)")
                #expect(told.contains(one.says), "\(one.what): \(told)")
                #expect(errors.allSatisfy { !($0["hint"]?.stringValue ?? "").isEmpty }, "\(one.what) has no hint")
                let extracted = try await pipeline.program.run("extract", "--patience", "100ms")
                #expect(extracted.code == one.code, "\(one.what): \(extracted.output)\(extracted.diagnostics)")
                guard let at = one.at else { return }
                let place = "/etl.yaml: \(at), line \(at.hasPrefix("sources") ? 4 : 6))"
                #expect(told.contains(place), "\(told)")
                #expect(extracted.diagnostics.contains(place), "\(extracted.diagnostics)")
            }
        }
    }

    @Test(.postgres, .mariaDB) func `a dry run counts the rows, reads none and makes no spool`() async throws {
        let statements = "CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1), (2), (3)"
        let postgres = try await PostgresServer.running().database(statements).url()
        let mariaDB = try await MariaDBServer.running().database(statements).url()
        for (type, url) in [("postgres", postgres), ("mysql", mariaDB)] {
            try await SQLPipeline.with(source: "{type: \(type), url: \"\(url)\"}", stream: "from: orders") { pipeline in
                let told = try await pipeline.program.run("extract", "--dry-run", "--json")
                let stream = try told.json()["streams"]?.arrayValue?.first
                #expect(stream?["rows"] == 3 && stream?["estimated_bytes"] == 3000, "\(told.output)")
                let files = try FileManager.default.contentsOfDirectory(atPath: pipeline.program.folder)
                #expect(!files.contains { $0.contains(".sqlite") })
            }
        }
    }

    @Test(.postgres) func `PostgreSQL: host, port, TLS, password, database, table, column, permission`() async throws {
        let database = try await PostgresServer.running().database(
            "CREATE TABLE orders (id int PRIMARY KEY, at timestamptz); CREATE VIEW keyless AS SELECT * FROM orders")
        let dead = try LoopbackServer.unusedPort()
        let url = database.url()
        let reader = database.url(user: "pw_reader", password: "pass:w@rd/?#")
        try await verify(
            [
                Case(what: "host", url: "postgres://u@no-such-host.invalid/x", code: 69, says: "no-such-host.invalid"),
                Case(what: "port", url: "postgres://u@127.0.0.1:\(dead)/x", code: 69, says: "\(dead)"),
                Case(what: "TLS", url: database.url(options: "?sslmode=require"), code: 69, says: "SSL"),
                Case(
                    what: "TLS mode", url: database.url(options: "?sslmode=sometimes"), code: 78, says: "sometimes",
                    at: "sources.shop.url"),
                Case(
                    what: "password", url: database.url(user: "pw_reader", password: "wrong"), code: 77,
                    says: "password authentication failed"),
                Case(
                    what: "database", url: database.named("no_such_db").url(), code: 78, says: "no_such_db",
                    at: "sources.shop.url"),
                Case(
                    what: "table", url: url, stream: "from: missing, mode: full", code: 78, says: "missing",
                    at: "streams.orders.from"),
                Case(what: "case", url: url, stream: "from: Orders, mode: full", code: 78, says: "Orders"),
                Case(
                    what: "column", url: url, stream: "from: orders, mode: incremental, watermark: nope", code: 78,
                    says: "nope", at: "streams.orders.watermark"),
                Case(
                    what: "chosen column", url: url, stream: "from: orders, columns: [id, gone]", code: 78,
                    says: "gone",
                    at: "streams.orders.columns"),
                Case(
                    what: "key", url: url, stream: "from: orders, mode: changes, key: [lost]", code: 78, says: "lost",
                    at: "streams.orders.key"),
                Case(
                    what: "view without key", url: url, stream: "from: keyless, mode: changes", code: 78,
                    says: "keyless"),
                Case(what: "permission", url: reader, code: 77, says: "permission denied"),
                Case(
                    what: "query", url: url, stream: "query: SELECT * FROM nowhere, mode: full", code: 78,
                    says: "nowhere"),
            ], type: "postgres")
    }

    @Test(.mariaDB) func `MariaDB: host, port, TLS, password, database, table, column, permission`() async throws {
        let database = try await MariaDBServer.running().database(
            "CREATE TABLE orders (id int PRIMARY KEY, at datetime); CREATE VIEW keyless AS SELECT * FROM orders")
        try database.run(
            "CREATE USER IF NOT EXISTS nobody@'127.0.0.1' IDENTIFIED BY 'no-one-knows'; GRANT USAGE ON *.* TO nobody@'127.0.0.1'"
        )
        let dead = try LoopbackServer.unusedPort()
        let url = database.url()
        try await verify(
            [
                Case(what: "host", url: "mysql://u@no-such-host.invalid/x", code: 69, says: "no-such-host.invalid"),
                Case(what: "port", url: "mysql://u@127.0.0.1:\(dead)/x", code: 69, says: "\(dead)"),
                Case(what: "TLS", url: database.url(options: "?ssl-mode=REQUIRED"), code: 69, says: "TLS"),
                Case(
                    what: "password", url: database.url(user: "pw_reader", password: "wrong"), code: 77,
                    says: "Access denied"),
                Case(
                    what: "database", url: database.named("no_such_db").url(), code: 78, says: "no_such_db",
                    at: "sources.shop.url"),
                Case(
                    what: "table", url: url, stream: "from: missing, mode: full", code: 78, says: "missing",
                    at: "streams.orders.from"),
                Case(
                    what: "column", url: url, stream: "from: orders, mode: incremental, watermark: nope", code: 78,
                    says: "nope", at: "streams.orders.watermark"),
                Case(
                    what: "chosen column", url: url, stream: "from: orders, columns: [id, gone]", code: 78,
                    says: "gone",
                    at: "streams.orders.columns"),
                Case(
                    what: "key", url: url, stream: "from: orders, mode: changes, key: [lost]", code: 78, says: "lost",
                    at: "streams.orders.key"),
                Case(
                    what: "view without key", url: url, stream: "from: keyless, mode: changes", code: 78,
                    says: "keyless"),
                Case(
                    what: "permission", url: database.url(user: "nobody", password: "no-one-knows"), code: 77,
                    says: "Access denied"),
                Case(
                    what: "query", url: url, stream: "query: SELECT * FROM nowhere, mode: full", code: 78,
                    says: "nowhere"),
            ], type: "mysql")
    }
}
