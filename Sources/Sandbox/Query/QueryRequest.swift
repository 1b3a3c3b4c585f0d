internal import JSONBytes

/// What jobs.query and jobs.insert ask for, read and checked.
struct QueryRequest {
    var query: String
    var parameters: [String: SQLParameter]
    var defaultDataset: DatasetKey?
    var location: String?
    var isDryRun: Bool
    var maxResults: Int?
    var requestID: String?
    var maximumBytesBilled: Int64?
    var format: CellFormat

    private static let known: Set<String> = [
        "kind", "query", "maxResults", "defaultDataset", "timeoutMs", "dryRun", "preserveNulls", "useQueryCache",
        "useLegacySql", "parameterMode", "queryParameters", "location", "formatOptions", "connectionProperties",
        "labels", "maximumBytesBilled", "requestId", "createSession", "jobCreationMode", "jobTimeoutMs", "maxSlots",
        "reservation", "continuous", "destinationEncryptionConfiguration", "writeIncrementalResults",
    ]

    /// From the body of jobs.query.
    init(_ body: JSONValue, project: String) throws(APIError) {
        for member in body.objectValue ?? [] where !Self.known.contains(member.name) {
            throw .unknownName(member.name, at: "")
        }
        try self.init(common: body, project: project)
        maxResults = body["maxResults"]?.intValue.map(Int.init)
        isDryRun = body["dryRun"] == true
        location = body["location"]?.stringValue
        if let id = body["requestId"]?.stringValue, !id.isEmpty {
            guard id.utf8.count <= 36, id.utf8.allSatisfy({ $0 < 0x80 }) else {
                throw .invalid("Invalid value for requestId: at most 36 ASCII characters are allowed.")
            }
            requestID = id
        }
        let options = body["formatOptions"]
        if options?["timestampOutputFormat"]?.stringValue == "ISO8601_STRING" {
            format = .iso8601
        } else if options?["useInt64Timestamp"] == true || options?["timestampOutputFormat"]?.stringValue == "INT64" {
            format = .microseconds
        }
    }

    /// From `configuration` of jobs.insert.
    init(job configuration: JSONValue, location: String?, project: String) throws(APIError) {
        guard let query = configuration["query"] else {
            throw APIError(501, "notImplemented", "The sandbox runs only query jobs.")
        }
        if query["destinationTable"] != nil || query["writeDisposition"]?.stringValue == "WRITE_APPEND" {
            throw APIError(501, "notImplemented", "The sandbox has no destination tables for queries.")
        }
        try self.init(common: query, project: project)
        isDryRun = configuration["dryRun"] == true
        self.location = location
    }

    private init(common body: JSONValue, project: String) throws(APIError) {
        guard let query = body["query"]?.stringValue, !query.isEmpty else {
            throw .invalid("Required parameter is missing: query", location: "query")
        }
        // True is the default (jobs.query reference page).
        if body["useLegacySql"] != false, !query.lowercased().hasPrefix("#standardsql") {
            throw Self.legacyError(query)
        }
        self.query = query
        if let dataset = body["defaultDataset"], let id = dataset["datasetId"]?.stringValue {
            defaultDataset = DatasetKey(project: dataset["projectId"]?.stringValue ?? project, dataset: id)
        }
        if body["parameterMode"]?.stringValue?.uppercased() == "POSITIONAL" {
            throw APIError(501, "notImplemented", "The sandbox knows only named query parameters.")
        }
        parameters = try QueryParameters.read(body["queryParameters"] ?? [])
        maximumBytesBilled = body["maximumBytesBilled"]?.intValue
        isDryRun = false
        format = .seconds
    }

    private static func legacyError(_ query: String) -> APIError {
        let standard =
            "[Try using standard SQL (https://cloud.google.com/bigquery/docs/reference/standard-sql/enabling-standard-sql)]."
        let parts = query.split(separator: "`", omittingEmptySubsequences: false)
        if parts.count >= 3 { return .invalidQuery("Invalid table name: `\(parts[1])` \(standard)") }
        return .invalidQuery("Legacy SQL is not supported by the sandbox; set useLegacySql to false. \(standard)")
    }
}

enum QueryParameters {
    static func read(_ list: JSONValue) throws(APIError) -> [String: SQLParameter] {
        var result: [String: SQLParameter] = [:]
        for item in list.arrayValue ?? [] {
            guard let name = item["name"]?.stringValue, !name.isEmpty else {
                throw .invalid("A named query parameter has no name.")
            }
            let kind = item["parameterType"]?["type"]?.stringValue ?? ""
            let parameter: SQLParameter
            if kind.uppercased() == "ARRAY" {
                parameter = try array(name, item)
            } else {
                let type = try type(kind, name)
                let text = item["parameterValue"]?["value"] ?? .null
                parameter = SQLParameter(type: SQLType(type), value: try value(text, type, name))
            }
            guard result.updateValue(parameter, forKey: name.lowercased()) == nil else {
                throw .invalid("Duplicate query parameter: \(name)")
            }
        }
        return result
    }

    private static func type(_ name: String, _ parameter: String) throws(APIError) -> FieldType {
        guard let type = FieldType(apiName: name), type != .record, type != .range else {
            throw .invalid("Invalid or unsupported type '\(name)' of query parameter '\(parameter)'")
        }
        return type
    }

    private static func value(_ value: JSONValue, _ type: FieldType, _ name: String) throws(APIError) -> SQLValue {
        if value.isNull { return .null }
        guard let text = value.stringValue, let result = SQLCoercion.value(text, as: type) else {
            throw .invalid("Invalid value for query parameter '\(name)' of type \(type.sqlName): \(value.text)")
        }
        return result
    }

    private static func array(_ name: String, _ item: JSONValue) throws(APIError) -> SQLParameter {
        let type = try type(item["parameterType"]?["arrayType"]?["type"]?.stringValue ?? "", name)
        guard type != .bytes else { throw .invalid("ARRAY<BYTES> parameters are not supported by the sandbox.") }
        let buffer = ByteBuffer()
        buffer.append(UInt8(ascii: "["))
        for (index, element) in (item["parameterValue"]?["arrayValues"]?.arrayValue ?? []).enumerated() {
            if index > 0 { buffer.append(UInt8(ascii: ",")) }
            switch try value(element["value"] ?? .null, type, name) {
            case .integer(let number): buffer.append(decimal: number)
            case .real(let number): buffer.append("\(number)")
            case .text(let text): buffer.appendJSONString(text)
            default: throw .invalid("An element of query parameter '\(name)' is NULL.")
            }
        }
        buffer.append(UInt8(ascii: "]"))
        return SQLParameter(type: SQLType(type, isArray: true), value: .text(buffer.string))
    }
}
