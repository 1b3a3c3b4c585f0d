internal import GRDB

/// Making the books of the new file true. Everything here works on the copy alone.
struct SalvagedBooks {
    private static let isFree = "NOT EXISTS (SELECT 1 FROM row_fates f WHERE f.row_id = d.row_id)"

    private let database: Database
    private let gaps: [String: [ClosedRange<Int64>]]
    private let now = Timestamp.now().microseconds
    private(set) var rejected = 0
    private(set) var settled = 0

    init(_ database: Database, gaps: [String: [ClosedRange<Int64>]]) {
        self.database = database
        self.gaps = gaps
    }

    /// - Throws: `SpoolError.damaged` when the list of routes does not fit the rows.
    mutating func mend(path: String) throws {
        for route in try SpoolStore.routes(database) { try mendEnd(of: route) }
        try removeStrangers(path: path)
        try removeOverlaps()
        for route in try SpoolStore.routes(database) {
            try replaceLostRuns(route)
            try reassignRuns(route)
            try accountForLostRows(route)
            try rejectRowsWithoutShape(route)
            try doubtRowsWithoutFate(route)
            try recount(route)
        }
        try closeAndRegroup()
    }

    /// The end of a route is on record twice, as the next row's number and as the count of all rows; where they differ the one that fits the
    /// rows holds.
    private func mendEnd(of route: Route) throws {
        let first = route.rowRange.lowerBound.rawValue
        guard
            let books = try Row.fetchOne(
                database,
                sql: """
                    SELECT next_row, ?1 + spooled AS counted,
                        (SELECT max(row_id) FROM row_data WHERE row_id BETWEEN ?1 AND ?2) AS top,
                        (SELECT max(last_row) FROM request_log q WHERE q.route = r.route AND last_row BETWEEN ?1 AND ?2) AS claimed
                    FROM routes r WHERE route = ?3
                    """, arguments: [first, route.rowRange.upperBound.rawValue, route.number])
        else { return }
        let ends = try [books.read("next_row") as Int64, books.read("counted") as Int64].sorted()
        let top = try books.read("top") as Int64? ?? (first - 1)
        let next = ends.first { $0 > top && $0 >= first } ?? max(ends[1], first)
        let claimed = try books.read("claimed") as Int64? ?? (first - 1)
        try database.execute(
            sql: """
                UPDATE routes SET next_row = ?1, claimed_to = min(max(claimed_to, min(?2, ?1 - 1)), ?1 - 1) WHERE route = ?3
                """, arguments: [next, claimed, route.number])
    }

    /// Two requests can't have the same rows; what is known of the first is then not true.
    private func removeOverlaps() throws {
        var earlier: (request: Int64, last: Int64)?
        let ranges = try Row.fetchAll(
            database,
            sql:
                "SELECT request_id, first_row, last_row FROM request_log WHERE first_row IS NOT NULL ORDER BY first_row"
        )
        for range in ranges {
            if let earlier, try earlier.last >= range.read("first_row") as Int64 {
                try database.execute(sql: "DELETE FROM request_log WHERE request_id = ?", arguments: [earlier.request])
            }
            earlier = try (range.read("request_id"), range.read("last_row"))
        }
    }

