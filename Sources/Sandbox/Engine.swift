internal import Foundation
internal import HTTPServer
internal import JSONBytes
internal import Synchronization

/// The service behind the listener: takes requests, keeps the catalogue, applies the faults.
///
/// Requests run on their connections' threads. What they share is in `state`; rows are checked outside of it and stored inside, so that
/// de-duplication and storing are one step.
final class Engine: Sendable {
    struct State: Sendable {
        var datasets: [DatasetKey: DatasetRecord] = [:]
        var tables: [TableKey: TableRecord] = [:]
        var dedupe: [TableKey: DedupeWindow] = [:]
        var faults = FaultInjector()
        var jobs = JobStore()
        var tokens = TokenRegistry()
        var log: RequestLog
        var recordsBodies: Bool
        /// Requests that are being answered now, and the most there were at once.
        var inFlight = 0
        var peakInFlight = 0
    }

    let configuration: SandboxConfiguration
    let clock: SandboxClock
    let store: TableStore
    let state: Mutex<State>
    let pause = InterruptiblePause()
    /// The server's own address, for selfLink; set once when it listens.
    let endpoint = Mutex("")

    init(_ configuration: SandboxConfiguration) throws {
        self.configuration = configuration
        clock = SandboxClock(base: configuration.clock)
        store = try TableStore(folder: configuration.dataFolder)
        var state = State(log: RequestLog(limit: configuration.logLimit), recordsBodies: configuration.recordsBodies)
        state.faults.add(configuration.faults)
        for text in configuration.serviceAccountKeys { try state.tokens.register(keyFile: text) }
        try Self.load(&state, from: store, configuration, now: clock.now)
        self.state = Mutex(state)
    }

    /// Answers one request. Blocks as long as its faults ask for.
    func handle(_ request: HTTPRequest) -> HTTPReply {
        let segments = request.segments
        if segments.first == "sandbox" { return .response(control(request, segments)) }
        let route = Route(method: request.method, segments: segments)
        var entry = LoggedRequest()
        entry.time = clock.now
        entry.method = request.method
        entry.path = request.path
        entry.query = request.query
        entry.operation = route?.operation ?? .unknown
        entry.table = route?.tableKey
        entry.wireBytes = request.receivedBytes
        entry.contentEncoding = request.headers["content-encoding"]
        entry.userAgent = request.headers["user-agent"]
        entry.isAuthorized = request.headers["authorization"] != nil
        let operation = entry.operation
        let table = entry.table
        let decision = state.withLock { state in
            state.inFlight += 1
            state.peakInFlight = max(state.peakInFlight, state.inFlight)
            return state.faults.decide(operation, table: table)
        }
        defer { state.withLock { $0.inFlight -= 1 } }
        entry.faults = decision.applied
        let reply = answer(request, route, decision, &entry)
        switch reply {
        case .response(let response), .truncated(let response):
            entry.status = response.status
            if response.status >= 400 { entry.reason = Self.reason(of: response) }
        case .cut, .reset, .raw: entry.status = nil
        }
        let logged = entry
        state.withLock { $0.log.append(logged) }
        pause.wait(decision.delayAfter)
        switch reply {
        case .response(let response):
            let dated = response.dated(clock.now)
            // api-performance page: only with both headers.
            let isCompressed =
                request.headers["accept-encoding"]?.contains("gzip") ?? false
                && entry.userAgent?.contains("gzip") ?? false
            return .response(isCompressed ? dated.gzipped : dated)
        case .truncated(let response):
            return .truncated(response.dated(clock.now))
        case .cut, .reset, .raw:
            return reply
        }
    }

    var uploadLimit: Int? { state.withLock { $0.faults.uploadLimit } }

    /// Notes a request whose connection was reset while its body came.
    func logCutUpload(_ method: String, _ path: String, received: Int) {
        var entry = LoggedRequest()
        entry.time = clock.now
        entry.method = method
        entry.path = path
        let segments = path.split(separator: "/").map { percentDecoded(String($0)) }
        let route = Route(method: method, segments: segments)
        entry.operation = route?.operation ?? .unknown
        entry.table = route?.tableKey
        entry.wireBytes = received
        entry.faults = ["cut-upload"]
        let logged = entry
        state.withLock { $0.log.append(logged) }
    }

    private func answer(
        _ request: HTTPRequest, _ route: Route?, _ decision: FaultInjector.Decision, _ entry: inout LoggedRequest
    ) -> HTTPReply {
        pause.wait(decision.delayBefore)
        if let fault = decision.outcome, fault.moment == .before {
            return fault.reply(insteadOf: HTTPResponse(json: [:]), entry.operation, project: route?.project ?? "")
        }
        let response: HTTPResponse
        do {
            response = try respond(request, route, decision, &entry)
        } catch {
            response = error.response
        }
        guard let fault = decision.outcome else { return .response(response) }
        return fault.reply(insteadOf: response, entry.operation, project: route?.project ?? "")
    }

