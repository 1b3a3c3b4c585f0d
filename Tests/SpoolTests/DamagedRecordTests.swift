import Foundation
import GRDB
import TestSupport
import Testing

@testable import Spool

/// A damaged page may leave any column with any value. Whatever reads it says so; nothing ends the process.
@Suite struct DamagedRecordTests {
    private static let check: PayloadCheck = { payload, insertID in
        String(decoding: payload, as: UTF8.self).contains(String(decoding: insertID, as: UTF8.self))
    }

    /// What the columns of a table are overwritten with, as SQL.
    private static let values = ["NULL", "'word'", "9223372036854775807"]
    private static let central = ["row_data", "routes", "run_log", "request_log", "row_fates", "stream_defs"]

    /// A closed spool with something in every table, whose schema lets every column be null.
    private static func make(_ path: String) async throws {
        let spool = try SpoolStore(path: path)
        let route = try await spool.spool(0..<60, bytes: 50, run: "one")
        let requests = try await spool.beginAll(of: route, size: 20)
        let rows = try await spool.rowIDs(.all(route: route.number))
        var first = Settlement(requests[0], rest: .delivered)
        first.exceptions = rows[5..<8].map { RowSettlement($0, .rejected(reason: "invalid", message: "no")) }
        first.exceptions += rows[8..<10].map {
            RowSettlement($0, .pending(reason: "backendError", message: "", counts: true, transient: true))
        }
        first.exceptions += rows[10..<12].map { RowSettlement($0, .inDoubt(.settling)) }
        try await spool.settle([first, Settlement(requests[1], rest: .inDoubt(.unknown))])
        try await spool.spool(100..<110, run: "two")
        let stream = try await spool.openObjects(stream: 1, names: ["a.csv"])
        try await spool.setTableRecord("{}", for: "project.raw.memos", endpoint: "loopback")
        try await spool.noteAgreement(with: "project.raw.memos", endpoint: "loopback", at: .maximum)
        try await spool.write { database in
            try database.execute(
                sql: """
                    UPDATE stream_defs SET watermark_value = '1', watermark_sort = x'01', notes = '{}';
                    UPDATE objects SET version = '1', size = 5, rows = 2, read_at = 5, run_no = 1;
                    INSERT INTO object_log VALUES (\(stream[0].number), 1, 1, zeroblob(16), zeroblob(16));
                    INSERT INTO column_names VALUES (1, 'title', 'title', 'title');
                    INSERT INTO recent_ids VALUES (1, x'01', 'an id');
                    INSERT INTO known_versions VALUES (1, x'01', zeroblob(16), 2, 1), (1, x'02', zeroblob(16), 0, 2);
                    INSERT INTO equal_rows VALUES (1, x'01', zeroblob(16), 3);
                    INSERT INTO scan_findings VALUES (1, x'01', 0, x'01');
                    INSERT INTO retired_days VALUES (1, 20000, 0);
                    INSERT INTO quarantined_rows VALUES (\(rows[2].rawValue), 5, 'altered');
                    INSERT INTO spool_meta VALUES ('changes', '4'), ('remote_saved_at', '5');
                    """)
        }
        try spool.close()
        let file = try DatabaseQueue(path: path)
        try await file.writeWithoutTransaction { database in
            try database.execute(
                sql: """
                    PRAGMA writable_schema = ON;
                    UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table';
                    PRAGMA writable_schema = RESET;
                    PRAGMA wal_checkpoint(TRUNCATE);
                    """)
        }
        try file.close()
    }

    /// Notes errors that are none of a damaged file's.
    private final class Attempts: Sendable {
        let comment: String
        init(_ comment: String) { self.comment = comment }

        func callAsFunction(
            _ what: String, isReading: Bool = true, _ body: () async throws -> Void
        ) async {
            do { try await body() } catch let error as SpoolError {
                // What changes rows compares them with what it was told, and may find that somebody is wrong.
                if case .broken = error, isReading { Issue.record("\(comment), \(what): \(error)") }
            } catch {
                Issue.record("\(comment), \(what): \(error)")
            }
        }
    }

