import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

@Suite(.mariaDB) struct MySQLTypeTests {
    @Test func `every type is what the contract says`() async throws {
        let database = try await MariaDBServer.running().database(
            MariaDBTypes.definitions + TypeExample.table(MariaDBTypes.examples))
        try await withTemporarySpool { spool in
            try await TypeExample.verify(
                MariaDBTypes.examples, in: SQLExtraction(database.source(), spool, from: "matrix"))
        }
    }
}
