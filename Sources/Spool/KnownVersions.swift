internal import Foundation
internal import GRDB

/// What a stream that counts changes (`#n`) knows of a key.
package struct KnownRecord: Sendable, Equatable {
    package var key: [UInt8]
    /// Nil when the record is gone and only its counter is kept.
    package var version: [UInt8]?
    package var changes: Int
}

/// The versions that a stream in `changes` mode knows, by key. Keys sort as the source orders its records.
extension SpoolStore {
    /// Known keys after `lower` (exclusive; nil: from the first) up to `upper` (inclusive; nil: to the last), in order. At most `limit`.
    package func knownVersions(
        stream number: Int64, after lower: [UInt8]?, through upper: [UInt8]?, limit: Int = .max
    ) async throws -> [(key: [UInt8], version: [UInt8])] {
        try await read { database in
            var condition = "stream_no = ? AND \(Self.isKnown)"
            var arguments: StatementArguments = [number]
            if let lower {
                condition += " AND key > ?"
                arguments += [lower.asData]
            }
            if let upper {
                condition += " AND key <= ?"
                arguments += [upper.asData]
            }
            arguments += [limit]
            let rows = try Row.fetchCursor(
                database, sql: "SELECT key, version FROM known_versions WHERE \(condition) ORDER BY key LIMIT ?",
                arguments: arguments)
            var result: [(key: [UInt8], version: [UInt8])] = []
            while let row = try rows.next() {
                let (key, version): (Data, Data) = (try row.read("key"), try row.read("version"))
                result.append(([UInt8](key), [UInt8](version)))
            }
            return result
        }
    }

    /// What is known of these keys; nothing for those never met. O(keys).
    package func knownRecords(stream number: Int64, keys: [[UInt8]]) async throws -> [[UInt8]: KnownRecord] {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: "SELECT key, version, changes FROM known_versions WHERE stream_no = ? AND key = ?")
            var records: [[UInt8]: KnownRecord] = [:]
            for key in keys {
                guard let row = try Row.fetchOne(statement, arguments: [number, key.asData]) else { continue }
                records[key] = try KnownRecord(
                    key: key, version: [UInt8](data: row.read("version")), changes: row.read("changes"))
            }
            return records
        }
    }

    /// What a scan found that has not been settled yet, in key order.
    package func findings(
        stream number: Int64, kind: ScanFinding.Kind, after key: [UInt8]?, limit: Int
    ) async throws -> [ScanFinding] {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT key, version FROM scan_findings WHERE stream_no = ? AND kind = ? AND key > ?
                    ORDER BY key LIMIT ?
                    """, arguments: [number, kind.rawValue, (key ?? []).asData, limit])
            return try rows.map {
                try ScanFinding(
                    key: [UInt8](data: $0.read("key")) ?? [], kind: kind, version: [UInt8](data: $0.read("version")))
            }
        }
    }

    package func countFindings(stream number: Int64, kind: ScanFinding.Kind) async throws -> Int {
        try await read { database in
            try Int.fetchOne(
                database, sql: "SELECT count(*) FROM scan_findings WHERE stream_no = ? AND kind = ?",
                arguments: [number, kind.rawValue]) ?? 0
        }
    }

    /// Drops what an unfinished scan found, so that it can begin again.
    package func clearFindings(stream number: Int64) async throws {
        try await write { database in
            try database.execute(sql: "DELETE FROM scan_findings WHERE stream_no = ?", arguments: [number])
        }
    }
}
