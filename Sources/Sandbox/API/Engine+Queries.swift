internal import HTTPServer
internal import JSONBytes
internal import Synchronization

extension Engine {
    func queries(_ call: APICall) throws(APIError) -> HTTPResponse {
        switch call.route.operation {
        case .query: return try runQuery(call)
        case .getQueryResults: return try queryResults(call)
        case .jobsInsert: return try insertJob(call)
        default:
            let job = try job(call)
            return HTTPResponse(json: resource(of: job))
        }
    }

    /// The columns of a view, from its query.
    ///
    /// - Throws: what the query would meet: 400 for its text, 404 for a table that is not there.
    func viewFields(_ record: TableRecord) throws(APIError) -> [FieldSchema] {
        guard let view = record["view"], let query = view["query"]?.stringValue else {
            throw .invalid("Required parameter is missing: view.query")
        }
        guard view["useLegacySql"] == false else {
            throw .invalidQuery("Legacy SQL views are not supported by the sandbox; set view.useLegacySql to false.")
        }
        let compiler = compiler(project: record.key.project, parameters: [:], location: record.location)
        let compiled = try compiler.compile(query)
        var names: Set<String> = []
        for column in compiled.columns {
            guard !column.name.isEmpty else {
                throw .invalidQuery("CREATE VIEW columns must be named, but column \(names.count + 1) has no name")
            }
            guard names.insert(column.name.lowercased()).inserted else {
                throw .invalidQuery("CREATE VIEW has columns with duplicate name \(column.name)")
            }
        }
        return compiled.fields
    }

    private func compiler(
        project: String, parameters: [String: SQLParameter], location: String?, dataset: DatasetKey? = nil
    ) -> SQLCompiler {
        let (tables, datasets) = state.withLock { ($0.tables, $0.datasets) }
        let catalog = SQLCompiler.Catalog(
            table: { tables[$0] }, location: { datasets[$0]?.location }, project: project, defaultDataset: dataset,
            wantedLocation: location?.uppercased())
        return SQLCompiler(catalog: catalog, parameters: parameters, now: clock.now)
    }

    /// Runs a query for a test in the same process.
    func run(_ sql: String, project: String) throws(APIError) -> ([FieldSchema], [[SQLValue]]) {
        let compiler = compiler(project: project, parameters: [:], location: nil)
        let compiled = try compiler.compile(sql)
        return (compiled.fields, try store.run(compiled, compiler.arguments))
    }

    // MARK: jobs.query

    private func runQuery(_ call: APICall) throws(APIError) -> HTTPResponse {
        let request = try QueryRequest(try call.json(), project: call.route.project)
        if let id = request.requestID, let known = state.withLock({ $0.jobs.job(requestID: id, now: clock.now) }) {
            return HTTPResponse(json: page(of: known, from: 0, limit: request.maxResults, request.format, .query))
        }
        let job = try execute(request, call)
        if request.isDryRun {
            return HTTPResponse(json: [
                "kind": "bigquery#queryResponse", "schema": job.fields.json,
                "jobReference": ["projectId": .string(job.project), "location": .string(job.location)],
                "totalBytesProcessed": .string(String(job.bytesProcessed)), "jobComplete": true, "cacheHit": false,
            ])
        }
        state.withLock { $0.jobs.add(job, requestID: request.requestID) }
        if job.isPending {
            return HTTPResponse(json: [
                "kind": "bigquery#queryResponse", "jobReference": job.reference, "jobComplete": false,
            ])
        }
        return HTTPResponse(json: page(of: job, from: 0, limit: request.maxResults, request.format, .query))
    }

    private func execute(_ request: QueryRequest, _ call: APICall, id: String? = nil) throws(APIError) -> QueryJob {
        let compiler = compiler(
            project: call.route.project, parameters: request.parameters, location: request.location,
            dataset: request.defaultDataset)
        let compiled = try compiler.compile(request.query)
        let bytes = try bytesRead(compiler.tables)
        if let limit = request.maximumBytesBilled, !request.isDryRun, limit < billed(bytes) {
            throw APIError(
                400, "bytesBilledLimitExceeded",
                "Query exceeded limit for bytes billed: \(limit). \(billed(bytes)) or higher required.")
        }
        var job = QueryJob(
            project: call.route.project, id: id ?? "job_" + Self.opaqueID().filter { $0.isLetter || $0.isNumber },
            location: compiler.location ?? configuration.defaultLocation, query: request.query,
            fields: compiled.fields, rows: [], bytesProcessed: bytes, created: clock.now)
        job.isPending = call.decision.leavesJobPending
        if !request.isDryRun { job.rows = try store.run(compiled, compiler.arguments) }
        return job
    }

