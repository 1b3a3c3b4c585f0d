import GRDB
import TestSupport

@testable import Spool

/// The life of a spool in small steps: rows are appended, claimed, sent, refused, doubted, sent again, delivered and removed. Each step is one
/// transaction and follows from what is in the spool alone, so that it goes on after any failure as the program would.
struct SpoolScript: Sendable {
    var pages: Int
    var rowsAPage: Int
    private let definition = StreamDefinition.memos()

    init(pages: Int, rowsAPage: Int) {
        self.pages = pages
        self.rowsAPage = rowsAPage
    }

    /// Rows whose position is this are refused, or in doubt after their first attempt.
    private static func isRefused(_ row: RowID) -> Bool { row.rawValue % 7 == 3 }
    private static func isDoubted(_ row: RowID) -> Bool { row.rawValue % 5 == 1 && !isRefused(row) }

    /// Does the next step; false when there is none.
    func step(_ spool: SpoolStore) async throws -> Bool {
        guard let state = try await spool.stream(named: definition.name) else {
            _ = try await spool.openStream(definition)
            return true
        }
        let stored = Int(state.watermark?.value ?? "0") ?? 0
        guard let run = state.unfinishedRun else {
            guard stored == 0 else { return try await deliver(spool, isComplete: true) }
            _ = try await spool.beginRun(definition, id: "run-1", fingerprint: "1", generation: 0, position: nil)
            return true
        }
        if try await deliver(spool, isComplete: stored == pages) { return true }
        guard stored < pages else {
            try await spool.endRun(run, status: .complete, warnings: nil, error: nil)
            return true
        }
        let rows = stored * rowsAPage..<(stored + 1) * rowsAPage
        var page = PageCommit(run: run, rows: RowBatch(rows.map { TestRow($0, bytes: 200) }))
        page.watermark = Watermark(value: String(stored + 1), key: nil, sortKey: [UInt8(stored + 1)])
        page.position = "page \(stored + 1)"
        page.rowsRead = rowsAPage
        try await spool.append(page)
        return true
    }

    /// One step of delivery; false if there is nothing to do now.
    private func deliver(_ spool: SpoolStore, isComplete: Bool) async throws -> Bool {
        guard let route = try await spool.routes().first else { return false }
        if let request = try await spool.requests(of: route, in: [.sending]).first {
            try await spool.settle([try await settlement(of: request, spool)])
            return true
        }
        if let request = try await spool.requests(of: route, in: [.pending, .inDoubt]).first {
            try await spool.resend([request.id])
            return true
        }
        let leftOver = try await spool.rowIDs(.leftOver(route: route.number, after: nil))
        if !leftOver.isEmpty {
            _ = try await spool.begin([NewRequest(route: route.number, rows: .list(leftOver), bytes: 100)])
            return true
        }
        let fresh = try await spool.rowIDs(.fresh(route: route.number, after: nil)).prefix(rowsAPage + 1)
        if let first = fresh.first, let last = fresh.last, fresh.count > rowsAPage || isComplete {
            _ = try await spool.begin([
                NewRequest(
                    route: route.number, rows: .range(first: first, last: last, count: fresh.count), bytes: 100)
            ])
            return true
        }
        return isComplete ? try await spool.retire(deliveredBefore: .now(), limit: 1) > 0 : false
    }

    private func settlement(of request: DeliveryRequest, _ spool: SpoolStore) async throws -> Settlement {
        let rows = try await spool.rowIDs(.request(request.id))
        let isFirst = request.range != nil && request.attempts == 1
        let exceptions = rows.compactMap { row -> RowSettlement? in
            if Self.isRefused(row) { return RowSettlement(row, .rejected(reason: "invalid", message: "no")) }
            return isFirst && Self.isDoubted(row) ? RowSettlement(row, .inDoubt(.unknown)) : nil
        }
        return Settlement(request.id, rest: .delivered, exceptions: exceptions)
    }

    /// What is left when all steps are done.
    func isDone(_ entry: LedgerEntry) -> Bool {
        let rows = pages * rowsAPage
        return entry.isBalanced && entry.spooled == rows && entry.rejected + entry.retired == rows
            && entry.rejected >= rows / 7
    }
}

extension SpoolStore {
    /// Everything in it, table by table.
    func contents() async throws -> String {
        try await read { database in
            let tables = try String.fetchAll(
                database, sql: "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            return try tables.map { table in
                let rows = try Row.fetchAll(database, sql: "SELECT * FROM \(table)")
                return rows.map { "\(table) \($0)" }.joined(separator: "\n")
            }.joined(separator: "\n")
        }
    }

    /// What its own checks find wrong.
    func problems() async throws -> [AuditCheck] {
        var checks = [try await checkIntegrity()]
        for route in try await routes() { checks += try await audit(route, payloadMatches: { _, _ in true }) }
        return checks.filter { !$0.isOK }
    }
}
