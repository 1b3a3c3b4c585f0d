import Foundation
package import Testing

/// A PostgreSQL server of this test process: started for the first who asks, on a free port of loopback and a socket in its folder.
package struct PostgresServer: Sendable {
    package let folder: String
    package let port: Int
    private let binaries: String
    /// Set for a server that speaks TLS.
    package let authority: TestAuthority?

    private static let user = "postgres"

    /// The server of this process.
    package static func running() async throws -> PostgresServer { try await shared.value }

    private static let shared = Task { try await start(withTLS: false) }

    /// Another server, which speaks TLS.
    package static func runningWithTLS() async throws -> PostgresServer { try await sharedWithTLS.value }

    private static let sharedWithTLS = Task { try await start(withTLS: true) }

    private static var folders: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []).sorted {
            $0.compare($1, options: .numeric) == .orderedDescending
        }.map { "/usr/lib/postgresql/\($0)/bin" }
    }

    package static var isExpected: Bool {
        LocalServer.program(["initdb"], in: folders) != nil || ProcessInfo.processInfo.environment["CI"] != nil
    }

    private static func start(withTLS: Bool) async throws -> PostgresServer {
        guard let initdb = LocalServer.program(["initdb"], in: folders) else {
            throw LocalServer.Failure(description: "there is no PostgreSQL server: install postgresql")
        }
        let binaries = URL(fileURLWithPath: initdb).deletingLastPathComponent().path
        let folder = try LocalServer.folder(for: user)
        let authority = withTLS ? try TestAuthority(in: folder, owner: user) : nil
        let server = PostgresServer(
            folder: folder, port: try LoopbackServer.unusedPort(), binaries: binaries, authority: authority)
        let data = folder + "/data"
        try ChildProcess.run(
            LocalServer.unprivileged(user) + [
                initdb, "-D", data, "-U", user, "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
            ])
        // The user pw_reader needs a password, over the network alone.
        let access = """
            local all all trust
            local replication all trust
            host all pw_reader 127.0.0.1/32 scram-sha-256
            host all all 127.0.0.1/32 trust

            """
        try access.write(toFile: data + "/pg_hba.conf", atomically: false, encoding: .utf8)
        try LocalServer.start(
            LocalServer.unprivileged(user) + [
                binaries + "/postgres", "-D", data, "-p", String(server.port), "-k", folder, "-c",
                "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off", "-c",
                "max_connections=100", "-c", "shared_buffers=64MB",
            ]
                + (authority.map {
                    [
                        "-c", "ssl=on", "-c", "ssl_cert_file=\($0.serverCertificate)", "-c",
                        "ssl_key_file=\($0.serverKey)",
                    ]
                } ?? []), stopSignal: "INT", folder: folder)
        try await LocalServer.wait(for: "PostgreSQL", folder: folder) { _ = try server.run("SELECT 1", in: "postgres") }
        _ = try server.run("CREATE ROLE pw_reader LOGIN PASSWORD 'pass:w@rd/?#'", in: "postgres")
        return server
    }

    /// A replica of this server as it is now, and what follows. Queries on it give way to what it has to replay at once.
    package func replica() async throws -> PostgresServer {
        let folder = try LocalServer.folder(for: Self.user)
        let replica = PostgresServer(
            folder: folder, port: try LoopbackServer.unusedPort(), binaries: binaries, authority: nil)
        try ChildProcess.run(
            LocalServer.unprivileged(Self.user) + [
                binaries + "/pg_basebackup", "-h", self.folder, "-p", String(port), "-U", Self.user, "-D",
                folder + "/data", "-R", "-c", "fast", "-X", "stream", "--no-sync",
            ])
        try LocalServer.start(
            LocalServer.unprivileged(Self.user) + [
                binaries + "/postgres", "-D", folder + "/data", "-p", String(replica.port), "-k", folder, "-c",
                "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_standby_streaming_delay=0",
            ], stopSignal: "INT", folder: folder)
        try await LocalServer.wait(for: "PostgreSQL's replica", folder: folder) {
            _ = try replica.run("SELECT 1", in: "postgres")
        }
        return replica
    }

    /// The database of that name on this server.
    package func existing(_ name: String) -> PostgresDatabase { PostgresDatabase(server: self, name: name) }

    /// A database nobody else uses, after these statements.
    package func database(_ statements: String = "", encoding: String? = nil) throws -> PostgresDatabase {
        let name = "t_" + UUID().uuidString.lowercased().replacingOccurrences(of: "-", with: "")
        let options = encoding.map { " TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING '\($0)'" } ?? ""
        _ = try run("CREATE DATABASE \(name)\(options)", in: "postgres")
        let database = PostgresDatabase(server: self, name: name)
        if !statements.isEmpty { try database.run(statements) }
        return database
    }

    /// Runs statements, and returns what they print: rows as lines, cells between tabs.
    func run(_ statements: String, in database: String) throws -> String {
        try ChildProcess.run(
            [
                binaries + "/psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", folder, "-p",
                String(port), "-U", Self.user, "-d", database, "-f", "-",
            ], input: statements, environment: ["PGCLIENTENCODING": "UTF8", "PGTZ": "UTC"])
    }
}

/// One database of the server.
package struct PostgresDatabase: Sendable {
    package let server: PostgresServer
    package let name: String

    /// A database of that name on the same server, whether it exists or not.
    package func named(_ name: String) -> PostgresDatabase { PostgresDatabase(server: server, name: name) }

    @discardableResult
    package func run(_ statements: String) throws -> String { try server.run(statements, in: name) }

    package func url(
        user: String = "postgres", password: String? = nil, host: String = "127.0.0.1", options: String = ""
    ) -> String {
        let credentials = password.map { "\(user):\($0)" } ?? user
        return "postgres://\(credentials)@\(host):\(server.port)/\(name)\(options)"
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips where there is no server to start, unless `CI` is set: then the test fails.
    package static var postgres: Self {
        .enabled(if: PostgresServer.isExpected, "needs PostgreSQL's server: apt-get install postgresql")
    }
}
