internal import JSONBytes
internal import Transport

/// A query with what makes it run: its parameters and limits.
struct BigQueryQuery: Sendable {
    struct Parameter: Sendable {
        var name: String
        var type: String
        var value: String
    }

    var text: String
    var parameters: [Parameter] = []
}

/// BigQuery's REST calls that reading needs. Never loops over errors: the run around it decides what is tried again.
struct BigQueryClient: Sendable {
    let http: AuthorizedClient
    /// Ends in `/bigquery/v2/projects/`.
    let base: String
    /// Where jobs run and are billed.
    let project: String
    let location: String?
    let maximumBytesBilled: Int64?

    /// How long a call waits for its job; the server answers at the latest after 200 s (jobs.query reference page).
    private static let waitMilliseconds: Int64 = 20_000
    /// A page has at most 20 MB or one row, which may have 100 MB (quotas page).
    private static let maximumPageBytes = 128 << 20

    /// What a query would return and read, without running it and free of charge.
    func dryRun(_ query: BigQueryQuery, subject: String) async throws -> BigQueryPage {
        var members = members(of: query, maximumRows: nil)
        members.append(JSONMember("dryRun", true))
        // A dry run has no limit to break: its bytes are what is asked for.
        members.removeAll { $0.name == "maximumBytesBilled" }
        return try await post(members, subject: subject)
    }

    /// Starts a job. Its first rows come with the answer if it ends soon.
    ///
    /// - Parameter requestID: the same id within 15 minutes means the same job, so that a lost answer costs nothing.
    func start(
        _ query: BigQueryQuery, maximumRows: Int, requestID: String, subject: String
    ) async throws -> BigQueryPage {
        var members = members(of: query, maximumRows: maximumRows)
        members.append(JSONMember("requestId", .string(requestID)))
        return try await post(members, subject: subject)
    }

    /// A page of a job's rows, from a token or a row's place; the job may not be complete yet.
    func results(
        of job: BigQueryJob, maximumRows: Int, pageToken: String?, startIndex: Int, subject: String
    ) async throws -> BigQueryPage {
        let query = PercentEncoding.query([
            "location": job.location, "maxResults": String(maximumRows), "pageToken": pageToken,
            "startIndex": pageToken == nil && startIndex > 0 ? String(startIndex) : nil,
            "timeoutMs": String(Self.waitMilliseconds), "formatOptions.useInt64Timestamp": "true",
            "prettyPrint": "false",
        ])
        let project = PercentEncoding.encode(job.project.isEmpty ? self.project : job.project)
        let request = HTTPRequest(
            .get, "\(base)\(project)/queries/\(PercentEncoding.encode(job.id))?\(query)", timeouts: Self.timeouts)
        return try await send(request, subject: subject, isJob: true)
    }

    /// All rows of a small result, as texts.
    func values(_ query: BigQueryQuery, requestID: String, subject: String) async throws -> [String?] {
        var page = try await start(query, maximumRows: 1, requestID: requestID, subject: subject)
        while !page.isComplete, let job = page.job {
            page = try await results(of: job, maximumRows: 1, pageToken: nil, startIndex: 0, subject: subject)
        }
        let answer = try? JSONValue(parsing: page.body)
        let cells = answer?["rows"]?.arrayValue?.first?["f"]?.arrayValue ?? []
        return cells.map { $0["v"]?.stringValue }
    }

    // MARK: Sending

    /// Longer than the server waits for the job.
    private static let timeouts = HTTPTimeouts(connect: .seconds(10), silence: .seconds(240), total: nil)

    private func members(of query: BigQueryQuery, maximumRows: Int?) -> [JSONMember] {
        var members = [
            JSONMember("query", .string(query.text)),
            // True is the default.
            JSONMember("useLegacySql", false),
            JSONMember("timeoutMs", .number(String(Self.waitMilliseconds))),
            // As numbers of seconds, timestamps lose their microseconds.
            JSONMember("formatOptions", ["useInt64Timestamp": true]),
        ]
        if let maximumRows { members.append(JSONMember("maxResults", .number(String(maximumRows)))) }
        if let location { members.append(JSONMember("location", .string(location))) }
        if let maximumBytesBilled {
            members.append(JSONMember("maximumBytesBilled", .string(String(maximumBytesBilled))))
        }
        guard !query.parameters.isEmpty else { return members }
        members.append(JSONMember("parameterMode", "NAMED"))
        members.append(
            JSONMember(
                "queryParameters",
                .array(
                    query.parameters.map {
                        [
                            "name": .string($0.name), "parameterType": ["type": .string($0.type)],
                            "parameterValue": ["value": .string($0.value)],
                        ]
                    })))
        return members
    }

    private func post(_ members: [JSONMember], subject: String) async throws -> BigQueryPage {
        let request = HTTPRequest(
            .post, "\(base)\(PercentEncoding.encode(project))/queries?prettyPrint=false",
            headers: [HTTPHeader("Content-Type", "application/json")],
            body: HTTPBody(JSONValue.object(members).bytes), timeouts: Self.timeouts)
        return try await send(request, subject: subject, isJob: false)
    }

    private func send(_ request: HTTPRequest, subject: String, isJob: Bool) async throws -> BigQueryPage {
        let response: HTTPResponse
        do {
            response = try await http.send(request, maximumResponseBytes: Self.maximumPageBytes)
        } catch {
            throw ExtractError.translating(error, reading: subject)
        }
        guard response.isSuccess else {
            throw BigQueryFailure.refusal(
                status: response.status, body: response.body, retryAfter: response.retryAfter, reading: subject,
                isJob: isJob)
        }
        do {
            return try BigQueryPage(response.body)
        } catch {
            throw ExtractError(.unavailable, "reading \(subject) gave a broken answer: \(error)")
        }
    }
}
