internal import JSONBytes

/// A query job that is done.
struct QueryJob: Sendable {
    var project: String
    var id: String
    var location: String
    var query: String
    var fields: [FieldSchema]
    var rows: [[SQLValue]]
    var bytesProcessed: Int
    /// Microseconds since 1970.
    var created: Int64
    /// Whether the first reply says that the job is still running.
    var isPending = false

    var reference: JSONValue {
        ["projectId": .string(project), "jobId": .string(id), "location": .string(location)]
    }
}

/// The jobs whose results can still be fetched, and the requests that are remembered by their `requestId`.
struct JobStore: Sendable {
    /// Results are kept in memory: rows beyond this make room by dropping the oldest jobs.
    static let maximumRows = 2_000_000
    /// How long a requestId is remembered (jobs.query reference page).
    static let requestWindow: Int64 = 15 * 60 * 1_000_000

    private var jobs: [String: QueryJob] = [:]
    private var order: [String] = []
    private var requests: [String: (job: String, time: Int64)] = [:]
    private var rowCount = 0

    subscript(id: String) -> QueryJob? { jobs[id] }

    mutating func add(_ job: QueryJob, requestID: String?) {
        jobs[job.id] = job
        order.append(job.id)
        rowCount += job.rows.count
        if let requestID { requests[requestID] = (job.id, job.created) }
        while order.count > 1, rowCount > Self.maximumRows || order.count > 1000 {
            let oldest = order.removeFirst()
            rowCount -= jobs.removeValue(forKey: oldest)?.rows.count ?? 0
        }
    }

    func job(requestID: String, now: Int64) -> QueryJob? {
        guard let found = requests[requestID], now - found.time < Self.requestWindow else { return nil }
        return jobs[found.job]
    }
}