    private func bytesRead(_ tables: [TableRecord]) throws(APIError) -> Int {
        var result = 0
        for table in tables { result += try statistics(of: table).totalBytes }
        return result
    }

    /// At least 10 MB for a query that reads anything, in whole MB (pricing page).
    private func billed(_ bytes: Int) -> Int {
        bytes == 0 ? 0 : max(10 << 20, (bytes + (1 << 20) - 1) / (1 << 20) * (1 << 20))
    }

    // MARK: Results

    private func job(_ call: APICall) throws(APIError) -> QueryJob {
        let id = call.route.job ?? ""
        guard let job = state.withLock({ $0.jobs[id] }), job.project == call.route.project else {
            throw APIError(404, "notFound", "Not found: Job \(call.route.project):\(id)")
        }
        let location = call.request.query["location"]?.uppercased()
        // "You must specify the location ... for: a location that is not in the us or the eu multi-regional location" (jobs reference pages).
        guard location == job.location || (location == nil && ["US", "EU"].contains(job.location)) else {
            throw APIError(
                404, "notFound", "Not found: Job \(call.route.project):\(location.map { "\($0)." } ?? "")\(id)")
        }
        return job
    }

    private func queryResults(_ call: APICall) throws(APIError) -> HTTPResponse {
        let job = try job(call)
        let token = try call.positiveNumber("pageToken")
        let index = try call.positiveNumber("startIndex")
        let limit = try call.positiveNumber("maxResults")
        let format = call.request.query.cellFormat(prefix: "formatOptions.")
        return HTTPResponse(json: page(of: job, from: token ?? index ?? 0, limit: limit, format, .getQueryResults))
    }

    /// A page ends at `limit` rows or near 10 MB (paging-results page).
    private func page(
        of job: QueryJob, from start: Int, limit: Int?, _ format: CellFormat, _ operation: Operation
    ) -> JSONValue {
        var rows: [JSONValue] = []
        var bytes = 0
        for row in job.rows.dropFirst(start) {
            guard rows.count < limit ?? .max, bytes < 10 << 20 else { break }
            let cells = zip(row, job.fields).map { value, field -> JSONValue in
                bytes += value.approximateBytes
                return ["v": ColumnCodec.wire(value, field, format)]
            }
            rows.append(["f": .array(cells)])
        }
        let kind = operation == .query ? "bigquery#queryResponse" : "bigquery#getQueryResultsResponse"
        var members: [JSONMember] = [
            JSONMember("kind", .string(kind)), JSONMember("schema", job.fields.json),
            JSONMember("jobReference", job.reference), JSONMember("totalRows", .string(String(job.rows.count))),
        ]
        let next = start + rows.count
        if next < job.rows.count { members.append(JSONMember("pageToken", .string(String(next)))) }
        if !rows.isEmpty { members.append(JSONMember("rows", .array(rows))) }
        members += [
            JSONMember("totalBytesProcessed", .string(String(job.bytesProcessed))), JSONMember("jobComplete", true),
            JSONMember("cacheHit", false),
        ]
        return .object(members)
    }

    // MARK: jobs.insert and jobs.get

    private func insertJob(_ call: APICall) throws(APIError) -> HTTPResponse {
        let body = try call.json()
        let reference = body["jobReference"]
        let request = try QueryRequest(
            job: body["configuration"] ?? [:], location: reference?["location"]?.stringValue,
            project: call.route.project)
        let id = reference?["jobId"]?.stringValue
        if let id, state.withLock({ $0.jobs[id] }) != nil { throw .duplicate("Job", "\(call.route.project):\(id)") }
        let job = try execute(request, call, id: id)
        if !request.isDryRun { state.withLock { $0.jobs.add(job, requestID: nil) } }
        return HTTPResponse(json: resource(of: job))
    }

    private func resource(of job: QueryJob) -> JSONValue {
        let time = JSONValue.string(String(job.created / 1000))
        let bytes = JSONValue.string(String(job.bytesProcessed))
        return [
            "kind": "bigquery#job", "etag": .string(job.id), "id": .string("\(job.project):\(job.location).\(job.id)"),
            "selfLink": .string(
                "\(address)/bigquery/v2/projects/\(job.project)/jobs/\(job.id)?location=\(job.location)"),
            "jobReference": job.reference, "status": ["state": "DONE"],
            "configuration": ["jobType": "QUERY", "query": ["query": .string(job.query), "useLegacySql": false]],
            "statistics": [
                "creationTime": time, "startTime": time, "endTime": time, "totalBytesProcessed": bytes,
                "query": ["totalBytesProcessed": bytes, "statementType": "SELECT", "cacheHit": false],
            ],
        ]
    }
}

extension SQLValue {
    var approximateBytes: Int {
        switch self {
        case .text(let text): text.utf8.count
        case .blob(let bytes): bytes.count
        default: 8
        }
    }
}