    /// Rows whose number no route has given out: the number itself was damaged. Many of them mean that the list of routes is.
    private func removeStrangers(path: String) throws {
        let few = 3
        for table in ["row_data", "row_fates", "quarantined_rows"] {
            let strangers = """
                FROM \(table) WHERE NOT EXISTS (
                    SELECT 1 FROM routes r WHERE r.route = row_id >> 40 AND row_id & \(1 << 40 - 1) > 0
                        AND row_id < r.next_row
                )
                """
            guard try Int.fetchOne(database, sql: "SELECT count(*) \(strangers)") ?? 0 <= few else {
                throw SpoolError.damaged(path: path, reason: "its list of streams can't be read")
            }
            try database.execute(sql: "DELETE \(strangers)")
        }
        try database.execute(
            sql: """
                DELETE FROM request_log WHERE route NOT IN (SELECT route FROM routes) OR state NOT IN
                    ('pending', 'sending', 'in_doubt', 'delivered', 'closed') OR (first_row IS NULL) <> (last_row IS NULL)
                    OR last_row < first_row OR first_row >> 40 <> route OR last_row >> 40 <> route
                    OR last_row >= (SELECT next_row FROM routes r WHERE r.route = request_log.route)
                """)
        let states = RowState.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
        try database.execute(sql: "DELETE FROM row_fates WHERE state NOT IN (\(states))")
        try database.execute(
            sql: """
                DELETE FROM run_log WHERE route NOT IN (SELECT route FROM routes) OR typeof(run_id) <> 'text'
                    OR status NOT IN ('running', 'complete', 'interrupted', 'failed', 'abandoned')
                    OR (first_row IS NULL) <> (last_row IS NULL) OR last_row < first_row OR first_row >> 40 <> route
                    OR last_row >= (SELECT next_row FROM routes r WHERE r.route = run_log.route)
                """)
    }

    private func bounds(_ route: Route) throws -> Range<Int64> {
        let next = try Int64.fetchOne(
            database, sql: "SELECT next_row FROM routes WHERE route = ?", arguments: [route.number])
        let first = route.rowRange.lowerBound.rawValue
        return first..<max(next ?? first, first)
    }

    /// Rows whose run is not on record any more get one that stands for it.
    private func replaceLostRuns(_ route: Route) throws {
        let rows = try bounds(route)
        var position = rows.lowerBound
        let known = try Row.fetchAll(
            database,
            sql: """
                SELECT run_no, first_row, last_row FROM run_log WHERE route = ? AND first_row IS NOT NULL ORDER BY first_row
                """, arguments: [route.number])
        var spans: [(Int64, Int64)] = []
        for run in known {
            let first: Int64 = try run.read("first_row")
            if first < position {
                // Two runs can't have the same rows: what is known of this one is not true.
                try database.execute(
                    sql: "DELETE FROM run_log WHERE run_no = ?", arguments: [run.read("run_no") as Int64])
                continue
            }
            if first > position { spans.append((position, first - 1)) }
            position = try run.read("last_row") + 1
        }
        if position < rows.upperBound { spans.append((position, rows.upperBound - 1)) }
        for (first, last) in spans {
            try database.execute(
                sql: """
                    INSERT INTO run_log (run_id, stream_no, route, mode, status, generation, started_at, finished_at, first_row,
                        last_row, rows_spooled, error)
                    SELECT 'salvaged-' || ?1, s.stream_no, ?2, s.mode, 'failed', s.generation, ?3, ?3, ?1, ?4, ?4 - ?1 + 1,
                        'the record of this run was lost when the spool was damaged'
                    FROM stream_defs s WHERE s.stream_no = ?5
                    """, arguments: [first, route.number, now, last, route.streamNumber])
            try database.execute(
                sql: "UPDATE row_data SET run_no = ? WHERE row_id BETWEEN ? AND ?",
                arguments: [database.lastInsertedRowID, first, last])
        }
    }

    /// The runs' ranges are right by now; a row that names another run than the one it lies in has a damaged number there.
    private func reassignRuns(_ route: Route) throws {
        let rows = try bounds(route)
        try database.execute(
            sql: """
                UPDATE row_data SET run_no = u.run_no FROM run_log u
                WHERE row_data.row_id BETWEEN ?1 AND ?2 AND u.route = ?3 AND row_data.row_id BETWEEN u.first_row AND u.last_row
                    AND row_data.run_no <> u.run_no
                """, arguments: [rows.lowerBound, rows.upperBound, route.number])
    }

