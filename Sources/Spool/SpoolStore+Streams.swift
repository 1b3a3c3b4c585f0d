internal import GRDB

extension SpoolStore {
    /// The state of a stream; registers it on its first use. What is kept of an earlier definition is not overwritten: the caller compares
    /// `identity` and decides.
    package func openStream(_ definition: StreamDefinition) async throws -> StreamState {
        try await write { database in
            if try Self.streamNumber(definition.name, database) == nil {
                try database.execute(
                    sql: "INSERT INTO stream_defs (name, source, mode, route, identity) VALUES (?, ?, ?, 0, ?)",
                    arguments: [definition.name, definition.source, definition.mode, definition.identity])
                let number = database.lastInsertedRowID
                let route = try Self.route(for: definition, streamNumber: number, database)
                try database.execute(
                    sql: "UPDATE stream_defs SET route = ? WHERE stream_no = ?", arguments: [route, number])
            }
            guard let state = try Self.state(of: definition.name, database) else {
                throw SpoolError.broken("stream \(definition.name) vanished")
            }
            return state
        }
    }

    /// The state of a stream, nil if it was never extracted.
    package func stream(named name: String) async throws -> StreamState? {
        try await read { try Self.state(of: name, $0) }
    }

    /// Every route that ever had rows, in the order of their creation.
    package func routes() async throws -> [Route] {
        try await read { try Self.routes($0) }
    }

