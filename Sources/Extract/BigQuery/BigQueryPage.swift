internal import JSONBytes

/// A job that ran or runs: what its results are asked for by.
struct BigQueryJob: Sendable, Equatable {
    var id: String
    /// Required outside of the multi-regions US and EU.
    var location: String?
    var project: String
}

/// One answer of jobs.query or getQueryResults. Its rows stay as they came until they are read one after another.
struct BigQueryPage: Sendable {
    let body: [UInt8]
    private(set) var isComplete = false
    private(set) var job: BigQueryJob?
    private(set) var fields: [BigQueryField] = []
    private(set) var totalRows: Int?
    private(set) var pageToken: String?
    private(set) var bytesProcessed: Int64 = 0
    /// Where the array of rows begins in `body`; nil without rows.
    private(set) var rowsStart: Int?

    /// - Throws: `JSONSyntaxError` for what is no such answer. The rows are checked as well.
    init(_ body: [UInt8]) throws(JSONSyntaxError) {
        self.body = body
        var members: [(String, JSONValue)] = []
        var rowsStart: Int?
        let failure: JSONSyntaxError? = body.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return JSONSyntaxError(.endOfInput, at: 0) }
            var reader = JSONReader(start.assumingMemoryBound(to: UInt8.self), count: bytes.count)
            do throws(JSONSyntaxError) {
                guard try reader.enterObject() else { return nil }
                repeat {
                    let name = reader.string(try reader.readKey())
                    if name == "rows" {
                        _ = try reader.peek()
                        rowsStart = reader.at
                        try reader.skipValue(depth: 1)
                    } else {
                        members.append((name, try reader.readValue(depth: 1)))
                    }
                } while try reader.hasNextMember()
                try reader.finish()
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
        self.rowsStart = rowsStart
        take(members)
    }

    private mutating func take(_ members: [(String, JSONValue)]) {
        for (name, value) in members {
            switch name {
            case "jobComplete": isComplete = value.boolValue ?? false
            case "jobReference":
                job = value["jobId"]?.stringValue.map {
                    BigQueryJob(
                        id: $0, location: value["location"]?.stringValue, project: value["projectId"]?.stringValue ?? ""
                    )
                }
            case "schema": fields = BigQueryField.list(value["fields"])
            case "totalRows": totalRows = value.intValue.map { Int($0) }
            case "pageToken": pageToken = value.stringValue.flatMap { $0.isEmpty ? nil : $0 }
            case "totalBytesProcessed": bytesProcessed = value.intValue ?? 0
            default: break
            }
        }
    }
}
