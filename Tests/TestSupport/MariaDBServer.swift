import Foundation
package import Testing

/// A MariaDB server of this test process: started for the first who asks, on a free port of loopback and a socket in its folder.
package struct MariaDBServer: Sendable {
    package let folder: String
    package let port: Int
    /// Set for a server that speaks TLS.
    package let authority: TestAuthority?

    private static let user = "mysql"
    private static let folders = ["/usr/sbin", "/usr/libexec", "/usr/bin"]

    package static func running() async throws -> MariaDBServer { try await shared.value }

    private static let shared = Task { try await start(withTLS: false) }

    /// Another server, which speaks TLS.
    package static func runningWithTLS() async throws -> MariaDBServer { try await sharedWithTLS.value }

    private static let sharedWithTLS = Task { try await start(withTLS: true) }

    package static var isExpected: Bool {
        LocalServer.program(["mariadbd", "mysqld"], in: folders) != nil
            || ProcessInfo.processInfo.environment["CI"] != nil
    }

    private static func start(withTLS: Bool) async throws -> MariaDBServer {
        guard let daemon = LocalServer.program(["mariadbd", "mysqld"], in: folders) else {
            throw LocalServer.Failure(description: "there is no MariaDB server: install mariadb-server")
        }
        let folder = try LocalServer.folder(for: user)
        let authority = withTLS ? try TestAuthority(in: folder, owner: user) : nil
        let server = MariaDBServer(folder: folder, port: try LoopbackServer.unusedPort(), authority: authority)
        try ChildProcess.run(
            LocalServer.unprivileged(user) + [
                "mariadb-install-db", "--no-defaults", "--datadir=\(folder)/data",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ])
        try LocalServer.start(
            LocalServer.unprivileged(user) + [
                daemon, "--no-defaults", "--datadir=\(folder)/data", "--port=\(server.port)",
                "--bind-address=127.0.0.1",
                "--socket=\(folder)/s", "--pid-file=\(folder)/pid", "--innodb-flush-log-at-trx-commit=0",
                "--innodb-buffer-pool-size=64M", "--skip-log-bin", "--character-set-server=utf8mb4",
                "--skip-name-resolve",
            ]
                + (authority.map {
                    ["--ssl-cert=\($0.serverCertificate)", "--ssl-key=\($0.serverKey)", "--ssl-ca=\($0.certificate)"]
                } ?? []), stopSignal: "TERM", folder: folder)
        try await LocalServer.wait(for: "MariaDB", folder: folder) { _ = try server.run("SELECT 1", in: "mysql") }
        _ = try server.run(
            """
            CREATE USER reader@'127.0.0.1'; GRANT ALL ON *.* TO reader@'127.0.0.1';
            CREATE USER pw_reader@'127.0.0.1' IDENTIFIED BY 'pass:w@rd/?#';
            """, in: "mysql")
        return server
    }

    /// A database nobody else uses, after these statements.
    package func database(_ statements: String = "") throws -> MariaDBDatabase {
        let name = "t_" + UUID().uuidString.lowercased().replacingOccurrences(of: "-", with: "")
        _ = try run("CREATE DATABASE \(name) CHARACTER SET utf8mb4", in: "mysql")
        let database = MariaDBDatabase(server: self, name: name)
        if !statements.isEmpty { try database.run(statements) }
        return database
    }

    /// Runs statements, and returns what they print: rows as lines, cells between tabs.
    func run(_ statements: String, in database: String) throws -> String {
        try ChildProcess.run(
            [
                "mariadb", "--no-defaults", "--socket=\(folder)/s", "--user=root", "--batch", "--skip-column-names",
                "--default-character-set=utf8mb4", "--init-command=SET time_zone='+00:00'", database,
            ], input: statements)
    }
}

/// One database of the server.
package struct MariaDBDatabase: Sendable {
    package let server: MariaDBServer
    package let name: String

    /// A database of that name on the same server, whether it exists or not.
    package func named(_ name: String) -> MariaDBDatabase { MariaDBDatabase(server: server, name: name) }

    @discardableResult
    package func run(_ statements: String) throws -> String { try server.run(statements, in: name) }

    package func url(
        user: String = "reader", password: String? = nil, host: String = "127.0.0.1", options: String = ""
    ) -> String {
        let credentials = password.map { "\(user):\($0)" } ?? user
        return "mysql://\(credentials)@\(host):\(server.port)/\(name)\(options)"
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips where there is no server to start, unless `CI` is set: then the test fails.
    package static var mariaDB: Self {
        .enabled(if: MariaDBServer.isExpected, "needs MariaDB's server: apt-get install mariadb-server")
    }
}