    private func respond(
        _ request: HTTPRequest, _ route: Route?, _ decision: FaultInjector.Decision, _ entry: inout LoggedRequest
    ) throws(APIError) -> HTTPResponse {
        guard let route else { throw APIError(404, "notFound", "Not found: URL \(request.method) \(request.path)") }
        guard request.headerBytes <= 16 << 10 else { return .badRequestHTML }
        guard request.receivedBytes <= configuration.maximumFrontEndBytes else { return .tooLargeHTML }
        let body = try decodedBody(of: request)
        guard body.count <= configuration.maximumFrontEndBytes else { return .tooLargeHTML }
        entry.bodyBytes = body.count
        if state.withLock({ $0.recordsBodies }) { entry.body = body.array }
        guard body.count <= configuration.maximumRequestBytes else {
            throw .badRequest("Request payload size exceeds the limit: \(configuration.maximumRequestBytes) bytes.")
        }
        if route.operation == .token { return grantToken(body) }
        try authorize(request, route)
        if let projects = configuration.projects, !projects.contains(route.project) {
            throw APIError(404, "notFound", "Not found: Project \(route.project)")
        }
        let call = APICall(route: route, request: request, body: body, decision: decision)
        switch route.operation {
        case .datasetsGet, .datasetsList, .datasetsInsert, .datasetsPatch, .datasetsDelete: return try datasets(call)
        case .tablesGet, .tablesList, .tablesInsert, .tablesPatch, .tablesUpdate, .tablesDelete: return try tables(call)
        case .insertAll: return try insertAll(call, &entry)
        case .tabledataList: return try tabledataList(call)
        case .query, .getQueryResults, .jobsInsert, .jobsGet: return try queries(call)
        case .token, .unknown: throw APIError(404, "notFound", "Not found: URL \(request.path)")
        }
    }

    private func decodedBody(of request: HTTPRequest) throws(APIError) -> ByteBuffer {
        switch request.headers["content-encoding"]?.lowercased() {
        case nil, "identity": return request.body
        case "gzip":
            let decoded = ByteBuffer(capacity: request.body.count * 4)
            guard gunzip(request.body.bytes, into: decoded, limit: configuration.maximumFrontEndBytes) else {
                throw .badRequest("Failed to decompress the request's body.")
            }
            return decoded
        case let other?:
            throw APIError(415, "badRequest", "Unsupported content encoding: \(other)")
        }
    }

    private static func reason(of response: HTTPResponse) -> String? {
        guard let value = try? JSONValue(parsing: response.body) else { return nil }
        return value["error"]?["errors"]?.arrayValue?.first?["reason"]?.stringValue ?? value["error"]?.stringValue
    }

    /// An etag, or another opaque id.
    static func opaqueID() -> String {
        Base64.encode((0..<12).map { _ in UInt8.random(in: .min ... .max) })
    }

    /// A failure of the store, as the service would word it.
    static func internalError(_ error: any Error) -> APIError {
        APIError(500, "internalError", "An internal error occurred: \(error)")
    }
}

/// One call of the API, ready to be carried out.
struct APICall {
    var route: Route
    var request: HTTPRequest
    var body: ByteBuffer
    var decision: FaultInjector.Decision

    /// The body as a JSON object.
    func json() throws(APIError) -> JSONValue {
        do throws(JSONSyntaxError) {
            let value = try JSONValue(parsing: body.bytes)
            guard value.objectValue != nil else { throw JSONSyntaxError(.unexpectedByte, at: 0) }
            return value
        } catch {
            throw .malformed(error)
        }
    }

    func positiveNumber(_ parameter: String) throws(APIError) -> Int? {
        guard let text = request.query[parameter], !text.isEmpty else { return nil }
        guard let value = Int(text), value >= 0 else {
            throw .invalid("Invalid value for \(parameter): \(text)", location: parameter)
        }
        return value
    }
}

/// Waits that `cancel` ends at once, so that a stalled reply never holds up a stop.
final class InterruptiblePause: Sendable {
    private let condition = NSCondition()
    private let isCancelled = Atomic(false)

    func wait(_ duration: Duration) {
        guard duration > .zero else { return }
        let end = Date().addingTimeInterval(Double(duration.microseconds) / 1_000_000)
        condition.lock()
        defer { condition.unlock() }
        while !isCancelled.load(ordering: .acquiring), condition.wait(until: end) {}
    }

    func reset() { isCancelled.store(false, ordering: .releasing) }

    func cancel() {
        condition.lock()
        isCancelled.store(true, ordering: .releasing)
        condition.broadcast()
        condition.unlock()
    }
}

extension HTTPRequest {
    /// Bytes of the URL and the header fields, near enough for the limit of 16 KiB (quotas page).
    fileprivate var headerBytes: Int {
        headers.reduce(path.utf8.count) { $0 + $1.key.utf8.count + $1.value.utf8.count + 4 }
            + query.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 2 }
    }
}
