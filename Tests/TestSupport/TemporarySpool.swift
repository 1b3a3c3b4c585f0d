import Foundation
package import Spool
import Synchronization

/// Makes a folder for one test and removes it afterwards, whatever the test did.
package func withTemporaryFolder<Value>(_ body: (_ folder: String) async throws -> Value) async throws -> Value {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("etlctl-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(folder)
}

/// A real spool in a folder of its own.
package func withTemporarySpool<Value>(_ body: (SpoolStore) async throws -> Value) async throws -> Value {
    try await withTemporaryFolder { folder in
        let spool = try SpoolStore(path: folder + "/spool.sqlite")
        do {
            let value = try await body(spool)
            try spool.close()
            return value
        } catch {
            try? spool.close()
            throw error
        }
    }
}

extension StreamDefinition {
    /// A stream of memos into a table of its own.
    package static func memos(
        _ name: String = "memos", mode: String = "incremental", table: String? = nil, endpoint: String = "loopback"
    ) -> StreamDefinition {
        StreamDefinition(
            name: name, source: "app", mode: mode, endpoint: endpoint, table: table ?? "project.raw.\(name)",
            identity: "firestore app memos \(mode)")
    }
}

/// One row as tests describe it; everything else follows from its number.
package struct TestRow: Sendable {
    package var number: Int
    package var insertID: String
    package var payload: String
    package var sortKey: [UInt8]?
    package var knownKey: [UInt8]?
    package var knownVersion: [UInt8]?
    package var attributes: RowBatch.Attributes

    package init(_ number: Int, stream: String = "memos", bytes: Int = 0) {
        self.number = number
        // 22 characters, as long as the real ones and different for every stream and number.
        let digits = String(number)
        let name = String(stream.prefix(10))
        insertID = name + String(repeating: "-", count: 22 - name.count - digits.count) + digits
        payload =
            #"{"_id":"m\#(number)","_path":"memos/m\#(number)","_op":"upsert","_insert_id":"\#(insertID)","title":"Memo \#(number)"#
            + String(repeating: "x", count: bytes) + #""}"#
        attributes = RowBatch.Attributes(
            shape: 0, extractedAt: Timestamp(microseconds: 1_764_082_677_000_000 + Int64(number)))
    }

    package var id: String { "m\(number)" }
}

extension RowBatch {
    /// The definition of the one shape that `TestRow`s have.
    package static let testShape = "_id\tSTRING\t_id\ntitle\tSTRING\t"

    package convenience init(_ rows: [TestRow]) {
        self.init()
        for row in rows { append(row) }
    }

    package func append(_ row: TestRow, shape: String = RowBatch.testShape) {
        var attributes = row.attributes
        attributes.shape = shapeNumber(for: shape)
        let bytes = [Array(row.payload.utf8), Array(row.id.utf8), Array(row.insertID.utf8)]
        bytes[0].withUnsafeBytes { payload in
            bytes[1].withUnsafeBytes { id in
                bytes[2].withUnsafeBytes { insertID in
                    withBytes(row.sortKey) { sortKey in
                        withBytes(row.knownKey) { key in
                            withBytes(row.knownVersion) { version in
                                append(
                                    payload: payload, id: id, insertID: insertID, sortKey: sortKey, knownKey: key,
                                    knownVersion: version, attributes)
                            }
                        }
                    }
                }
            }
        }
    }

    private func withBytes(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
        guard let bytes else { return body(nil) }
        bytes.withUnsafeBytes { body($0) }
    }
}

extension SpoolStore {
    /// Opens the stream and begins a run under a new id.
    package func beginTestRun(_ definition: StreamDefinition = .memos(), id: String = UUID().uuidString) async throws
        -> Run
    {
        _ = try await openStream(definition)
        return try await beginRun(definition, id: id, fingerprint: "1", generation: 0, position: nil)
    }

    /// Spools these rows in one complete run and returns the route they lie on.
    @discardableResult
    package func spool(
        _ numbers: Range<Int>, to definition: StreamDefinition = .memos(), bytes: Int = 0,
        run id: String = UUID().uuidString
    ) async throws -> Route {
        let run = try await beginTestRun(definition, id: id)
        let rows = numbers.map { TestRow($0, stream: definition.name, bytes: bytes) }
        try await append(PageCommit(run: run, rows: RowBatch(rows)))
        try await endRun(run, status: .complete, warnings: nil, error: nil)
        return try await route(run.route)
    }

    package func route(_ number: Int64) async throws -> Route {
        guard let route = try await routes().first(where: { $0.number == number }) else {
            throw SpoolError.broken("route \(number) is not on record")
        }
        return route
    }

    /// Begins requests of at most `size` rows for everything that was never claimed.
    package func beginAll(of route: Route, size: Int = 500) async throws -> [RequestID] {
        let ids = try await rowIDs(.fresh(route: route.number, after: nil))
        let requests = stride(from: 0, to: ids.count, by: size).map { start in
            let part = ids[start..<min(start + size, ids.count)]
            return NewRequest(
                route: route.number, rows: .range(first: part[start], last: part[part.endIndex - 1], count: part.count),
                bytes: 100 * part.count)
        }
        return try await begin(requests)
    }

    /// The ids that a selection reads, in its order.
    package func rowIDs(_ selection: RowSelection) async throws -> [RowID] {
        let ids = Gathered<RowID>()
        try await readRows(selection, limit: .max) { row in
            ids.add(row.id)
            return true
        }
        return ids.items
    }

    /// The rows that a filter finds.
    package func records(_ filter: RowFilter = RowFilter()) async throws -> [RowRecord] {
        let records = Gathered<RowRecord>()
        try await forEachRow(filter) { record in
            records.add(record)
            return true
        }
        return records.items
    }
}

/// Gathers items inside closures that run elsewhere, also several at once.
package final class Gathered<Item: Sendable>: Sendable {
    private let gathered = Mutex([Item]())

    package var items: [Item] { gathered.withLock { $0 } }

    package init() {}

    package func add(_ item: Item) { gathered.withLock { $0.append(item) } }
}
