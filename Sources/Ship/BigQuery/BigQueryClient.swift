package import JSONBytes
internal import Spool
package import Transport

/// The REST calls of BigQuery that shipping needs, one request each: it never repeats one. Facts: the v2 discovery document.
package struct BigQueryClient: Sendable {
    let client: AuthorizedClient
    /// `https://bigquery.googleapis.com`, without a slash at the end.
    let endpoint: String
    /// Returns when calls other than insertAll are to be given up; nil: never.
    var interruption: (@Sendable () async -> Void)?

    /// Metadata replies are small; a schema of 10,000 columns with descriptions stays below this.
    private static let maximumMetadataBytes = 32 << 20

    package init(client: AuthorizedClient, endpoint: String) {
        self.client = client
        self.endpoint = endpoint
    }

    // MARK: Datasets

    /// - Returns: nil if there is no such dataset.
    package func dataset(_ dataset: String, project: String) async throws(BigQueryError) -> DatasetInfo? {
        let what = "looking up dataset \(project).\(dataset)"
        let reply: JSONValue
        do throws(BigQueryError) {
            reply = try await call(
                .get, "projects/\(encodedPathSegment(project))/datasets/\(encodedPathSegment(dataset))", doing: what)
        } catch {
            if error.kind == .notFound { return nil }
            throw error
        }
        guard let info = DatasetInfo(reply) else { throw Self.nonsense(what) }
        return info
    }

    package func createDataset(
        _ dataset: String, project: String, location: String?
    ) async throws(BigQueryError) {
        var members = [
            JSONMember(
                "datasetReference",
                .object([
                    JSONMember("projectId", .string(project)), JSONMember("datasetId", .string(dataset)),
                ]))
        ]
        if let location { members.append(JSONMember("location", .string(location))) }
        _ = try await call(
            .post, "projects/\(encodedPathSegment(project))/datasets", body: .object(members),
            doing: "creating dataset \(project).\(dataset)")
    }

    // MARK: Tables

    /// - Returns: nil if there is no such table, or no such dataset.
    package func table(_ table: TableReference) async throws(BigQueryError) -> TableInfo? {
        let what = "looking up table \(table)"
        do throws(BigQueryError) {
            // BASIC leaves out the storage statistics: the view for callers that look often.
            return try TableInfo(await ask(.get, path(table) + "?view=BASIC", doing: what), doing: what)
        } catch {
            if error.kind == .notFound { return nil }
            throw error
        }
    }

    /// Creates a table or view from a table resource.
    package func create(_ table: TableReference, _ resource: [JSONMember]) async throws(BigQueryError) -> TableInfo {
        let what = "creating \(table)"
        let reference = JSONValue.object([
            JSONMember("projectId", .string(table.project)), JSONMember("datasetId", .string(table.dataset)),
            JSONMember("tableId", .string(table.table)),
        ])
        let tables =
            "projects/\(encodedPathSegment(table.project))/datasets/\(encodedPathSegment(table.dataset))/tables"
        return try TableInfo(
            await ask(.post, tables, body: .object([JSONMember("tableReference", reference)] + resource), doing: what),
            doing: what)
    }

    /// Changes what `resource` holds and nothing else, if the table is still as `etag` says (else `preconditionFailed`).
    package func patch(
        _ table: TableReference, _ resource: [JSONMember], etag: String
    ) async throws(BigQueryError) -> TableInfo {
        let what = "changing \(table)"
        let headers = etag.isEmpty ? [] : [HTTPHeader("If-Match", etag)]
        return try TableInfo(
            await ask(.patch, path(table), body: .object(resource), headers: headers, doing: what), doing: what)
    }

    // MARK: Rows

    /// One insertAll request: whatever comes back, also what is thrown, is for `Verdict` to judge.
    func insertAll(
        _ table: TableReference, body: HTTPBody, isCompressed: Bool, maximumResponseBytes: Int
    ) async -> InsertReply {
        var headers = [HTTPHeader("Content-Type", "application/json")]
        if isCompressed { headers.append(HTTPHeader("Content-Encoding", "gzip")) }
        var request = HTTPRequest(
            .post, url(path(table) + "/insertAll?prettyPrint=false"), headers: headers, body: body)
        #if DEBUG
            request.observer = { CrashPoint.reached($0 == .bodySent ? .afterSend : .beforeAnswer) }
        #endif
        do {
            CrashPoint.reached(.beforeSend)
            let response = try await client.send(request, maximumResponseBytes: maximumResponseBytes)
            CrashPoint.reached(.afterAnswer)
            return .response(response)
        } catch let error as HTTPError {
            return .failure(error)
        } catch let error as AuthError {
            return .noToken(error)
        } catch {
            return .failure(HTTPError(kind: .other(code: 0), host: endpoint, bodyBytesSent: 1, message: "\(error)"))
        }
    }

    // MARK: Calls

    func path(_ table: TableReference) -> String {
        "projects/\(encodedPathSegment(table.project))/datasets/\(encodedPathSegment(table.dataset))/tables/"
            + encodedPathSegment(table.table)
    }

    private func url(_ path: String) -> String { "\(endpoint)/bigquery/v2/\(path)" }

    func call(
        _ method: HTTPRequest.Method, _ path: String, body: JSONValue? = nil, headers: [HTTPHeader] = [],
        timeouts: HTTPTimeouts = HTTPTimeouts(), maximumResponseBytes: Int = maximumMetadataBytes, doing what: String
    ) async throws(BigQueryError) -> JSONValue {
        try await ask(
            method, path, body: body, headers: headers, timeouts: timeouts, maximumResponseBytes: maximumResponseBytes,
            doing: what
        ).value
    }

    struct Answer {
        var value: JSONValue
        /// By BigQuery's clock, whole seconds.
        var date: Timestamp?
    }

    private func ask(
        _ method: HTTPRequest.Method, _ path: String, body: JSONValue? = nil, headers: [HTTPHeader] = [],
        timeouts: HTTPTimeouts = HTTPTimeouts(), maximumResponseBytes: Int = maximumMetadataBytes, doing what: String
    ) async throws(BigQueryError) -> Answer {
        var request = HTTPRequest(method, url(path), headers: headers, timeouts: timeouts)
        if let body {
            request.setHeader("Content-Type", "application/json")
            request.body = HTTPBody(body.bytes)
        }
        let response: HTTPResponse
        do {
            response = try await send(request, maximumResponseBytes)
        } catch {
            throw BigQueryError(error, doing: what)
        }
        guard response.isSuccess else { throw BigQueryError(response, doing: what) }
        guard let value = try? JSONValue(parsing: response.body), value.objectValue != nil else {
            throw Self.nonsense(what, status: response.status)
        }
        return Answer(value: value, date: response.headers.date.map { Timestamp(microseconds: $0 * 1_000_000) })
    }

    private func send(_ request: HTTPRequest, _ maximumResponseBytes: Int) async throws -> HTTPResponse {
        guard let interruption else {
            return try await client.send(request, maximumResponseBytes: maximumResponseBytes)
        }
        return try await withThrowingTaskGroup(of: HTTPResponse?.self) { [client] group in
            group.addTask { try await client.send(request, maximumResponseBytes: maximumResponseBytes) }
            group.addTask {
                await interruption()
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let response = first else { throw CancellationError() }
            return response
        }
    }

    static func nonsense(_ what: String, status: Int? = nil) -> BigQueryError {
        BigQueryError(.transient, status: status, message: "\(what): the answer is not what BigQuery answers")
    }
}

extension TableInfo {
    fileprivate init(_ answer: BigQueryClient.Answer, doing what: String) throws(BigQueryError) {
        guard let info = TableInfo(answer.value) else { throw BigQueryClient.nonsense(what) }
        self = info
        answeredAt = answer.date
    }
}

/// What came of sending an insertAll request.
enum InsertReply: Sendable {
    case response(HTTPResponse)
    case failure(HTTPError)
    /// Nothing was sent, for want of a token.
    case noToken(AuthError)
}

extension BigQueryError {
    init(_ error: AuthError, doing what: String) {
        let kind: Class =
            switch error {
            case .noCredentials, .refused: .denied
            case .unreadableFile: .configuration
            case .unavailable: .transient
            case .cancelled: .cancelled
            }
        self.init(kind, message: "\(what): \(error)")
    }
}
