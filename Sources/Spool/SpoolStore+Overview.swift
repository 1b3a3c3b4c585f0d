internal import GRDB

/// A run as it ended, or stands.
package struct RunRecord: Sendable {
    package var run: Run
    package var stream: String
    package var finishedAt: Timestamp?
    package var watermarkTo: String?
    /// As the extractor wrote them; opaque.
    package var warnings: String?
    package var error: String?
}

/// A run that was cut off and can be continued.
package struct UnfinishedRun: Sendable, Equatable {
    package var id: String
    package var stream: String
    /// `running` when the process that ran it was killed, or still runs it.
    package var status: Run.Status
}

/// A stream that was extracted at least once, whether it is still configured or not.
package struct StreamRecord: Sendable {
    package var name: String
    package var mode: String
    package var source: String
    /// Where rows go that are spooled now.
    package var route: Route
    package var watermark: Watermark?
    package var watermarkUpdatedAt: Timestamp?
}

extension SpoolStore {
    /// The latest run of every stream, by the stream's name. O(runs).
    package func lastRuns() async throws -> [String: RunRecord] {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT \(Self.exactRun), u.*, s.name AS stream FROM run_log u JOIN stream_defs s ON s.stream_no = u.stream_no
                    WHERE u.run_no IN (SELECT max(run_no) FROM run_log GROUP BY stream_no)
                    """)
            var records: [String: RunRecord] = [:]
            for row in rows {
                let finished: Int64? = try row.read("finished_at")
                records[try row.read("stream")] = try RunRecord(
                    run: Self.run(row), stream: row.read("stream"),
                    finishedAt: finished.map(Timestamp.init(microseconds:)),
                    watermarkTo: row.exact("watermark_to")?.string,
                    warnings: row.read("warnings"), error: row.exact("error")?.string)
            }
            return records
        }
    }

    /// Every run that was cut off and not taken up since, oldest first. O(such runs).
    package func unfinishedRuns() async throws -> [UnfinishedRun] {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT u.run_id, s.name, u.status FROM run_log u JOIN stream_defs s ON s.stream_no = u.stream_no
                    WHERE u.status IN ('running', 'interrupted') ORDER BY u.run_no
                    """)
            return try rows.map {
                try UnfinishedRun(
                    id: $0.read("run_id"), stream: $0.read("name"),
                    status: Run.Status(rawValue: $0.read("status")) ?? .interrupted)
            }
        }
    }

    /// Every stream that the spool knows, by name. O(streams).
    package func streamsOnRecord() async throws -> [StreamRecord] {
        try await read { database in
            let routes = Dictionary(
                try Self.routes(database).map { ($0.number, $0) }, uniquingKeysWith: { first, _ in first })
            let rows = try Row.fetchAll(
                database, sql: "SELECT \(Self.exactWatermark), * FROM stream_defs ORDER BY name")
            return try rows.compactMap { row in
                guard let route = try routes[row.read("route")] else { return nil }
                let updated: Int64? = try row.read("watermark_updated_at")
                return try StreamRecord(
                    name: row.read("name"), mode: row.read("mode"), source: row.read("source"), route: route,
                    watermark: Self.watermark(row), watermarkUpdatedAt: updated.map(Timestamp.init(microseconds:)))
            }
        }
    }

    static func watermark(_ row: Row) throws -> Watermark? {
        guard let value = row.exact("watermark_value") else { return nil }
        return try Watermark(
            value: value.string, key: row.exact("watermark_key")?.string,
            sortKey: [UInt8](data: row.read("watermark_sort")) ?? [])
    }
}
