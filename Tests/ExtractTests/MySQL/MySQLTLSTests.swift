import Spool
import TestSupport
import Testing

@testable import Extract

/// TLS with certificates of an authority of the tests' own; the server's is for 127.0.0.1, which is also called 127.1.
@Suite(.mariaDB) struct MySQLTLSTests {
    private func read(_ database: MariaDBDatabase, host: String = "127.0.0.1", _ options: String) async throws
        -> ExtractResult
    {
        try await withTemporarySpool { spool in
            await SQLExtraction(database.source(host: host, options: options), spool).withOptions {
                $0.patience = .seconds(60)
            }.run()
        }
    }

    @Test func `each mode demands what it says, and no more`() async throws {
        let server = try await MariaDBServer.runningWithTLS()
        let authority = try #require(server.authority)
        let database = try server.database("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1)")
        let (right, wrong) = ("&ssl-ca=\(authority.certificate)", "&ssl-ca=\(authority.stranger)")
        let cases: [(mode: String, host: String, authority: String, isTaken: Bool)] = [
            ("DISABLED", "127.0.0.1", "", true), ("REQUIRED", "127.0.0.1", "", true), ("REQUIRED", "127.1", "", true),
            ("VERIFY_CA", "127.0.0.1", right, true), ("VERIFY_CA", "127.1", right, true),
            ("VERIFY_CA", "127.0.0.1", wrong, false), ("VERIFY_IDENTITY", "127.0.0.1", right, true),
            ("VERIFY_IDENTITY", "127.1", right, false), ("VERIFY_IDENTITY", "127.0.0.1", wrong, false),
            ("VERIFY_IDENTITY", "127.0.0.1", "", false),
        ]
        for (mode, host, authority, isTaken) in cases {
            let result = try await read(database, host: host, "?ssl-mode=\(mode)\(authority)")
            let what = "\(mode) \(host) \(authority): \(result.error.map { "\($0)" } ?? "")"
            if isTaken {
                #expect(result.status == .complete && result.counters.rowsRead == 1, "\(what)")
            } else {
                // At once, for no later attempt can do better.
                #expect(result.kind == .unavailable && result.duration < .seconds(20), "\(what)")
                #expect((result.error as? ExtractError)?.hint?.contains("ssl-mode") ?? false, "\(what)")
            }
        }
    }
}
