internal import HTTPServer
internal import JSONBytes
internal import Synchronization

extension Engine {
    /// tabledata.insertAll: checks every row, drops what de-duplication knows, stores the rest.
    func insertAll(_ call: APICall, _ entry: inout LoggedRequest) throws(APIError) -> HTTPResponse {
        let record = try target(call)
        let now = clock.now
        let schemaDelay = max(configuration.metadataDelay, call.decision.schemaDelay).microseconds
        let rows = CheckedRows(body: call.body)
        let checker = RowChecker(
            plan: record.plan(at: now, delay: schemaDelay), result: rows, now: now, tableName: record.key.legacyName)
        let limits = InsertAllRequest.Limits(
            rowBytes: configuration.maximumRowBytes, rows: configuration.maximumRowsPerRequest)
        let request = try InsertAllRequest(body: call.body, checker: checker, limits: limits)
        entry.rows = rows.rows.count
        entry.insertIDs = rows.rows.map { $0.insertID.map(rows.string) ?? "" }

        var outcome = RowOutcome(request)
        if !outcome.isRefusedAsWhole { drawRowErrors(call.decision, &outcome) }
        entry.refusedRows = outcome.errors.count
        try keep(outcome.accepted, of: rows, in: record, call.decision, at: now, &entry)
        return HTTPResponse(json: outcome.reply)
    }

    /// The table that the rows are for, if it takes any.
    private func target(_ call: APICall) throws(APIError) -> TableRecord {
        guard let key = call.route.tableKey else { throw .badRequest("A table is needed.") }
        if key.table.contains("$") {
            throw APIError(501, "notImplemented", "The sandbox has no partition decorators (\(key.table)).")
        }
        let (hasDataset, found) = state.withLock { ($0.datasets[key.datasetKey] != nil, $0.tables[key]) }
        guard hasDataset else { throw .notFound(key.datasetKey) }
        let delay = max(configuration.metadataDelay, call.decision.newTableDelay).microseconds
        guard let record = found, record.isView || clock.now >= record.created + delay else {
            throw APIError(404, "notFound", "Table \(key.legacyName) not found.")
        }
        guard !record.isView else {
            throw .invalid("Cannot add rows to a table of type VIEW.")
        }
        guard !record.fields.isEmpty else {
            throw .invalid("The destination table has no schema.")
        }
        return record
    }

    private func drawRowErrors(_ decision: FaultInjector.Decision, _ outcome: inout RowOutcome) {
        for (reason, rate) in decision.rowErrors {
            let count = outcome.accepted.count
            let struck = state.withLock { $0.faults.draw(rate: rate, outOf: count) }
            outcome.refuse(struck.map { outcome.accepted[$0] }, reason: reason)
        }
    }

    private func keep(
        _ accepted: [Int], of rows: CheckedRows, in record: TableRecord, _ decision: FaultInjector.Decision,
        at now: Int64, _ entry: inout LoggedRequest
    ) throws(APIError) {
        guard !accepted.isEmpty else { return }
        let isLost =
            decision.losesRows || now < record.created + decision.loseNewTable.microseconds
        let window = (decision.dedupeWindow ?? configuration.dedupeWindow).microseconds
        let keys = accepted.map { rows.rows[$0].insertID.map { DedupeWindow.Key(rows.bytes($0)) } }
        do {
            let stored = try state.withLock { state -> Int in
                guard state.tables[record.key]?.incarnation == record.incarnation else {
                    throw APIError(404, "notFound", "Table \(record.key.legacyName) not found.")
                }
                if isLost { return 0 }
                var fresh: [Int] = []
                fresh.reserveCapacity(accepted.count)
                var admitted: [DedupeWindow.Key] = []
                for (index, key) in zip(accepted, keys) {
                    if let key, !state.dedupe[record.key, default: DedupeWindow()].admit(key, at: now, window: window) {
                        continue
                    }
                    fresh.append(index)
                    if let key { admitted.append(key) }
                }
                do {
                    try store.insert(
                        rows, at: fresh, into: state.tables[record.key]?.layout ?? record.layout, time: now)
                } catch {
                    for key in admitted { state.dedupe[record.key]?.forget(key) }
                    throw error
                }
                return fresh.count
            }
            entry.storedRows = stored
            entry.lostRows = isLost ? accepted.count : 0
            entry.duplicateRows = accepted.count - stored - entry.lostRows
        } catch {
            throw (error as? APIError) ?? Self.internalError(error)
        }
    }
}

/// What becomes of each row of a request (streaming page, the table of results).
private struct RowOutcome {
    /// Indices of rows that go into the table, ascending.
    var accepted: [Int]
    /// By index, ascending.
    var errors: [(index: Int, details: [JSONValue])]
    /// Whether one bad row kept all others out.
    var isRefusedAsWhole: Bool

    init(_ request: InsertAllRequest) {
        let rows = request.rows.rows
        let bad = rows.indices.filter { !rows[$0].errors.isEmpty }
        isRefusedAsWhole = !bad.isEmpty && !request.skipInvalidRows
        if bad.isEmpty {
            accepted = Array(rows.indices)
            errors = []
        } else if request.skipInvalidRows {
            accepted = rows.indices.filter { rows[$0].errors.isEmpty }
            errors = bad.map { ($0, Self.details(rows[$0])) }
        } else {
            accepted = []
            errors = rows.indices.map {
                ($0, rows[$0].errors.isEmpty ? [Self.detail("stopped", "", "")] : Self.details(rows[$0]))
            }
        }
    }

    mutating func refuse(_ indices: [Int], reason: String) {
        guard !indices.isEmpty else { return }
        let refused = Set(indices)
        accepted.removeAll(where: refused.contains)
        errors += indices.map { ($0, [Self.detail(reason, "", "")]) }
        errors.sort { $0.index < $1.index }
    }

    private static func details(_ row: CheckedRow) -> [JSONValue] {
        row.errors.map { detail("invalid", $0.location, $0.message) }
    }

    private static func detail(_ reason: String, _ location: String, _ message: String) -> JSONValue {
        [
            "reason": .string(reason), "location": .string(location), "debugInfo": "", "message": .string(message),
        ]
    }

    var reply: JSONValue {
        var members = [JSONMember("kind", "bigquery#tableDataInsertAllResponse")]
        if !errors.isEmpty {
            let listed = errors.map { entry -> JSONValue in
                ["index": .number(String(entry.index)), "errors": .array(entry.details)]
            }
            members.append(JSONMember("insertErrors", .array(listed)))
        }
        return .object(members)
    }
}