    /// Finds the rows that are missing although the books don't say that they were delivered. What they say is looked up per row, whether a
    /// page could not be read or a damaged tree hides it.
    private mutating func accountForLostRows(_ route: Route) throws {
        let rows = try bounds(route)
        let claimed =
            try Int64.fetchOne(
                database, sql: "SELECT claimed_to FROM routes WHERE route = ?", arguments: [route.number]) ?? 0
        var ranges: [ClosedRange<Int64>] = []
        if claimed + 1 < rows.upperBound { ranges.append(claimed + 1...rows.upperBound - 1) }
        let open = try Row.fetchAll(
            database,
            sql: """
                SELECT first_row, last_row FROM request_log
                WHERE route = ? AND \(SpoolStore.openRequests) AND first_row BETWEEN ? AND last_row AND last_row < ?
                """, arguments: [route.number, rows.lowerBound, rows.upperBound])
        ranges += try open.map { try ($0.read("first_row") as Int64)...($0.read("last_row") as Int64) }
        if gaps["request_log"] != [] {
            for gap in gaps["row_data"] ?? [] where gap.overlaps(rows.lowerBound...claimed) {
                ranges.append(gap.clamped(to: rows.lowerBound...claimed))
            }
        }
        var lost = Set(
            try Int64.fetchAll(
                database,
                sql: """
                    SELECT row_id FROM row_fates f WHERE row_id BETWEEN ? AND ?
                        AND NOT EXISTS (SELECT 1 FROM row_data d WHERE d.row_id = f.row_id)
                    """, arguments: [rows.lowerBound, rows.upperBound]))
        for range in ranges {
            let present = Set(
                try Int64.fetchAll(
                    database, sql: "SELECT row_id FROM row_data WHERE row_id BETWEEN ? AND ?",
                    arguments: [range.lowerBound, range.upperBound]))
            lost.formUnion(range.lazy.filter { !present.contains($0) })
        }
        for row in lost.sorted() { try accountFor(row, route) }
        for row in try lostExceptions(of: route) {
            try insertPlaceholder(row, route)
            try reject(row, attempts: 0, "neither its bytes nor its fate could be read any more")
        }
    }

    /// Rows missing from delivered ranges that need not have been delivered themselves: there are more of them than the range's own rows that
    /// are missing, so some had a fate of their own, which is lost as well.
    private func lostExceptions(of route: Route) throws -> [Int64] {
        let ranges = try Row.fetchAll(
            database,
            sql: """
                SELECT * FROM (
                    SELECT first_row, last_row, own_rows, (
                        SELECT count(*) FROM row_data d WHERE d.row_id BETWEEN first_row AND last_row AND \(Self.isFree)
                    ) AS present, (
                        SELECT count(*) FROM row_fates f WHERE f.row_id BETWEEN first_row AND last_row
                    ) AS apart FROM request_log
                    WHERE route = ? AND state IN ('delivered', 'closed') AND first_row IS NOT NULL
                ) WHERE last_row - first_row + 1 - present - apart NOT IN (0, own_rows - present)
                """, arguments: [route.number])
        return try ranges.flatMap { range in
            let (first, last): (Int64, Int64) = try (range.read("first_row"), range.read("last_row"))
            let known = Set(
                try Int64.fetchAll(
                    database,
                    sql: """
                        SELECT row_id FROM row_data WHERE row_id BETWEEN ?1 AND ?2
                        UNION SELECT row_id FROM row_fates WHERE row_id BETWEEN ?1 AND ?2
                        """, arguments: [first, last]))
            return (first...last).filter { !known.contains($0) }
        }
    }

    private mutating func accountFor(_ row: Int64, _ route: Route) throws {
        let fate = try String.fetchOne(
            database, sql: "SELECT state FROM row_fates WHERE row_id = ?", arguments: [row])
        let request = try Row.fetchOne(
            database,
            sql: """
                SELECT state, attempts FROM request_log WHERE first_row IS NOT NULL AND first_row <= ?1 AND last_row >= ?1
                ORDER BY first_row DESC LIMIT 1
                """, arguments: [row])
        let shared = try fate ?? request?.read("state") as String?
        switch shared {
        case "delivered", "closed":
            try database.execute(sql: "DELETE FROM row_fates WHERE row_id = ?", arguments: [row])
            settled += 1
        case "discarded":
            try insertPlaceholder(row, route)
            settled += 1
        default:
            try insertPlaceholder(row, route)
            try reject(row, attempts: request?.read("attempts") as Int? ?? 0, "its bytes could not be read any more")
        }
    }

