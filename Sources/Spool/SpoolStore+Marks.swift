internal import Foundation
internal import GRDB
internal import GRDBSQLite

/// Keys one after another in one piece of memory.
package struct PackedKeys: Sendable {
    fileprivate var bytes: [UInt8] = []
    fileprivate var ends: [Int] = []

    package init() {}

    package var count: Int { ends.count }
    package var isEmpty: Bool { ends.isEmpty }

    package mutating func append(_ key: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: key)
        ends.append(bytes.count)
    }

    fileprivate func forEach(_ body: (Int, UnsafeRawBufferPointer) throws -> Void) rethrows {
        try bytes.withUnsafeBytes { bytes in
            var start = 0
            for (index, end) in ends.enumerated() {
                try body(index, UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
                start = end
            }
        }
    }
}

/// A version that is known by a hash of the fields: its first 16 bytes.
package struct KnownHash: Sendable, Hashable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 16 else { return nil }
        high = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
        low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    package func append(to target: inout [UInt8]) {
        withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { target.append(contentsOf: $0) }
    }
}

/// What is known of a key in a stream that counts changes.
package struct KnownChange: Sendable, Equatable {
    /// Nil when the record is gone and only its counter is kept.
    package var hash: KnownHash?
    package var changes: Int
    /// Number of the run that met the key last; negative since a reset.
    package var seenRun: Int64

    /// The key's last row had this version, but whether the spool still has it is to be looked up.
    package var isForgotten: Bool { seenRun < 0 }

    package init(hash: KnownHash?, changes: Int, seenRun: Int64) {
        self.hash = hash
        self.changes = changes
        self.seenRun = seenRun
    }
}

/// How many equal rows without a key a run has met within a scope.
package struct EqualRows: Sendable {
    package var scope: [UInt8]
    package var hash: KnownHash
    package var rows: Int

    package init(scope: [UInt8], hash: KnownHash, rows: Int) {
        self.scope = scope
        self.hash = hash
        self.rows = rows
    }
}

/// Mark and sweep: what a run has met, and what is therefore gone. All of it on disk.
extension SpoolStore {
    /// What is known of each key, in their order; nil for those never met. O(keys).
    package func knownChanges(stream number: Int64, of keys: PackedKeys) async throws -> [KnownChange?] {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: "SELECT version, changes, seen_run FROM known_versions WHERE stream_no = ? AND key = ?")
            let raw = statement.sqliteStatement
            defer { sqlite3_reset(raw) }
            var result: [KnownChange?] = []
            result.reserveCapacity(keys.count)
            try keys.forEach { _, key in
                sqlite3_reset(raw)
                sqlite3_bind_int64(raw, 1, number)
                // Bound without a copy: the keys outlive the step.
                sqlite3_bind_blob(raw, 2, key.baseAddress, CInt(key.count), nil)
                switch sqlite3_step(raw) {
                case SQLITE_ROW:
                    let bytes = UnsafeRawBufferPointer(
                        start: sqlite3_column_blob(raw, 0), count: Int(sqlite3_column_bytes(raw, 0)))
                    result.append(
                        KnownChange(
                            hash: KnownHash(bytes), changes: Int(sqlite3_column_int64(raw, 1)),
                            seenRun: sqlite3_column_int64(raw, 2)))
                case SQLITE_DONE: result.append(nil)
                case let code: throw DatabaseError(resultCode: ResultCode(rawValue: code))
                }
            }
            return result
        }
    }

    /// How many known records the run has not met. O(known records).
    package func countUnseen(stream number: Int64, run: Int64) async throws -> Int {
        try await read { database in
            try Int.fetchOne(
                database,
                sql: """
                    SELECT count(*) FROM known_versions WHERE stream_no = ? AND \(Self.isKnown) AND seen_run <> ?
                    """, arguments: [number, run]) ?? 0
        }
    }

    /// Known records that the run has not met, in key order after `key`.
    package func unseen(
        stream number: Int64, run: Int64, after key: [UInt8]?, limit: Int
    ) async throws -> [(key: [UInt8], changes: Int)] {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT key, changes FROM known_versions
                    WHERE stream_no = ? AND key > ? AND \(Self.isKnown) AND seen_run <> ? ORDER BY key LIMIT ?
                    """, arguments: [number, (key ?? []).asData, run, limit])
            return try rows.map { try ([UInt8]($0.read("key") as Data), $0.read("changes")) }
        }
    }

    /// How many equal rows of a scope were met before; 0 for those never met.
    package func equalRows(stream number: Int64, _ rows: [EqualRows]) async throws -> [Int] {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: "SELECT rows FROM equal_rows WHERE stream_no = ? AND scope = ? AND hash = ?")
            return try rows.map {
                try Int.fetchOne(statement, arguments: [number, $0.scope.asData, $0.hash.bytes.asData]) ?? 0
            }
        }
    }

    /// Forgets the counts of equal rows from a scope on (all of them: an empty scope), so that these rows can be read again.
    package func forgetEqualRows(stream number: Int64, from scope: [UInt8]) async throws {
        try await write { database in
            try database.execute(
                sql: "DELETE FROM equal_rows WHERE stream_no = ? AND scope >= ?", arguments: [number, scope.asData])
        }
    }

    static func storeMarks(of page: PageCommit, _ database: Database) throws {
        if !page.seenKeys.isEmpty {
            let statement = try database.cachedStatement(
                sql: "UPDATE known_versions SET seen_run = ? WHERE stream_no = ? AND key = ?")
            let raw = statement.sqliteStatement
            defer { sqlite3_reset(raw) }
            try page.seenKeys.forEach { _, key in
                sqlite3_reset(raw)
                sqlite3_bind_int64(raw, 1, page.run.number)
                sqlite3_bind_int64(raw, 2, page.run.streamNumber)
                sqlite3_bind_blob(raw, 3, key.baseAddress, CInt(key.count), nil)
                let code = sqlite3_step(raw)
                guard code == SQLITE_DONE else { throw DatabaseError(resultCode: ResultCode(rawValue: code)) }
            }
        }
        for rows in page.equalRows {
            try database.cachedStatement(
                sql: "INSERT OR REPLACE INTO equal_rows (stream_no, scope, hash, rows) VALUES (?, ?, ?, ?)"
            ).execute(arguments: [page.run.streamNumber, rows.scope.asData, rows.hash.bytes.asData, rows.rows])
        }
    }
}
