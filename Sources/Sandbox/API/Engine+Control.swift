internal import HTTPServer
internal import JSONBytes
internal import Synchronization

/// `/sandbox/...`: what can be set and seen at run time. Never struck by faults, never in the log.
extension Engine {
    func control(_ request: HTTPRequest, _ segments: [String]) -> HTTPResponse {
        do {
            switch (request.method, segments.dropFirst().joined(separator: "/")) {
            case ("GET", "faults"): break
            case ("POST", "faults"): try setFaults(request)
            case ("DELETE", "faults"): state.withLock { $0.faults.removeAll() }
            case ("GET", "log"):
                let limit = request.query["limit"].flatMap(Int.init) ?? 1000
                let entries = state.withLock { $0.log.entries.suffix(max(limit, 0)) }
                return HTTPResponse(json: ["requests": .array(entries.map(\.json))])
            case ("DELETE", "log"):
                state.withLock { $0.log.removeAll() }
                return HTTPResponse(json: [:])
            case ("GET", "state"): return HTTPResponse(json: try summary())
            case ("POST", "clock"): return try advanceClock(request)
            case ("POST", "keys"):
                let text = request.body.string
                do {
                    try state.withLock { try $0.tokens.register(keyFile: text) }
                } catch {
                    throw APIError.badRequest("\(error)")
                }
                return HTTPResponse(json: [:])
            case ("DELETE", "tokens"):
                state.withLock { $0.tokens.revokeAll() }
                return HTTPResponse(json: [:])
            default: throw APIError(404, "notFound", "The sandbox has no \(request.method) \(request.path).")
            }
            return HTTPResponse(json: ["faults": .array(state.withLock { $0.faults.specs }.map { .string($0) })])
        } catch {
            return ((error as? APIError) ?? Self.internalError(error)).response
        }
    }

    private func body(_ request: HTTPRequest) throws -> JSONValue {
        do {
            return try JSONValue(parsing: request.body.bytes)
        } catch {
            throw APIError.malformed(error)
        }
    }

    /// Adds faults; with `"replace":true` the present ones go first.
    private func setFaults(_ request: HTTPRequest) throws {
        let body = try body(request)
        guard let specs = body["faults"]?.arrayValue, specs.allSatisfy({ $0.stringValue != nil }) else {
            throw APIError.badRequest("{\"faults\":[\"spec\", ...]} is needed.")
        }
        let faults: [Fault]
        do {
            faults = try specs.map { try Fault(parsing: $0.stringValue ?? "") }
        } catch {
            throw APIError.badRequest("\(error)")
        }
        state.withLock { state in
            if body["replace"] == true { state.faults.removeAll() }
            state.faults.add(faults)
        }
    }

    private func advanceClock(_ request: HTTPRequest) throws -> HTTPResponse {
        guard let seconds = try body(request)["advance_seconds"]?.doubleValue, seconds >= 0, seconds < 1e10 else {
            throw APIError.badRequest("{\"advance_seconds\":60} is needed.")
        }
        clock.advance(by: .microseconds(Int64(seconds * 1_000_000)))
        return HTTPResponse(json: ["now": .string(CivilTime.timestampText(clock.now))])
    }

    private func summary() throws -> JSONValue {
        let (tables, datasets, specs) = state.withLock { ($0.tables, $0.datasets.keys.sorted(), $0.faults.specs) }
        var listed: [JSONValue] = []
        for record in tables.values.sorted(by: { $0.key < $1.key }) {
            var members: [JSONMember] = [
                JSONMember("name", .string(record.key.description)),
                JSONMember("type", record.isView ? "VIEW" : "TABLE"),
                JSONMember("columns", .number(String(record.fields.count))),
            ]
            if !record.isView { members.append(JSONMember("rows", .number(String(try store.count(record.layout))))) }
            listed.append(.object(members))
        }
        return [
            "now": .string(CivilTime.timestampText(clock.now)),
            "datasets": .array(datasets.map { .string($0.legacyName) }), "tables": .array(listed),
            "faults": .array(specs.map { .string($0) }),
        ]
    }
}
