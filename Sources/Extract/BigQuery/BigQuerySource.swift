package import Spool
package import Transport

/// Tables, views and queries of BigQuery, read by query jobs.
package struct BigQuerySource: CheckableSource {
    package static let kind = "bigquery"

    package struct Configuration: Sendable {
        /// Where jobs run and are billed; tables of other projects can be named.
        package var project: String
        package var location: String?
        package var maximumBytesBilled: Int64?
        /// `http://host:port` or nil for Google's.
        package var endpoint: String?

        package init(
            project: String, location: String? = nil, maximumBytesBilled: Int64? = nil, endpoint: String? = nil
        ) {
            self.project = project
            self.location = location
            self.maximumBytesBilled = maximumBytesBilled
            self.endpoint = endpoint
        }
    }

    /// Query jobs need it; that nothing is written must come from the roles (dataViewer and jobUser).
    package static let scopes = ["https://www.googleapis.com/auth/bigquery"]

    private let client: BigQueryClient
    private let project: String
    package let location: String

    package init(_ configuration: Configuration, http: AuthorizedClient) {
        let base = configuration.endpoint ?? "https://bigquery.googleapis.com"
        project = configuration.project
        client = BigQueryClient(
            http: http, base: (base.hasSuffix("/") ? String(base.dropLast()) : base) + "/bigquery/v2/projects/",
            project: configuration.project, location: configuration.location,
            maximumBytesBilled: configuration.maximumBytesBilled)
        location = "bigquery \(configuration.project)"
    }

    package func validate(_ stream: ExtractRequest) throws {
        _ = try BigQueryPlan(stream, project: project)
        switch stream.mode {
        case .full: break
        case .incremental:
            guard stream.watermark != nil else {
                throw ExtractError(
                    .configuration, "stream \(stream.name) is incremental and names no watermark",
                    hint: "set watermark: to a column, or use mode: full or changes")
            }
        case .changes:
            guard !stream.key.isEmpty else {
                throw ExtractError(
                    .configuration, "stream \(stream.name) is in the mode changes and names no key",
                    hint: "set key: to the columns that tell its rows apart")
            }
        }
    }

    package func read(_ run: RunContext) async throws -> Bool {
        try await BigQueryRead(run: run, client: client, plan: BigQueryPlan(run.stream, project: project)).read()
    }

    // MARK: Check

    /// Bytes that reading every row once would process, by a dry run: free of charge.
    package func bytes(_ stream: ExtractRequest) async throws -> Int64 {
        let plan = try BigQueryPlan(stream, project: project)
        let schema = try await client.dryRun(plan.probe, subject: plan.subject).fields
        let query = try plan.rows(schema, .other, lower: nil, upper: nil, isBounded: false, isOrdered: false)
        return try await client.dryRun(query, subject: plan.subject).bytesProcessed
    }

    /// What `etlctl check` can tell of a stream without reading it.
    package func check(_ stream: ExtractRequest) async throws -> String {
        "reachable and readable; reading every row once processes \(try await bytes(stream)) bytes"
    }

    /// A watermark of the operator's choice: kept as it is, since the column's type is known to BigQuery alone. It is checked when the next
    /// run begins.
    package static func watermark(_ text: String) -> Watermark? {
        text.isEmpty ? nil : Watermark(value: text, key: nil, sortKey: Array(text.utf8))
    }
}