    static func routes(_ database: Database) throws -> [Route] {
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT r.route, r.stream_no, r.endpoint, r.table_name, s.name
                FROM routes r JOIN stream_defs s ON s.stream_no = r.stream_no ORDER BY r.route
                """)
        return try rows.map {
            try Route(
                number: Route.number($0.read("route")), stream: $0.read("name"), streamNumber: $0.read("stream_no"),
                endpoint: $0.read("endpoint"), table: $0.read("table_name"))
        }
    }

    /// Keeps the source's notes about a stream.
    package func setNotes(_ notes: String, stream number: Int64) async throws {
        try await write {
            try $0.execute(sql: "UPDATE stream_defs SET notes = ? WHERE stream_no = ?", arguments: [notes, number])
        }
    }

    /// Forgets watermark, known versions, recent ids and the run that was cut off; the next run reads everything. What a key's next version
    /// is called depends on those before it, so that much is kept.
    package func resetPosition(stream number: Int64) async throws {
        try await write { try Self.resetPosition(stream: number, $0) }
    }

    /// - Parameter keepingKnown: known records stay, each with a version that none will have and without its counter; the notes say so by
    ///   `anew`, which the source's next complete run ends.
    static func resetPosition(stream number: Int64, keepingKnown: Bool = false, _ database: Database) throws {
        try database.execute(
            sql: """
                UPDATE stream_defs SET watermark_value = NULL, watermark_key = NULL, watermark_sort = NULL,
                    watermark_updated_at = NULL, recent_from = NULL, notes = ? WHERE stream_no = ?
                """, arguments: [keepingKnown ? #"{"anew":true}"# : nil, number])
        if keepingKnown {
            try database.execute(
                sql: "DELETE FROM known_versions WHERE stream_no = ? AND version IS NULL", arguments: [number])
            // Behind the version stands a byte more; the source still reads in it what it needs for a delete. The first change is number 0.
            try database.execute(
                sql:
                    "UPDATE known_versions SET version = CAST(version || x'00' AS BLOB), changes = -1 WHERE stream_no = ?",
                arguments: [number])
        } else {
            try forgetVersions(stream: number, database)
        }
        for table in ["recent_ids", "scan_findings", "equal_rows"] {
            try database.execute(sql: "DELETE FROM \(table) WHERE stream_no = ?", arguments: [number])
        }
        try forgetObjects(stream: number, database)
        try abandonRuns(stream: number, database)
    }

    /// Goes on from a value of the operator's choice; a run that was cut off is not continued.
    package func setWatermark(_ watermark: Watermark, stream number: Int64, identity: String?) async throws {
        try await write { database in
            try Self.abandonRuns(stream: number, database)
            try database.execute(
                sql: "UPDATE stream_defs SET recent_from = NULL, identity = coalesce(?, identity) WHERE stream_no = ?",
                arguments: [identity, number])
            try database.execute(sql: "DELETE FROM recent_ids WHERE stream_no = ?", arguments: [number])
            try Self.store(watermark, stream: number, database)
        }
    }

    static func store(_ watermark: Watermark, stream number: Int64, _ database: Database) throws {
        let statement = try database.cachedStatement(
            sql: """
                UPDATE stream_defs SET watermark_value = CAST(? AS TEXT), watermark_key = CAST(? AS TEXT),
                    watermark_sort = ?, watermark_updated_at = ? WHERE stream_no = ?
                """)
        try statement.execute(arguments: [
            watermark.value.exact.asData, watermark.key?.exact.asData, watermark.sortKey.asData,
            Timestamp.now().microseconds, number,
        ])
    }

    static func abandonRuns(stream number: Int64, _ database: Database) throws {
        try database.execute(
            sql: """
                UPDATE run_log SET status = 'abandoned', finished_at = coalesce(finished_at, ?)
                WHERE stream_no = ? AND status IN ('running', 'interrupted')
                """, arguments: [Timestamp.now().microseconds, number])
        try database.execute(sql: "DELETE FROM scan_findings WHERE stream_no = ?", arguments: [number])
        try database.execute(sql: "DELETE FROM equal_rows WHERE stream_no = ?", arguments: [number])
    }

    static func streamNumber(_ name: String, _ database: Database) throws -> Int64? {
        try Int64.fetchOne(database, sql: "SELECT stream_no FROM stream_defs WHERE name = ?", arguments: [name])
    }

    static func route(for definition: StreamDefinition, streamNumber: Int64, _ database: Database) throws -> Int64 {
        if let known = try Int64.fetchOne(
            database, sql: "SELECT route FROM routes WHERE stream_no = ? AND endpoint = ? AND table_name = ?",
            arguments: [streamNumber, definition.endpoint, definition.table])
        {
            return known
        }
        let route = try (Int64.fetchOne(database, sql: "SELECT max(route) FROM routes") ?? 0) + 1
        let first = RowID(route: route, position: 1).rawValue
        try database.execute(
            sql: """
                INSERT INTO routes (route, stream_no, endpoint, table_name, next_row, claimed_to) VALUES (?, ?, ?, ?, ?, ?)
                """, arguments: [route, streamNumber, definition.endpoint, definition.table, first, first - 1])
        return route
    }

    private static func state(of name: String, _ database: Database) throws -> StreamState? {
        guard
            let row = try Row.fetchOne(
                database, sql: "SELECT \(exactWatermark), * FROM stream_defs WHERE name = ?", arguments: [name])
        else { return nil }
        let number: Int64 = try row.read("stream_no")
        var columns: [ExactText: String] = [:]
        let names = try Row.fetchCursor(
            database, sql: "SELECT \(ExactText.terms("field")), base_name FROM column_names WHERE stream_no = ?",
            arguments: [number])
        while let pair = try names.next() { columns[try pair.readExact("field")] = try pair.read("base_name") }
        let known =
            try Int.fetchOne(
                database, sql: "SELECT count(*) FROM known_versions WHERE stream_no = ? AND \(isKnown)",
                arguments: [number]) ?? 0
        let unfinished = try Row.fetchOne(
            database,
            sql: """
                SELECT \(exactRun), * FROM run_log WHERE stream_no = ? AND status IN ('running', 'interrupted')
                ORDER BY run_no DESC LIMIT 1
                """, arguments: [number]
        ).map(run)
        let watermark = try watermark(row)
        let extracted: Int64 = try row.read("last_extracted_at")
        guard extracted < Timestamp.maximum.microseconds else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "stream \(name) was last extracted in no year")
        }
        let objects =
            try Int.fetchOne(
                database, sql: "SELECT count(*) FROM objects WHERE stream_no = ? AND version IS NOT NULL",
                arguments: [number]) ?? 0
        let spooled =
            try Int.fetchOne(
                database, sql: "SELECT sum(spooled) FROM routes WHERE stream_no = ?", arguments: [number]) ?? 0
        return try StreamState(
            number: number, name: name, mode: row.read("mode"), identity: row.read("identity"),
            hasPosition: watermark != nil || known > 0 || unfinished != nil
                || (objects > 0 && row.read("mode") != "full"), fingerprint: row.read("fingerprint"),
            generation: row.read("generation"), watermark: watermark,
            lastExtractedAt: Timestamp(microseconds: extracted),
            recentFrom: [UInt8](data: row.read("recent_from")), knownVersions: known, unfinishedRun: unfinished,
            notes: row.read("notes"), columns: columns, hasRows: spooled > 0, objects: objects,
            hasForgottenVersions: try hasForgottenVersions(stream: number, database))
    }

    /// What `watermark` and `run` read as bytes, for the front of a statement's terms.
    static let exactWatermark = ExactText.terms("watermark_value", "watermark_key")
    static let exactRun = ExactText.terms("watermark_from", "watermark_to", "error")

    static func run(_ row: Row) throws -> Run {
        var counters = RunCounters()
        counters.rowsRead = try row.read("rows_read")
        counters.rowsSpooled = try row.read("rows_spooled")
        counters.rowsUnchanged = try row.read("rows_unchanged")
        counters.deletes = try row.read("deletes")
        counters.sourceReads = try row.read("source_reads")
        return try Run(
            number: row.read("run_no"), id: row.read("run_id"), streamNumber: row.read("stream_no"),
            route: row.read("route"), mode: row.read("mode"),
            status: Run.Status(rawValue: row.read("status")) ?? .failed, generation: row.read("generation"),
            startedAt: Timestamp(microseconds: row.read("started_at")), counters: counters,
            watermarkFrom: row.exact("watermark_from")?.string, position: row.read("position"))
    }
}