    private static func read(_ spool: SpoolStore, _ attempt: Attempts) async {
        await attempt("stream") { _ = try await spool.stream(named: "memos") }
        await attempt("ledger") { _ = try await spool.ledger().map { ($0.isBalanced, $0.undelivered) } }
        await attempt("openRequests") { _ = try await spool.openRequests() }
        await attempt("oldest") { _ = try await spool.oldestUndelivered().values.map { Timestamp.now().since($0) } }
        await attempt("lastRuns") { _ = try await spool.lastRuns() }
        await attempt("unfinishedRuns") { _ = try await spool.unfinishedRuns() }
        await attempt("streamsOnRecord") { _ = try await spool.streamsOnRecord() }
        await attempt("records") { _ = try await spool.records() }
        await attempt("pace") { _ = try await spool.pace(ofStream: "memos") }
        await attempt("mark") { _ = try await spool.remoteMark() }
        await attempt("changes") { _ = try await spool.hasUnsavedChanges() }
        await attempt("table") { _ = try await spool.tableRecord("project.raw.memos", endpoint: "loopback") }
        await attempt("delivered") { _ = try await spool.runIsFullyDelivered("one") }
        await attempt("integrity") { _ = try await spool.checkIntegrity() }
        for route in (try? await spool.routes()) ?? [] {
            await attempt("requests") {
                for request in try await spool.requests(of: route, in: Set(RowState.allCases)) {
                    _ = try await spool.rowIDs(.request(request.id))
                }
            }
            let selections: [RowSelection] = [
                .all(route: route.number), .fresh(route: route.number, after: nil),
                .leftOver(route: route.number, after: nil), .state(.delivered, route: route.number, after: nil),
            ]
            for selection in selections { await attempt("rows") { _ = try await spool.rowIDs(selection) } }
            await attempt("standings") { _ = try await spool.standings(of: route, after: nil, limit: 1000) }
            await attempt("shapes") { _ = try await spool.shapes(of: route) }
            await attempt("unclaimed") { try await spool.checkUnclaimed(of: route) }
            await attempt("snapshot") { _ = try await spool.snapshotToShow(route) }
            await attempt("held up") { _ = try await spool.snapshotHeldUp(route) }
            await attempt("retired") { _ = try await spool.retiredDays(of: route) }
            await attempt("audit") {
                // A failed check, never an error.
                let checks = try await spool.audit(route, payloadMatches: check)
                #expect(checks.count == 5)
            }
        }
        var keys = PackedKeys()
        [UInt8]([1]).withUnsafeBytes { keys.append($0) }
        await attempt("columns") { _ = try await spool.columnNames(stream: 1) }
        await attempt("versions") { _ = try await spool.knownVersions(stream: 1, after: nil, through: nil) }
        await attempt("known") { _ = try await spool.knownRecords(stream: 1, keys: [[1]]) }
        await attempt("changes") { _ = try await spool.knownChanges(stream: 1, of: keys) }
        await attempt("findings") { _ = try await spool.findings(stream: 1, kind: .changed, after: nil, limit: 9) }
        await attempt("unseen") { _ = try await spool.unseen(stream: 1, run: 9, after: nil, limit: 9) }
        await attempt("unseen") { _ = try await spool.countUnseen(stream: 1, run: 9) }
        await attempt("objects") { _ = try await spool.objects(stream: 1) }
        await attempt("log") { _ = try await spool.objectLog(1, after: 0, limit: 9) }
        await attempt("equal rows") {
            _ = try await spool.equalRows(
                stream: 1, [EqualRows(scope: [1], hash: KnownHash(high: 0, low: 0), rows: 0)])
        }
    }

