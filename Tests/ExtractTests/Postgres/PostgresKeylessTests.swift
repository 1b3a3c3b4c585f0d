import Spool
import TestSupport
import Testing

@testable import Extract

/// Snapshots of tables without a key, which begin again at the first row after each cut.
@Suite(.postgres) struct PostgresKeylessTests {
    private func withOrders(
        _ statements: String, _ body: (PostgresDatabase, SpoolStore) async throws -> Void
    ) async throws {
        let database = try await PostgresServer.running().database(statements)
        try await withTemporarySpool { try await body(database, $0) }
    }

    @Test(arguments: [1000, 5])
    func `a snapshot without a key spools nothing twice, also what retention has removed meanwhile`(
        inMemory: Int
    ) async throws {
        let bag = """
            CREATE TABLE orders (v int);
            INSERT INTO orders SELECT n % 20 FROM generate_series(1, 60) n
            """
        try await withOrders(bag) { database, spool in
            let stream = SQLExtraction(database.source(), spool).withOptions {
                $0.rowsPerPage = 4
                $0.rowsCountedInMemory = inMemory
            }
            var ids: [String] = []
            func deliver() async throws {
                ids += try await stream.rows().map(\.insertID)
                try await spool.deliverAll(of: try await spool.route(1))
                #expect(try await spool.retire(deliveredBefore: .maximum) > 0)
            }
            for limit in [13, 30] {
                let cut = try await stream.withOptions { $0.limit = limit }.complete()
                #expect(cut.status == .interrupted)
                try await deliver()
            }
            let rest = try await stream.complete()
            #expect(rest.warning("retired_rows") == nil)
            #expect(rest.warning("snapshot_lost") != nil)
            try await deliver()
            #expect(ids.count == 60 && Set(ids).count == 60)
            // The ids are those of an undisturbed run: of equal rows the number before each.
            try await stream.complete()
            #expect(try await stream.rows().count == 60)
        }
    }

    @Test func `a snapshot without a key that waits for room again and again spools nothing twice`() async throws {
        let bag = """
            CREATE TABLE orders (v int, t text);
            INSERT INTO orders SELECT n % 1000, repeat('x', 2000) FROM generate_series(1, 4000) n
            """
        try await withOrders(bag) { database, spool in
            let stream = SQLExtraction(database.source(), spool).withOptions {
                $0.rowsPerPage = 200
                $0.maximumSpoolBytes = 3 << 20
                $0.patience = .seconds(60)
            }
            let shipper = Task {
                while !Task.isCancelled {
                    if let route = try? await spool.route(1) { try? await spool.deliverAll(of: route) }
                    try? await Task.sleep(for: .milliseconds(300))
                }
            }
            defer { shipper.cancel() }
            var result = await stream.run()
            // A run that found no room goes on.
            for _ in 0..<20 where result.status != .complete { result = await stream.run() }
            #expect(result.status == .complete)
            let ledger = try #require(try await spool.ledger().first)
            #expect(ledger.spooled == 4000 && ledger.retired > 0, "\(ledger)")
            #expect(result.warning("snapshot_lost") != nil)
        }
    }
}
