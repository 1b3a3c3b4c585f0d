internal import JSONBytes
internal import Transport

/// A named parameter of a query.
struct QueryParameter: Sendable {
    var name: String
    var type: JSONValue
    var value: JSONValue

    static func timestamp(_ name: String, _ text: String) -> QueryParameter {
        QueryParameter(name: name, type: scalar("TIMESTAMP"), value: .object([JSONMember("value", .string(text))]))
    }

    static func string(_ name: String, _ text: String) -> QueryParameter {
        QueryParameter(name: name, type: scalar("STRING"), value: .object([JSONMember("value", .string(text))]))
    }

    static func strings(_ name: String, _ texts: [String]) -> QueryParameter {
        let items = texts.map { JSONValue.object([JSONMember("value", .string($0))]) }
        return QueryParameter(
            name: name,
            type: .object([JSONMember("type", "ARRAY"), JSONMember("arrayType", scalar("STRING"))]),
            value: .object([JSONMember("arrayValues", .array(items))]))
    }

    private static func scalar(_ name: String) -> JSONValue { .object([JSONMember("type", .string(name))]) }

    var json: JSONValue {
        .object([
            JSONMember("name", .string(name)), JSONMember("parameterType", type), JSONMember("parameterValue", value),
        ])
    }
}

/// One page of a query's result: the cells' texts, nil for NULL.
struct QueryPage: Sendable {
    var rows: [[String?]]
    var next: String?
}

extension BigQueryClient {
    /// Rows of one page: BigQuery cuts pages at about 10 MB anyway.
    private static let rowsPerPage = 50_000
    /// How long one call waits for the job (the server's own limit is about 200 s).
    private static let waitMilliseconds = 10_000
    private static let timeouts = HTTPTimeouts(silence: .seconds(90))

    /// Runs a query and hands its rows on, page by page.
    ///
    /// - Throws: `denied` without permission to run queries in the project or to read the table.
    func query(
        _ sql: String, parameters: [QueryParameter], project: String, location: String?, doing what: String,
        _ body: (QueryPage) throws(BigQueryError) -> Void
    ) async throws(BigQueryError) {
        let base = "projects/\(encodedPathSegment(project))/queries"
        var reply = try await call(
            .post, base, body: Self.request(sql, parameters, location: location, isDryRun: false),
            timeouts: Self.timeouts, maximumResponseBytes: 64 << 20, doing: what)
        let job = reply["jobReference"]
        let place = job?["location"]?.stringValue ?? location
        let id = job?["jobId"]?.stringValue
        var token: String?
        while true {
            if reply["jobComplete"]?.boolValue != false {
                let page = try Self.page(reply, doing: what)
                try body(page)
                guard let next = page.next else { return }
                guard next != token else { throw Self.nonsense(what) }
                token = next
            }
            guard let id else { throw Self.nonsense(what) }
            var path =
                "\(base)/\(encodedPathSegment(id))?maxResults=\(Self.rowsPerPage)"
                + "&timeoutMs=\(Self.waitMilliseconds)&formatOptions.useInt64Timestamp=true"
            if let place { path += "&location=\(encodedPathSegment(place))" }
            if let token { path += "&pageToken=\(encodedPathSegment(token))" }
            reply = try await call(
                .get, path, timeouts: Self.timeouts, maximumResponseBytes: 64 << 20, doing: what)
        }
    }

    /// Asks what a query would cost, which needs the same permissions and reads nothing.
    func dryRun(
        _ sql: String, parameters: [QueryParameter], project: String, location: String?, doing what: String
    ) async throws(BigQueryError) {
        _ = try await call(
            .post, "projects/\(encodedPathSegment(project))/queries",
            body: Self.request(sql, parameters, location: location, isDryRun: true), doing: what)
    }

    private static func request(
        _ sql: String, _ parameters: [QueryParameter], location: String?, isDryRun: Bool
    ) -> JSONValue {
        var members: [JSONMember] = [
            JSONMember("query", .string(sql)),
            // Legacy SQL is the default of jobs.query.
            JSONMember("useLegacySql", false),
            JSONMember("maxResults", .number(String(rowsPerPage))),
            JSONMember("timeoutMs", .number(String(waitMilliseconds))),
            JSONMember("formatOptions", .object([JSONMember("useInt64Timestamp", true)])),
        ]
        if let location { members.append(JSONMember("location", .string(location))) }
        if isDryRun { members.append(JSONMember("dryRun", true)) }
        if !parameters.isEmpty {
            members.append(JSONMember("parameterMode", "NAMED"))
            members.append(JSONMember("queryParameters", .array(parameters.map(\.json))))
        }
        return .object(members)
    }

    private static func page(_ reply: JSONValue, doing what: String) throws(BigQueryError) -> QueryPage {
        var rows: [[String?]] = []
        for row in reply["rows"]?.arrayValue ?? [] {
            guard let cells = row["f"]?.arrayValue else { throw nonsense(what) }
            rows.append(
                cells.map { cell in
                    switch cell["v"] {
                    case .string(let text), .number(let text): text
                    case .bool(let flag): flag ? "true" : "false"
                    default: nil
                    }
                })
        }
        let token = reply["pageToken"]?.stringValue
        return QueryPage(rows: rows, next: token.flatMap { $0.isEmpty ? nil : $0 })
    }
}
