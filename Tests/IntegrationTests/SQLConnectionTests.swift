import Foundation
import JSONBytes
import TestSupport
import Testing

/// Where a connection's settings may come from; a password is printed and kept nowhere.
struct SQLConnectionTests {
    /// A password that would be found wherever it turned up, and as a URL would spell it.
    private static let password = "pass:w@rd/?#"
    private static let spellings = [password, "pass:w%40rd%2F%3F%23", "pass%3Aw%40rd%2F%3F%23"]

    /// Checks and extracts, with everything told that can be, and looks for the password in all that is left behind.
    ///
    /// - Parameter files: files for the home folder, which alone may hold the password besides the configuration.
    private func verify(
        _ what: String, source: String, environment: [String: String] = [:], files: [String: String] = [:],
        isTaken: Bool = true
    ) async throws {
        try await SQLPipeline.with(source: source, stream: "from: orders, mode: full", environment: environment) {
            pipeline in
            let folder = pipeline.program.folder
            for (name, text) in files {
                try text.write(toFile: folder + "/" + name, atomically: true, encoding: .utf8)
                chmod(folder + "/" + name, 0o600)
            }
            var told = ""
            for arguments in [
                ["check", "--verbose"], ["extract", "--verbose", "--log-format", "json", "--patience", "100ms"],
                ["status"], ["audit", "rows"], ["check", "--json"],
            ] {
                let outcome = try await pipeline.program.run(arguments)
                told += outcome.output + outcome.diagnostics
                if arguments[0] == "extract" {
                    #expect(outcome.code == (isTaken ? 0 : 77), "\(what): \(outcome.diagnostics)\(outcome.output)")
                }
            }
            for name in try FileManager.default.contentsOfDirectory(atPath: folder)
            where files[name] == nil && name != "etl.yaml" {
                let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))
                for spelling in Self.spellings {
                    #expect(data.range(of: Data(spelling.utf8)) == nil, "\(what): \(name) holds \(spelling)")
                }
            }
            for spelling in Self.spellings { #expect(!told.contains(spelling), "\(what) prints \(spelling)") }
        }
    }

    @Test(.postgres) func `PostgreSQL: URL, variables, password files, sockets`() async throws {
        let server = try await PostgresServer.running()
        let database = try server.database(
            "CREATE TABLE orders (id int PRIMARY KEY); GRANT SELECT ON orders TO pw_reader")
        let (address, name) = ("127.0.0.1:\(server.port)", database.name)
        let word = Self.password
        let bare = "{type: postgres, url: \"postgres://pw_reader@\(address)/\(name)\"}"
        // In the format of .pgpass a colon has a backslash in front.
        let line = "127.0.0.1:\(server.port):*:pw_reader:" + word.replacingOccurrences(of: ":", with: "\\:") + "\n"
        try await verify("url", source: "{type: postgres, url: \"postgres://pw_reader:\(word)@\(address)/\(name)\"}")
        try await verify(
            "encoded url",
            source: "{type: postgres, url: \"postgres://pw_reader:\(Self.spellings[1])@\(address)/\(name)\"}")
        try await verify(
            "a variable in the url",
            source: "{type: postgres, url: \"postgres://pw_reader:${SHOP_PASSWORD}@\(address)/\(name)\"}",
            environment: ["SHOP_PASSWORD": word])
        try await verify("PGPASSWORD", source: bare, environment: ["PGPASSWORD": word])
        try await verify(
            "PG variables alone", source: "{type: postgres, url: \"postgres://\"}",
            environment: [
                "PGHOST": "127.0.0.1", "PGPORT": "\(server.port)", "PGUSER": "pw_reader", "PGDATABASE": name,
                "PGPASSWORD": word,
            ])
        try await verify(".pgpass", source: bare, files: [".pgpass": line])
        try await verify(
            "a password file", source: bare.replacingOccurrences(of: "\"}", with: "\", credentials: secret}"),
            files: ["secret": line])
        try await verify(
            "a unix socket",
            source: "{type: postgres, url: \"postgres://postgres@/\(name)?host=\(server.folder)&port=\(server.port)\"}")
        try await verify(
            "a wrong password",
            source: "{type: postgres, url: \"postgres://postgres@\(address)/\(name)?user=pw_reader\"}",
            environment: ["PGPASSWORD": "not " + word], isTaken: false)
    }

    @Test(.mariaDB) func `MariaDB: URL, variables, option files, sockets`() async throws {
        let server = try await MariaDBServer.running()
        let database = try server.database("CREATE TABLE orders (id int PRIMARY KEY)")
        try database.run("GRANT SELECT ON \(database.name).* TO pw_reader@'127.0.0.1'")
        let (address, name) = ("127.0.0.1:\(server.port)", database.name)
        let word = Self.password
        let options = "[client]\nuser=pw_reader\npassword=\"\(word)\"\nhost=127.0.0.1\nport=\(server.port)\n"
        try await verify("url", source: "{type: mysql, url: \"mysql://pw_reader:\(word)@\(address)/\(name)\"}")
        try await verify(
            "a variable in the url",
            source: "{type: mysql, url: \"mysql://pw_reader:${ERP_PASSWORD}@\(address)/\(name)\"}",
            environment: ["ERP_PASSWORD": word])
        try await verify(
            ".my.cnf", source: "{type: mysql, url: \"mysql:///\(name)\"}", files: [".my.cnf": options])
        try await verify(
            "an option file", source: "{type: mysql, url: \"mysql:///\(name)\", credentials: secret}",
            files: ["secret": options])
        try await verify(
            "a unix socket", source: "{type: mysql, url: \"mysql://root@/\(name)?socket=\(server.folder)/s\"}")
        try await verify(
            "a wrong password", source: "{type: mysql, url: \"mysql://pw_reader:not-\(word)@\(address)/\(name)\"}",
            isTaken: false)
    }
}
