internal import CDeflate
internal import Foundation
internal import GRDB
internal import GRDBSQLite

extension SpoolStore {
    /// Stores a page: its rows, the run's position, the watermark and all bookkeeping in one transaction; on any error, nothing of it.
    ///
    /// A row version already spooled is skipped, not an error. On a full disk delivered rows are removed before their time.
    ///
    /// - Throws: `SpoolError.full` when the disk is and nothing can make room but delivery; `.broken` when the run was ended or abandoned by someone else.
    @discardableResult
    package func append(_ page: PageCommit) async throws -> AppendResult {
        try await spool(page.rows.byteCount) { try await transaction { try Self.append(page, $0) } }
    }

    private static func append(_ page: PageCommit, _ database: Database) throws -> AppendResult {
        let run = page.run
        guard
            let status = try String.fetchOne(
                database, sql: "SELECT status FROM run_log WHERE run_no = ?", arguments: [run.number]),
            status == Run.Status.running.rawValue
        else { throw SpoolError.broken("run \(run.id) is not running any more") }
        let first =
            try Int64.fetchOne(
                database, sql: "SELECT next_row FROM routes WHERE route = ?", arguments: [run.route]) ?? 0
        guard first >> 40 == (try Route.number(run.route)) else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "the next row would be \(first)")
        }
        var inserter = try RowInserter(page: page, database: database, nextRow: first)
        var result = try inserter.insertAll()
        result.unchanged += page.unchanged

        try database.cachedStatement(
            sql: """
                UPDATE routes SET next_row = ?, spooled = spooled + ?, unclaimed = unclaimed + ? WHERE route = ?
                """
        ).execute(arguments: [
            inserter.nextRow, result.spooled, result.spooled - inserter.rejected, run.route,
        ])
        try database.cachedStatement(
            sql: """
                UPDATE run_log SET rows_read = rows_read + ?, rows_spooled = rows_spooled + ?,
                    rows_unchanged = rows_unchanged + ?, deletes = deletes + ?, source_reads = source_reads + ?,
                    position = ?, first_row = CASE WHEN ? > 0 THEN coalesce(first_row, ?) ELSE first_row END,
                    last_row = CASE WHEN ? > 0 THEN ? ELSE last_row END
                WHERE run_no = ?
                """
        ).execute(arguments: [
            page.rowsRead, result.spooled, result.unchanged, result.deletes, page.sourceReads, page.position,
            result.spooled, first, result.spooled, inserter.nextRow - 1, run.number,
        ])
        for name in page.newColumns {
            try database.execute(
                sql: """
                    INSERT INTO column_names (stream_no, field, base_name, column_name) VALUES (?, CAST(? AS TEXT), ?, ?)
                    ON CONFLICT (stream_no, field) DO UPDATE SET column_name = excluded.column_name
                    """, arguments: [run.streamNumber, name.field.asData, name.base, name.column])
        }
        try storeFindings(of: page, database)
        try storeMarks(of: page, database)
        try storeObjects(of: page, database)
        if let floor = page.recentFloor {
            try database.cachedStatement(sql: "DELETE FROM recent_ids WHERE stream_no = ? AND watermark < ?")
                .execute(arguments: [run.streamNumber, floor.asData])
            // While a temporary index is in use, rows spooled before may lie ahead of what this run has noted so far: `recent_from` is
            // then set when the run is complete.
            try database.cachedStatement(
                sql: """
                    UPDATE stream_defs SET recent_from = max(?1, coalesce(recent_from, x''))
                    WHERE stream_no = ?2 AND (recent_from IS NOT NULL OR NOT ?3)
                    """
            ).execute(arguments: [floor.asData, run.streamNumber, page.usesTemporaryIndex])
        }
        if let watermark = page.watermark { try store(watermark, stream: run.streamNumber, database) }
        if let last = page.lastExtractedAt {
            try database.cachedStatement(
                sql: "UPDATE stream_defs SET last_extracted_at = max(last_extracted_at, ?) WHERE stream_no = ?"
            ).execute(arguments: [last.microseconds, run.streamNumber])
        }
        return result
    }

    private static func storeFindings(of page: PageCommit, _ database: Database) throws {
        for finding in page.findings {
            try database.cachedStatement(
                sql: "INSERT OR REPLACE INTO scan_findings (stream_no, key, kind, version) VALUES (?, ?, ?, ?)"
            ).execute(arguments: [
                page.run.streamNumber, finding.key.asData, finding.kind.rawValue, finding.version?.asData,
            ])
        }
        for key in page.settledFindings {
            try database.cachedStatement(sql: "DELETE FROM scan_findings WHERE stream_no = ? AND key = ?")
                .execute(arguments: [page.run.streamNumber, key.asData])
        }
    }

    /// Puts the insertIds of all rows that the stream still has in the spool into a temporary index on disk, for a run that starts further
    /// back than the recent ids reach. O(rows of the stream). True if retention removed some of them: those will be spooled again.
    ///
    /// The index lives as long as this `SpoolStore`: a run that is continued by another process needs it made again.
    package func indexSpooledRows(stream number: Int64) async throws -> Bool {
        var ranges = try await writeWithoutTransaction { database in
            try database.execute(
                sql: """
                    CREATE TEMP TABLE IF NOT EXISTS seen_ids (
                        stream_no INTEGER NOT NULL, insert_id TEXT NOT NULL, PRIMARY KEY (stream_no, insert_id)
                    ) WITHOUT ROWID
                    """)
            try database.execute(sql: "DELETE FROM temp.seen_ids WHERE stream_no = ?", arguments: [number])
            return try Self.routes(database).filter { $0.streamNumber == number }.map(\.rowRange)
        }
        // Rows below `next_row` never change, so steps may be short: no other writer of this process waits longer than one of them. The
        // temporary database is the only one written, so writers of other processes don't wait at all.
        while let range = ranges.popLast() {
            let last = try await writeWithoutTransaction { database in
                try Self.indexRows(range, stream: number, database)
            }
            if let last, last < range.upperBound { ranges.append(last.next...range.upperBound) }
            try Task.checkCancellation()
        }
        return try await read { database in
            let retired = try Int.fetchOne(
                database, sql: "SELECT sum(retired) FROM routes WHERE stream_no = ?", arguments: [number])
            return (retired ?? 0) > 0
        }
    }

    /// Indexes the first rows of a range and returns the last of them, nil if there were none.
    private static func indexRows(
        _ range: ClosedRange<RowID>, stream number: Int64, _ database: Database
    ) throws -> RowID? {
        let rowsAStep = 20_000
        var last: RowID?
        try database.inTransaction(.deferred) {
            let upper = try Int64.fetchOne(
                database,
                sql: """
                    SELECT max(row_id) FROM (
                        SELECT row_id FROM row_data WHERE row_id BETWEEN ? AND ? ORDER BY row_id LIMIT ?
                    )
                    """, arguments: [range.lowerBound.rawValue, range.upperBound.rawValue, rowsAStep])
            guard let upper else { return .commit }
            last = RowID(upper)
            try database.execute(
                sql: """
                    INSERT OR IGNORE INTO temp.seen_ids (stream_no, insert_id)
                    SELECT ?, insert_id FROM row_data WHERE row_id BETWEEN ? AND ?
                    """, arguments: [number, range.lowerBound.rawValue, upper])
            return .commit
        }
        return last
    }

    /// CRC-32, the one of gzip, by carry-less multiplication where the processor has it.
    static func checksum(_ bytes: UnsafeRawBufferPointer, continuing sum: UInt32 = 0) -> UInt32 {
        // An empty buffer may have no address, for which the sum would start anew.
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return sum }
        return libdeflate_crc32(sum, start, bytes.count)
    }
}

/// What of a row its checksum covers beside the bytes themselves: a payload that is whole but stands under another number, shape or moment
/// is damaged as well.
struct RowSeal {
    var row: Int64
    var shape: Int64
    var operation: Int64
    var extractedAt: Int64

    /// CRC-32 over the four numbers in little endian, the insertId and the payload; kept beside them.
    func checksum(insertID: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) -> Int64 {
        let numbers = (row.littleEndian, shape.littleEndian, operation.littleEndian, extractedAt.littleEndian)
        var sum = withUnsafeBytes(of: numbers) { SpoolStore.checksum($0) }
        sum = SpoolStore.checksum(insertID, continuing: sum)
        return Int64(SpoolStore.checksum(payload, continuing: sum))
    }
}

extension [UInt8] {
    var asData: Data { Data(self) }

    init?(data: Data?) {
        guard let data else { return nil }
        self.init(data)
    }
}