    private static func change(_ spool: SpoolStore, _ folder: String, _ attempt: Attempts) async {
        await attempt("restored", isReading: false) { try await spool.doubtPending() }
        await attempt("unfinished", isReading: false) { _ = try await spool.doubtUnfinishedRequests() }
        for route in (try? await spool.routes()) ?? [] {
            await attempt("begin", isReading: false) { _ = try await spool.beginAll(of: route, size: 7) }
            await attempt("resend", isReading: false) {
                for request in try await spool.requests(of: route, in: [.inDoubt]) {
                    try await spool.resend([request.id])
                    try await spool.settle([Settlement(request.id, rest: .delivered)])
                }
            }
            await attempt("doubt", isReading: false) {
                _ = try await spool.doubtDelivered(
                    to: route.table, endpoint: route.endpoint, since: Timestamp(microseconds: 0))
            }
        }
        await attempt("retry", isReading: false) { _ = try await spool.retryRejected(RowFilter()) }
        await attempt("retry", isReading: false) { _ = try await spool.retryDelivered(before: .maximum, RowFilter()) }
        await attempt("discard", isReading: false) { _ = try await spool.discard(RowFilter(), why: "so") }
        await attempt("retire", isReading: false) { _ = try await spool.retire(deliveredBefore: .maximum) }
        await attempt("index", isReading: false) { _ = try await spool.indexSpooledRows(stream: 1) }
        await attempt("spool", isReading: false) { _ = try await spool.spool(200..<203) }
        await attempt("backup", isReading: false) { try await spool.backup(to: folder + "/backup") }
        await attempt("compact", isReading: false) { try await spool.compact() }
    }

    private static func columns(_ path: String) async throws -> [(table: String, column: String)] {
        let file = try DatabaseQueue(path: path)
        defer { try? file.close() }
        return try await file.read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT m.name AS t, c.name AS c FROM sqlite_master m JOIN pragma_table_info(m.name) c
                    WHERE m.type = 'table' ORDER BY 1, 2
                    """
            ).map { ($0["t"], $0["c"]) }
        }
    }

    /// - Returns: false where SQLite itself does not let the column hold this.
    private static func overwrite(_ path: String, _ table: String, _ column: String, _ value: String) async throws
        -> Bool
    {
        let file = try DatabaseQueue(path: path)
        defer { try? file.close() }
        return try await file.writeWithoutTransaction { database in
            do {
                try database.execute(sql: "UPDATE OR IGNORE \(table) SET \(column) = \(value)")
            } catch let error as DatabaseError
                where [.SQLITE_MISMATCH, .SQLITE_CONSTRAINT].contains(error.resultCode)
            {
                return false
            }
            try database.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
            return true
        }
    }

    @Test func `no value of any column ends the process, and each is an error of the spool's`() async throws {
        try await withTemporaryFolder { folder in
            let original = folder + "/original.sqlite"
            try await Self.make(original)
            var tried = 0
            for (number, place) in try await Self.columns(original).enumerated() {
                for (index, value) in Self.values.enumerated() {
                    // Where rows and books are, everything; elsewhere one value a column.
                    guard Self.central.contains(place.table) || index == number % Self.values.count else { continue }
                    let here = folder + "/\(number)-\(index)"
                    try FileManager.default.createDirectory(atPath: here, withIntermediateDirectories: true)
                    defer { try? FileManager.default.removeItem(atPath: here) }
                    let path = here + "/spool.sqlite"
                    try FileManager.default.copyItem(atPath: original, toPath: path)
                    guard try await Self.overwrite(path, place.table, place.column, value) else { continue }
                    tried += 1
                    let attempt = Attempts("\(place.table).\(place.column) = \(value)")
                    // Slow, and it reads tables with its own means.
                    let isVerified = index == (number + 1) % 2
                    await attempt("verify") {
                        guard isVerified else { return }
                        _ = try await SpoolStore.verify(path: path, payloadMatches: Self.check)
                    }
                    await attempt("open") {
                        let spool = try SpoolStore(path: path, creating: false)
                        await Self.read(spool, attempt)
                        // One value is enough to see what changes do with what they can't read.
                        if index == number % Self.values.count { await Self.change(spool, here, attempt) }
                        try spool.close()
                    }
                    await attempt("quarantine") {
                        guard isVerified else { return }
                        _ = try await SpoolStore.quarantine(path: path, holder: "test", payloadMatches: Self.check)
                    }
                }
            }
            #expect(tried > 150)
        }
    }
}
