import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

extension MariaDBDatabase {
    func source(
        user: String = "reader", password: String? = nil, host: String = "127.0.0.1", options: String = "",
        _ change: (inout MySQLSource.Configuration) -> Void = { _ in }
    ) -> MySQLSource {
        var configuration = MySQLSource.Configuration(
            url: url(user: user, password: password, host: host, options: options),
            location: "mysql://127.0.0.1/\(name)",
            secrets: password.map { [$0, $0.removingPercentEncoding ?? $0] } ?? [])
        change(&configuration)
        return MySQLSource(configuration)
    }

    /// 25 rows with five values of `updated_at`.
    static let orders = """
        CREATE TABLE orders (id bigint PRIMARY KEY, updated_at timestamp(6) NULL, note text);
        INSERT INTO orders SELECT seq, '2025-01-01' + INTERVAL (seq % 5) DAY, concat('note ', seq) FROM seq_1_to_25;
        """
}

@Suite(.mariaDB) struct MySQLContractTests {
    private func contract() async throws -> SourceContract {
        let database = try await MariaDBServer.running().database(MariaDBDatabase.orders)
        return SourceContract(
            stream: { spool, mode in
                SQLExtraction(
                    database.source(), spool, from: "orders", mode: mode,
                    watermark: mode == .incremental ? "updated_at" : nil)
            },
            changeFiveRows: {
                try database.run(
                    "UPDATE orders SET note = concat(note, '!'), updated_at = UTC_TIMESTAMP(6) WHERE id BETWEEN 11 AND 15"
                )
            },
            removeTwoRows: {
                try database.run(
                    "CREATE TABLE kept AS SELECT * FROM orders WHERE id < 3; DELETE FROM orders WHERE id < 3")
            },
            restoreTwoRows: { try database.run("INSERT INTO orders SELECT * FROM kept") })
    }

    @Test func `a second run of unchanged data spools nothing`() async throws {
        try await contract().verifySecondRunSpoolsNothing()
    }

    @Test func `ids are stable over another spool and other pages`() async throws {
        try await contract().verifyIDsAreStable()
    }

    @Test func `a run cut between any two pages brings the same rows`() async throws {
        try await contract().verifyResume()
    }

    @Test func `changes finds what is new, changed, gone and back`() async throws {
        try await contract().verifyChanges()
    }

    @Test func `any number of readers brings the same rows`() async throws {
        try await contract().verifyParallel()
    }

    @Test func `incremental finds what changed behind the watermark`() async throws {
        try await contract().verifyIncrementalFindsChanges()
    }

    @Test func `changes goes on after a cut in which rows changed and went`() async throws {
        try await contract().verifyChangesOverACut()
    }

    @Test func `what --full read ahead of the watermark is not spooled again`() async throws {
        try await contract().verifyFullAheadOfIncremental()
    }

    @Test func `a raised generation sends everything and still finds what is gone`() async throws {
        try await contract().verifyGeneration()
    }
}
