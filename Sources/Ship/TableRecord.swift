internal import JSONBytes
package import Spool

/// What the shipper remembers of a table between runs: which table it was, and since when its metadata may be settling.
struct TableRecord: Sendable, Equatable {
    /// Of the table that rows went to.
    var creationTime: String?
    /// What decides whether rows fit, as last expected.
    var schema: String?
    /// When the last look began that found what was expected.
    var agreedAt: Timestamp?
    /// When the table appeared or changed: it may be settling from here on.
    var changedAt: Timestamp?
    /// A change of ours is about to be sent, or was sent and not answered.
    var hasIntent = false
    /// The latest view as we last wrote it.
    var viewQuery: String?
    /// The run whose snapshot it shows.
    var shownRun: String?
    /// Why the last shipper stopped, until rows are delivered again. For people: nothing is decided by it.
    var lastError: String?

    init() {}

    /// Nil for a text that is no record.
    init?(_ text: String) {
        guard let json = try? JSONValue(parsing: text), json.objectValue != nil else { return nil }
        func time(_ name: String) -> Timestamp? { json[name]?.intValue.map(Timestamp.init(microseconds:)) }
        creationTime = json["creation_time"]?.stringValue
        schema = json["schema"]?.stringValue
        agreedAt = time("agreed_at")
        changedAt = time("changed_at")
        hasIntent = json["intent"]?.boolValue ?? false
        viewQuery = json["view"]?.stringValue
        shownRun = json["shown_run"]?.stringValue
        lastError = json["error"]?.stringValue
    }

    var text: String {
        var members: [JSONMember] = []
        func add(_ name: String, _ value: JSONValue?) {
            if let value { members.append(JSONMember(name, value)) }
        }
        add("creation_time", creationTime.map(JSONValue.string))
        add("schema", schema.map(JSONValue.string))
        add("agreed_at", (agreedAt?.microseconds).map { .number(String($0)) })
        add("changed_at", (changedAt?.microseconds).map { .number(String($0)) })
        if hasIntent { add("intent", true) }
        add("view", viewQuery.map(JSONValue.string))
        add("shown_run", shownRun.map(JSONValue.string))
        add("error", lastError.map(JSONValue.string))
        return JSONValue.object(members).text
    }
}

extension SpoolStore {
    /// Why the last shipper stopped at this table, if nothing was delivered to it since.
    package func lastError(ofTable table: String, endpoint: String) async throws -> String? {
        try await tableRecord(table, endpoint: normalizedEndpoint(endpoint)).flatMap(TableRecord.init)?.lastError
    }
}