    /// A row without bytes, which no checksum matches: it can be shown and discarded, but never sent.
    private func insertPlaceholder(_ row: Int64, _ route: Route) throws {
        try database.execute(
            sql: """
                INSERT INTO row_data (row_id, run_no, shape, op, extracted_at, checksum, insert_id, payload)
                SELECT ?1, run_no, 0, 0, started_at, -1, '', '' FROM run_log
                WHERE route = ?2 AND first_row <= ?1 AND last_row >= ?1 LIMIT 1
                """, arguments: [row, route.number])
        try database.execute(
            sql: "INSERT OR REPLACE INTO quarantined_rows (row_id, found_at, reason) VALUES (?, ?, 'unreadable')",
            arguments: [row, now])
    }

    private mutating func reject(_ row: Int64, attempts: Int, _ message: String) throws {
        try database.execute(
            sql: """
                INSERT INTO row_fates (row_id, state, attempts, reason, message, decided_at)
                VALUES (?, 'rejected', ?, 'damaged', ?, ?)
                ON CONFLICT (row_id) DO UPDATE SET state = 'rejected', request_id = NULL, reason = 'damaged',
                    message = excluded.message, decided_at = excluded.decided_at
                """, arguments: [row, attempts, message, now])
        rejected += 1
    }

    /// Without its columns and types a row can't be sent; placeholders never had any.
    private mutating func rejectRowsWithoutShape(_ route: Route) throws {
        let rows = try bounds(route)
        let lost = try Row.fetchAll(
            database,
            sql: """
                SELECT v.row_id, v.state, v.attempts FROM spooled_rows v JOIN row_data d ON d.row_id = v.row_id
                WHERE v.row_id BETWEEN ? AND ? AND NOT EXISTS (SELECT 1 FROM shapes s WHERE s.shape = d.shape)
                """, arguments: [rows.lowerBound, rows.upperBound])
        if lost.isEmpty { return }
        try database.execute(
            sql: "INSERT OR IGNORE INTO shapes (route, definition) VALUES (?, '')", arguments: [route.number])
        for row in lost {
            let id: Int64 = try row.read("row_id")
            try database.execute(
                sql: """
                    UPDATE row_data SET shape = (SELECT shape FROM shapes WHERE route = ? AND definition = '')
                    WHERE row_id = ?
                    """, arguments: [route.number, id])
            if try ["pending", "sending", "in_doubt", "closed"].contains(row.read("state") as String) {
                try reject(id, attempts: row.read("attempts"), "the list of its columns could not be read any more")
            }
        }
    }

    /// What may have been sent, or set apart, and is not on record any more: BigQuery will be asked.
    private func doubtRowsWithoutFate(_ route: Route) throws {
        let rows = try bounds(route)
        // A range that has more rows than it had has lost the fate of some of them.
        let grown = try Row.fetchAll(
            database,
            sql: """
                SELECT first_row, last_row FROM request_log WHERE route = ? AND first_row IS NOT NULL AND own_rows < (
                    SELECT count(*) FROM row_data d WHERE d.row_id BETWEEN first_row AND last_row AND \(Self.isFree)
                )
                """, arguments: [route.number])
        for range in grown {
            try giveFates(
                "d.row_id BETWEEN \(range.read("first_row") as Int64) AND \(range.read("last_row") as Int64)", route)
        }
        for gap in gaps["row_fates"] ?? [] where gap.upperBound >= rows.lowerBound && gap.lowerBound < rows.upperBound {
            try giveFates(
                """
                d.row_id BETWEEN \(max(gap.lowerBound, rows.lowerBound)) AND \(min(gap.upperBound, rows.upperBound - 1))
                AND d.row_id <= (SELECT claimed_to FROM routes WHERE route = \(route.number))
                """, route)
        }
        try giveFates(
            """
            d.row_id BETWEEN \(rows.lowerBound) AND (SELECT claimed_to FROM routes WHERE route = \(route.number))
            AND NOT EXISTS (SELECT 1 FROM request_log q WHERE q.first_row <= d.row_id AND q.last_row >= d.row_id)
            """, route)
    }

