import Foundation
import GRDB
import TestSupport
import Testing

@testable import Spool

/// What people with a sqlite3 shell may rely on: the columns of contract section 8, in their order, and their formats.
@Suite struct PublicViewTests {
    @Test(arguments: [
        (
            "spooled_rows",
            "row_id stream run_id id op insert_id state attempts reason message extracted_at delivered_at payload"
        ),
        (
            "runs",
            "run_id stream mode status started_at finished_at rows_read rows_spooled watermark_from watermark_to error"
        ),
        ("streams", "stream source table_name mode"), ("watermarks", "stream value key updated_at"),
        (
            "requests",
            "request_id stream state rows bytes attempts sent_at answered_at http_status error"
        ),
    ])
    func `the views have the columns that are promised`(view: String, columns: String) async throws {
        try await withTemporarySpool { spool in
            let names = try await spool.read { try $0.columns(in: view).map(\.name) }
            #expect(names.joined(separator: " ") == columns)
        }
    }

    /// The moments at which SQLite's text and `Timestamp`'s are compared.
    private static let moments: [Int64] = [
        0, 1, -1, 999_999, 1_000_000, -1_000_000, -1_000_001, 1_764_082_677_425_123, 1_764_082_677_425_000,
        1_764_082_677_400_000, 1_764_082_677_000_000, Timestamp.minimum.microseconds,
        Timestamp.minimum.microseconds + 1,
        Timestamp.maximum.microseconds, -86_400_000_000, 951_782_400_000_001,
    ]

    @Test func `moments are shown as everywhere else`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            let rows = Self.moments.enumerated().map { index, moment in
                var row = TestRow(index)
                row.attributes.extractedAt = Timestamp(microseconds: moment)
                return row
            }
            try await spool.append(PageCommit(run: run, rows: RowBatch(rows)))
            #expect(
                try await spool.records().map(\.extractedAt)
                    == Self.moments.map { Timestamp(microseconds: $0).description })
        }
    }

    @Test func `a row, its run, its stream, its watermark and its request can be read`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun(id: "run-1")
            var page = PageCommit(run: run, rows: RowBatch([TestRow(7)]))
            page.watermark = Watermark(value: "2025-11-25T14:57:57Z", key: "memos/m7", sortKey: [1])
            page.rowsRead = 3
            try await spool.append(page)
            try await spool.endRun(run, status: .complete, warnings: nil, error: nil)
            let route = try await spool.route(run.route)
            let request = try await spool.beginAll(of: route)[0]
            var answer = Settlement(request, rest: .delivered, answeredAt: Timestamp(microseconds: 1_500_000))
            answer.httpStatus = 200
            try await spool.settle([answer])

            let shown = try await spool.read { database in
                try ["spooled_rows", "runs", "streams", "watermarks", "requests"].map { view in
                    let row = try #require(try Row.fetchOne(database, sql: "SELECT * FROM \(view)"))
                    return Dictionary(
                        uniqueKeysWithValues: row.map {
                            ($0, $1.isNull ? "NULL" : String.fromDatabaseValue($1) ?? "\($1)")
                        })
                }
            }
            #expect(shown[0]["stream"] == "memos" && shown[0]["run_id"] == "run-1" && shown[0]["id"] == "m7")
            #expect(shown[0]["op"] == "upsert" && shown[0]["state"] == "delivered" && shown[0]["attempts"] == "1")
            #expect(shown[0]["payload"] == TestRow(7).payload && shown[0]["reason"] == "NULL")
            #expect(shown[0]["delivered_at"] == "1970-01-01T00:00:01.5Z")
            #expect(shown[1]["status"] == "complete" && shown[1]["rows_read"] == "3" && shown[1]["rows_spooled"] == "1")
            #expect(shown[1]["watermark_from"] == "NULL" && shown[1]["watermark_to"] == "2025-11-25T14:57:57Z")
            let started = try #require(shown[1]["started_at"])
            #expect(Timestamp(rfc3339: started) != nil)
            #expect(
                shown[2] == [
                    "stream": "memos", "source": "app", "table_name": "project.raw.memos", "mode": "incremental",
                ])
            #expect(shown[3]["value"] == "2025-11-25T14:57:57Z" && shown[3]["key"] == "memos/m7")
            #expect(shown[4]["state"] == "delivered" && shown[4]["rows"] == "1" && shown[4]["http_status"] == "200")
            #expect(shown[4]["answered_at"] == "1970-01-01T00:00:01.5Z")
        }
    }

    @Test func `a sqlite3 shell reads the spool while it is in use`() async throws {
        try await withTemporarySpool { spool in
            try await spool.spool(0..<3)
            let reader = try DatabaseQueue(path: spool.path)
            let counts = try await reader.read { database in
                try Row.fetchAll(database, sql: "SELECT state, count(*) AS n FROM spooled_rows GROUP BY 1")
                    .map { "\($0["state"] as String) \($0["n"] as Int)" }
            }
            #expect(counts == ["pending 3"])
            try reader.close()
        }
    }
}
