internal import JSONBytes

/// A table or view: its definition, its schema's history, and what the service adds.
struct TableRecord: Sendable {
    /// A schema and since when it is the table's, in microseconds since 1970.
    struct Version: Sendable {
        var since: Int64
        var fields: [FieldSchema]
        var plan: RowPlan
    }

    let key: TableKey
    /// Tells a table from an earlier one of the same name.
    let incarnation = UInt64.random(in: .min ... .max)
    /// The members of `settable` that were given, in the order given.
    var members: [JSONMember]
    var location: String
    var etag: String
    let created: Int64
    var modified: Int64
    /// The first is the schema at creation; the last is the present one.
    private(set) var versions: [Version] = []
    private(set) var layout: TableLayout
    /// Times of the last metadata updates, for the quota.
    var updates: [Int64] = []

    static let settable: Set<String> = [
        "friendlyName", "description", "labels", "expirationTime", "timePartitioning", "rangePartitioning",
        "clustering", "requirePartitionFilter", "view", "defaultCollation", "defaultRoundingMode", "maxStaleness",
        "resourceTags", "tableConstraints", "encryptionConfiguration",
    ]
    static let outputOnly: Set<String> = [
        "kind", "etag", "id", "selfLink", "tableReference", "schema", "numBytes", "numPhysicalBytes",
        "numLongTermBytes", "numRows", "creationTime", "lastModifiedTime", "type", "location", "streamingBuffer",
        "numTimeTravelPhysicalBytes", "numTotalLogicalBytes", "numActiveLogicalBytes", "numLongTermLogicalBytes",
        "numCurrentPhysicalBytes", "numTotalPhysicalBytes", "numActivePhysicalBytes", "numLongTermPhysicalBytes",
        "numPartitions", "managedTableType",
    ]

    init(key: TableKey, members: [JSONMember], fields: [FieldSchema], location: String, etag: String, now: Int64) {
        self.key = key
        self.members = members
        self.location = location
        self.etag = etag
        created = now
        modified = now
        layout = TableLayout(key, fields)
        setFields(fields, at: now)
    }

    subscript(_ name: String) -> JSONValue? { members.last { $0.name == name }?.value }

    var isView: Bool { self["view"] != nil }

    var viewQuery: String? { self["view"]?["query"]?.stringValue }

    var fields: [FieldSchema] { layout.fields }

    /// The column that rows are partitioned by in time.
    var partitionField: String? { self["timePartitioning"]?["field"]?.stringValue }

    var requiresPartitionFilter: Bool {
        self["requirePartitionFilter"] == true || self["timePartitioning"]?["requirePartitionFilter"] == true
    }

    mutating func setFields(_ fields: [FieldSchema], at now: Int64) {
        layout = TableLayout(key, fields)
        versions.append(
            Version(since: now, fields: fields, plan: RowPlan(fields, partitionedBy: partitionField)))
    }

    /// What insertAll sees: the newest schema that is at least `delay` old; before that, the first one.
    func plan(at now: Int64, delay: Int64) -> RowPlan {
        (versions.last { $0.since + delay <= now } ?? versions[0]).plan
    }

    /// - Parameter statistics: nil leaves them out, as `view=BASIC` does.
    func resource(endpoint: String, statistics: TableStatistics?, selectedFields: Set<String>? = nil) -> JSONValue {
        let path = "/bigquery/v2/projects/\(key.project)/datasets/\(key.dataset)/tables/\(key.table)"
        var result: [JSONMember] = [
            JSONMember("kind", "bigquery#table"), JSONMember("etag", .string(etag)),
            JSONMember("id", .string(key.legacyName)), JSONMember("selfLink", .string(endpoint + path)),
            JSONMember("tableReference", key.reference),
        ]
        let shown = selectedFields.map { names in fields.filter { names.contains($0.name) } } ?? fields
        if !fields.isEmpty { result.append(JSONMember("schema", shown.json)) }
        result += members
        if let statistics, !isView { result += statistics.members }
        result += [
            JSONMember("creationTime", .string(String(created / 1000))),
            JSONMember("lastModifiedTime", .string(String(modified / 1000))),
            JSONMember("type", isView ? "VIEW" : "TABLE"), JSONMember("location", .string(location)),
        ]
        return .object(result)
    }

    /// As in tables.list.
    var listEntry: JSONValue {
        var result: [JSONMember] = [
            JSONMember("kind", "bigquery#table"), JSONMember("id", .string(key.legacyName)),
            JSONMember("tableReference", key.reference), JSONMember("type", isView ? "VIEW" : "TABLE"),
            JSONMember("creationTime", .string(String(created / 1000))),
        ]
        result += members.filter { ["friendlyName", "labels", "timePartitioning", "clustering"].contains($0.name) }
        return .object(result)
    }
}

/// What tables.get says about a table's storage; rows in the streaming buffer are not among `rows`.
struct TableStatistics: Sendable {
    var rows: Int
    var bufferedRows: Int
    /// Arrival of the oldest row in the buffer, microseconds since 1970.
    var oldestBuffered: Int64?
    /// A guess: nobody measures rows here.
    static let averageRowBytes = 500

    var totalBytes: Int { (rows + bufferedRows) * Self.averageRowBytes }

    var members: [JSONMember] {
        var result: [JSONMember] = [
            JSONMember("numBytes", .string(String(rows * Self.averageRowBytes))), JSONMember("numLongTermBytes", "0"),
            JSONMember("numRows", .string(String(rows))),
        ]
        if bufferedRows > 0 {
            result.append(
                JSONMember(
                    "streamingBuffer",
                    [
                        "estimatedBytes": .string(String(bufferedRows * Self.averageRowBytes)),
                        "estimatedRows": .string(String(bufferedRows)),
                        "oldestEntryTime": .string(String((oldestBuffered ?? 0) / 1000)),
                    ]))
        }
        return result
    }
}
