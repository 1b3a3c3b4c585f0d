import TestSupport
import Testing

@testable import Extract

/// TLS with certificates of an authority of the tests' own; the server's is for 127.0.0.1, which is also called localhost.
@Suite(.postgres) struct PostgresTLSTests {
    @Test func `each mode demands what it says, and no more`() async throws {
        let server = try await PostgresServer.runningWithTLS()
        let authority = try #require(server.authority)
        let database = try server.database("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1)")
        let (right, wrong) = ("&sslrootcert=\(authority.certificate)", "&sslrootcert=\(authority.stranger)")
        try await SQLTrouble.verifyTLS(
            [
                .init(mode: "disable", isTaken: true), .init(mode: "require", isTaken: true),
                .init(mode: "require", host: "localhost", isTaken: true),
                .init(mode: "verify-ca", authority: right, isTaken: true),
                .init(mode: "verify-ca", host: "localhost", authority: right, isTaken: true),
                .init(mode: "verify-ca", authority: wrong, isTaken: false),
                .init(mode: "verify-full", authority: right, isTaken: true),
                .init(mode: "verify-full", host: "localhost", authority: right, isTaken: false),
                .init(mode: "verify-full", authority: wrong, isTaken: false),
                .init(mode: "verify-full", authority: "&sslrootcert=/nowhere.pem", isTaken: false),
            ], option: "sslmode"
        ) { database.source(host: $0, options: $1) }
    }
}
