internal import JSONBytes

/// A dataset: what was given, and what the service adds.
struct DatasetRecord: Sendable {
    var key: DatasetKey
    var members: [JSONMember]
    var location: String
    var etag: String
    /// Microseconds since 1970.
    var created: Int64
    var modified: Int64

    static let settable: Set<String> = [
        "friendlyName", "description", "labels", "defaultTableExpirationMs", "defaultPartitionExpirationMs", "access",
        "defaultCollation", "defaultRoundingMode", "isCaseInsensitive", "maxTimeTravelHours", "storageBillingModel",
        "defaultEncryptionConfiguration", "resourceTags",
    ]
    static let outputOnly: Set<String> = [
        "kind", "etag", "id", "selfLink", "datasetReference", "location", "creationTime", "lastModifiedTime", "type",
        "satisfiesPzs", "satisfiesPzi", "tags", "linkedDatasetSource", "externalDatasetReference", "restrictions",
        "linkedDatasetMetadata", "externalCatalogDatasetOptions",
    ]

    func resource(endpoint: String) -> JSONValue {
        var result: [JSONMember] = [
            JSONMember("kind", "bigquery#dataset"), JSONMember("etag", .string(etag)),
            JSONMember("id", .string(key.legacyName)),
            JSONMember("selfLink", .string("\(endpoint)/bigquery/v2/projects/\(key.project)/datasets/\(key.dataset)")),
            JSONMember("datasetReference", key.reference),
        ]
        result += members
        result += [
            JSONMember("creationTime", .string(String(created / 1000))),
            JSONMember("lastModifiedTime", .string(String(modified / 1000))),
            JSONMember("location", .string(location)), JSONMember("type", "DEFAULT"),
        ]
        return .object(result)
    }
}

extension DatasetKey {
    var reference: JSONValue { ["projectId": .string(project), "datasetId": .string(dataset)] }
}

extension TableKey {
    var reference: JSONValue {
        ["projectId": .string(project), "datasetId": .string(dataset), "tableId": .string(table)]
    }
}
