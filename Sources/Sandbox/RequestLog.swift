internal import JSONBytes

/// One request, as the sandbox saw it.
package struct LoggedRequest: Sendable {
    /// Counts from 1.
    package var number = 0
    /// Microseconds since 1970 of the sandbox's clock, at the end of the request's body.
    package var time: Int64 = 0
    package var method = ""
    package var path = ""
    package var query: [String: String] = [:]
    package var operation = Operation.unknown
    package var table: TableKey?
    /// Nil if the connection ended without a status.
    package var status: Int?
    /// `error.errors[0].reason` of a refusal.
    package var reason: String?
    /// Rows in the request; those that were stored; those that de-duplication dropped; those that were refused; those that were lost on purpose.
    package var rows = 0
    package var storedRows = 0
    package var duplicateRows = 0
    package var refusedRows = 0
    package var lostRows = 0
    /// Empty for older requests once the log holds a million of them; a row without an id has an empty one.
    package var insertIDs: [String] = []
    /// Bytes of the body as sent, and decoded.
    package var wireBytes = 0
    package var bodyBytes = 0
    package var contentEncoding: String?
    package var userAgent: String?
    /// Whether there was an Authorization header; never its value.
    package var isAuthorized = false
    /// The specs of the faults that struck.
    package var faults: [String] = []
    /// The decoded body, if the configuration asks for it.
    package var body: [UInt8]?

    var json: JSONValue {
        var members: [JSONMember] = [
            JSONMember("number", .number(String(number))),
            JSONMember("time", .string(CivilTime.timestampText(time))), JSONMember("method", .string(method)),
            JSONMember("path", .string(path)), JSONMember("operation", .string(operation.rawValue)),
            JSONMember("status", status.map { .number(String($0)) } ?? .null),
        ]
        if let reason { members.append(JSONMember("reason", .string(reason))) }
        if operation == .insertAll {
            for (name, count) in [
                ("rows", rows), ("stored_rows", storedRows), ("duplicate_rows", duplicateRows),
                ("refused_rows", refusedRows), ("lost_rows", lostRows),
            ] { members.append(JSONMember(name, .number(String(count)))) }
            members.append(JSONMember("insert_ids", .array(insertIDs.map { .string($0) })))
        }
        members.append(JSONMember("body_bytes", .number(String(bodyBytes))))
        members.append(JSONMember("wire_bytes", .number(String(wireBytes))))
        members.append(JSONMember("faults", .array(faults.map { .string($0) })))
        return .object(members)
    }
}

/// The last requests, oldest first.
struct RequestLog: Sendable {
    private(set) var entries: [LoggedRequest] = []
    private var count = 0
    let limit: Int
    /// Ids are kept for the last requests only, so that a long run does not fill the memory.
    static let maximumInsertIDs = 1_000_000
    private var insertIDCount = 0
    /// Entries before this one have lost their ids.
    private var firstWithIDs = 0

    init(limit: Int) { self.limit = limit }

    mutating func append(_ entry: LoggedRequest) {
        count += 1
        entries.append(entry)
        entries[entries.count - 1].number = count
        insertIDCount += entry.insertIDs.count
        while insertIDCount > Self.maximumInsertIDs, firstWithIDs < entries.count - 1 {
            insertIDCount -= entries[firstWithIDs].insertIDs.count
            entries[firstWithIDs].insertIDs = []
            firstWithIDs += 1
        }
        // Dropped in blocks, so that a full log costs nothing per request.
        if entries.count > limit + limit / 4 {
            let dropped = entries.count - limit
            insertIDCount -= entries[..<dropped].reduce(0) { $0 + $1.insertIDs.count }
            firstWithIDs = max(0, firstWithIDs - dropped)
            entries.removeFirst(dropped)
        }
    }

    mutating func removeAll() {
        entries = []
        insertIDCount = 0
        firstWithIDs = 0
    }
}
