package import JSONBytes
internal import Synchronization

/// What tests in the same process see and change. Every member may be used while the server runs.
package struct SandboxState: Sendable {
    let engine: Engine

    // MARK: Tables

    /// Full names of all tables and views, sorted.
    package var tables: [String] { engine.state.withLock { $0.tables.keys.sorted().map(\.description) } }

    /// A table's or view's rows, a table's in order of arrival, each with a member for every column; NULL is null. TIMESTAMP is RFC 3339 text in UTC without
    /// trailing zeros, INT64 a number, FLOAT64 a number or `"NaN"`, `"Infinity"`, `"-Infinity"`, BYTES base64.
    ///
    /// - Parameter table: `project.dataset.table`, or any shorter end of it that only one table has.
    /// - Throws: `SandboxError.unknownTable`.
    package func rows(of table: String) throws -> [JSONValue] {
        let record = try record(of: table)
        if record.isView { return try query("SELECT * FROM `\(record.key)`", project: record.key.project) }
        return try engine.store.rows(of: record.layout).rows.map { row in
            .object(zip(record.fields, row).map { JSONMember($0.name, ColumnCodec.plain($1, $0)) })
        }
    }

    /// Runs a query as jobs.query does; each row has a member for every column, in the forms of `rows`.
    ///
    /// - Throws: an error whose description is the refusal's message.
    package func query(_ sql: String, project: String) throws -> [JSONValue] {
        let (fields, rows) = try engine.run(sql, project: project)
        return rows.map { row in
            .object(zip(fields, row).map { JSONMember($0.name, ColumnCodec.plain($1, $0)) })
        }
    }

    package func rowCount(of table: String) throws -> Int { try engine.store.count(try record(of: table).layout) }

    /// The insertIds of a table's rows in order of arrival; rows without one are left out.
    package func insertIDs(of table: String) throws -> [String] {
        try engine.store.insertIDs(try record(of: table).key, after: .min).map(\.id)
    }

    /// The Table resource, as tables.get gives it.
    package func resource(of table: String) throws -> JSONValue {
        let record = try record(of: table)
        let statistics = record.isView ? nil : try engine.statistics(of: record)
        return record.resource(endpoint: engine.address, statistics: statistics)
    }

    /// Removes a table's rows, behind the API's back.
    package func removeRows(of table: String) throws { try engine.store.removeRows(try record(of: table).layout) }

    private func record(of table: String) throws -> TableRecord {
        let found = engine.state.withLock { state in
            state.tables.values.filter { $0.key.description == table || $0.key.description.hasSuffix("." + table) }
        }
        guard found.count == 1 else { throw SandboxError.unknownTable(table) }
        return found[0]
    }

    // MARK: Requests

    /// The last requests, oldest first; calls under `/sandbox` are not among them.
    package var requests: [LoggedRequest] { engine.state.withLock { $0.log.entries } }

    /// Requests that are being answered at this moment, stalled ones among them.
    package var requestsInFlight: Int { engine.state.withLock { $0.inFlight } }

    /// The most requests that were answered at once since the last `clearRequests`.
    package var peakRequestsInFlight: Int { engine.state.withLock { $0.peakInFlight } }

    package func clearRequests() {
        engine.state.withLock { state in
            state.log.removeAll()
            state.peakInFlight = state.inFlight
        }
    }

    package func recordBodies(_ isOn: Bool) { engine.state.withLock { $0.recordsBodies = isOn } }

    // MARK: Faults and time

    /// The specs of the faults that are set.
    package var faults: [String] { engine.state.withLock { $0.faults.specs } }

    package func setFaults(_ faults: [Fault]) {
        engine.state.withLock { state in
            state.faults.removeAll()
            state.faults.add(faults)
        }
    }

    /// - Throws: `SandboxError.faultSpec`; then the faults are as before.
    package func setFaults(_ specs: String...) throws { setFaults(try specs.map { try Fault(parsing: $0) }) }

    package func clearFaults() { setFaults([]) }

    /// Moves the sandbox's clock on.
    package func advanceClock(by duration: Duration) { engine.clock.advance(by: duration) }

    // MARK: Tokens

    /// Accepts a service account's signed requests for tokens from now on.
    ///
    /// - Throws: `SandboxError.keyFile`.
    package func register(serviceAccountKey text: String) throws {
        try engine.state.withLock { try $0.tokens.register(keyFile: text) }
    }

    /// Makes every token that was granted invalid.
    package func revokeTokens() { engine.state.withLock { $0.tokens.revokeAll() } }
}
