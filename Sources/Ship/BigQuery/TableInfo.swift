package import JSONBytes
package import Spool

/// What BigQuery says about a table or view.
package struct TableInfo: Sendable {
    package var etag: String
    /// Milliseconds since 1970, as text; another value under the same name means another table.
    package var creationTime: String
    /// `TABLE`, `VIEW`, `EXTERNAL`, ...
    package var type: String
    package var columns: [ColumnSchema]
    /// The schema's fields as BigQuery gave them, so that a patch keeps what we do not know.
    package var rawFields: [JSONValue]
    package var location: String?
    package var viewQuery: String?
    package var description: String?
    package var labels: [JSONMember]
    /// When it was so, by BigQuery's clock; nil: the answer did not say.
    package var answeredAt: Timestamp?

    init?(_ json: JSONValue) {
        guard json["tableReference"]?.objectValue != nil || json["id"]?.stringValue != nil else { return nil }
        etag = json["etag"]?.stringValue ?? ""
        creationTime =
            switch json["creationTime"] {
            case .string(let text), .number(let text): text
            default: ""
            }
        type = json["type"]?.stringValue ?? "TABLE"
        rawFields = json["schema"]?["fields"]?.arrayValue ?? []
        columns = rawFields.compactMap(ColumnSchema.init)
        location = json["location"]?.stringValue
        viewQuery = json["view"]?["query"]?.stringValue
        description = json["description"]?.stringValue
        labels = json["labels"]?.objectValue ?? []
    }

    /// Changes whenever a row might fit otherwise than before.
    package var schemaSignature: String { columns.map(\.signature).joined(separator: "\n") }
}

package struct DatasetInfo: Sendable {
    package var location: String?
    package var creationTime: String?

    init?(_ json: JSONValue) {
        guard json["datasetReference"]?.objectValue != nil || json["id"]?.stringValue != nil else { return nil }
        location = json["location"]?.stringValue
        creationTime = json["creationTime"]?.stringValue
    }
}