    private func giveFates(_ condition: String, _ route: Route) throws {
        try database.execute(
            sql: """
                INSERT INTO row_fates (row_id, state, attempts, reason, decided_at)
                SELECT d.row_id, 'in_doubt', 1, 'unknown', ? FROM row_data d
                WHERE \(condition) AND \(Self.isFree)
                """, arguments: [now])
    }

    private func recount(_ route: Route) throws {
        let rows = try bounds(route)
        try database.execute(
            sql: """
                UPDATE request_log SET own_rows = (
                    SELECT count(*) FROM row_data d WHERE d.row_id BETWEEN first_row AND last_row AND \(Self.isFree)
                ) WHERE route = ? AND first_row IS NOT NULL
                """, arguments: [route.number])
        try database.execute(
            sql: """
                UPDATE run_log SET rows_spooled = coalesce(last_row - first_row + 1, 0),
                    retired = coalesce(last_row - first_row + 1, 0) - (
                        SELECT count(*) FROM row_data d WHERE d.row_id BETWEEN first_row AND last_row
                    ) WHERE route = ?
                """, arguments: [route.number])
        try database.execute(
            sql: """
                UPDATE routes SET spooled = ?2 - ?1,
                    unclaimed = (SELECT count(*) FROM row_data d WHERE d.row_id > claimed_to AND d.row_id < ?2 AND \(Self.isFree)),
                    retired = ?2 - ?1 - (SELECT count(*) FROM row_data d WHERE d.row_id >= ?1 AND d.row_id < ?2)
                WHERE route = ?3
                """, arguments: [rows.lowerBound, rows.upperBound, route.number])
        // The days of rows that were delivered and can't be read are not known; they count for the last day there is.
        try database.execute(
            sql: """
                INSERT INTO retired_days (route, day, rows)
                SELECT route, coalesce((SELECT max(day) FROM retired_days t WHERE t.route = r.route), ?1 / 86400000000), missing
                FROM (SELECT route, retired - coalesce((SELECT sum(rows) FROM retired_days t WHERE t.route = q.route), 0)
                    AS missing FROM routes q) r
                WHERE route = ?2 AND missing > 0
                ON CONFLICT (route, day) DO UPDATE SET rows = rows + excluded.rows
                """, arguments: [now, route.number])
    }

    /// Single rows whose list is lost come into new ones; requests without rows are closed.
    private func closeAndRegroup() throws {
        for route in try SpoolStore.routes(database) {
            let rows = try bounds(route)
            let singles = try Int64.fetchAll(
                database,
                sql: """
                    SELECT row_id FROM row_fates f WHERE row_id BETWEEN ? AND ? AND f.\(SpoolStore.claimedFates)
                        AND NOT EXISTS (
                            SELECT 1 FROM request_log q WHERE q.request_id = f.request_id AND q.first_row IS NULL
                                AND q.state = f.state
                        ) ORDER BY row_id
                    """, arguments: [rows.lowerBound, rows.upperBound])
            try SpoolStore.doubt(
                singles, .unknown, route: route.number, sentAt: Timestamp(microseconds: now), database)
        }
        try database.execute(
            sql: """
                UPDATE request_log SET state = 'closed', doubt = NULL, answered_at = coalesce(answered_at, ?)
                WHERE \(SpoolStore.openRequests) AND own_rows = 0 AND NOT EXISTS (
                    SELECT 1 FROM row_fates f WHERE f.request_id = request_log.request_id AND f.\(SpoolStore.claimedFates)
                )
                """, arguments: [now])
    }
}
