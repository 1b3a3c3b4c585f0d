import TestSupport
import Testing

@testable import Extract

/// TLS with certificates of an authority of the tests' own; the server's is for 127.0.0.1, which is also called 127.1.
@Suite(.mariaDB) struct MySQLTLSTests {
    @Test func `each mode demands what it says, and no more`() async throws {
        let server = try await MariaDBServer.runningWithTLS()
        let authority = try #require(server.authority)
        let database = try server.database("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1)")
        let (right, wrong) = ("&ssl-ca=\(authority.certificate)", "&ssl-ca=\(authority.stranger)")
        try await SQLTrouble.verifyTLS(
            [
                .init(mode: "DISABLED", isTaken: true), .init(mode: "REQUIRED", isTaken: true),
                .init(mode: "REQUIRED", host: "127.1", isTaken: true),
                .init(mode: "VERIFY_CA", authority: right, isTaken: true),
                .init(mode: "VERIFY_CA", host: "127.1", authority: right, isTaken: true),
                .init(mode: "VERIFY_CA", authority: wrong, isTaken: false),
                .init(mode: "VERIFY_IDENTITY", authority: right, isTaken: true),
                .init(mode: "VERIFY_IDENTITY", host: "127.1", authority: right, isTaken: false),
                .init(mode: "VERIFY_IDENTITY", authority: wrong, isTaken: false),
                .init(mode: "VERIFY_IDENTITY", isTaken: false),
            ], option: "ssl-mode"
        ) { database.source(host: $0, options: $1) }
    }
}
