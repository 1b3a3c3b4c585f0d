internal import GRDB

/// What `spool verify --quarantine` did.
package struct Quarantine: Sendable, Equatable {
    package var damage: SpoolDamage
    /// Rows set aside that had not been delivered: now rejected with the reason `damaged`.
    package var rejected = 0
    /// Rows set aside that had been delivered or discarded before.
    package var settled = 0
    /// Where the damaged file is now, if a new one had to be made of what could be read.
    package var keptAs: String?
}

extension SpoolStore {
    /// Sets damaged rows aside, so that all others can be delivered. A file that SQLite finds damaged is replaced by a new one made of
    /// what can be read; the old one is kept beside it.
    ///
    /// Takes the shipper's lock and those of all extractors.
    ///
    /// - Throws: `SpoolError.locked` while one of them is at work; `.damaged` when not even the list of streams can be read.
    package static func quarantine(
        path: String, holder: String, payloadMatches: @escaping PayloadCheck
    ) async throws -> Quarantine {
        var result = Quarantine(damage: try await verify(path: path, payloadMatches: payloadMatches))
        if result.damage.isSound { return result }
        let locks = try await lockAll(path, holder: holder)
        defer { withExtendedLifetime(locks) {} }
        if !result.damage.file.isEmpty || result.damage.rows.contains(where: { $0.kind == .unreadable }) {
            let salvage = try await salvage(path)
            result.keptAs = salvage.keptAs
            result.rejected = salvage.rejected
            result.settled = salvage.settled
        }
        let spool = try SpoolStore(path: path, creating: false)
        do {
            for route in try await spool.routes() {
                let rows = try await spool.damagedRows(of: route, payloadMatches: payloadMatches)
                let counts = try await spool.setAside(rows)
                result.rejected += counts.rejected
                result.settled += counts.settled
            }
            try spool.close()
        } catch {
            try? spool.close()
            throw error
        }
        return result
    }

    private static func lockAll(_ path: String, holder: String) async throws -> [SpoolLock] {
        let file = try openDamaged(path)
        let streams: [String]
        do {
            streams = try await readDamaged(file) { try String.fetchAll($0, sql: "SELECT name FROM stream_defs") }
        } catch {
            throw damagedBeyondReading(error, path: path)
        }
        return try [lockShipper(of: path, holder: holder)]
            + streams.map { try lockExtractor(of: $0, spool: path, holder: holder) }
    }

    /// Rejects damaged rows that were not delivered, and notes all of them.
    private func setAside(_ rows: [RowID]) async throws -> (rejected: Int, settled: Int) {
        try await write { database in
            var counts = (rejected: 0, settled: 0)
            for row in rows {
                try database.execute(
                    sql: "INSERT OR IGNORE INTO quarantined_rows (row_id, found_at, reason) VALUES (?, ?, 'altered')",
                    arguments: [row.rawValue, Timestamp.now().microseconds])
                if database.changesCount == 0 { continue }
                let state = try String.fetchOne(
                    database, sql: "SELECT state FROM spooled_rows WHERE row_id = ?", arguments: [row.rawValue])
                if state == RowState.delivered.rawValue || state == RowState.discarded.rawValue {
                    counts.settled += 1
                    continue
                }
                try Self.giveOwnFate(
                    "rejected", rows: String(row.rawValue), reason: "damaged",
                    message: "the payload in the spool is not what was spooled", database)
                counts.rejected += 1
            }
            return counts
        }
    }
}
