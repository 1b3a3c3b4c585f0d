import Foundation
import JSONBytes
import Synchronization
import Transport

/// One bucket of Google Cloud Storage, as strict as its documentation about generations, and told to fail at chosen requests.
/// (gcp-storage-emulator takes no notice of `ifGenerationMatch`.)
package final class GoogleStore: Sendable {
    /// What becomes of a request.
    package enum Spoil: Sendable {
        case refuse(Int)
        /// The connection ends before anything was done.
        case cutBefore
        /// It was done, and nobody is told.
        case cutAfter
        /// It is done after so many seconds.
        case slow(Double)
    }

    private struct Object {
        var bytes: [UInt8]
        var generation: Int
        var written: Date
    }

    private struct State {
        var objects: [String: Object] = [:]
        var generation = 1_700_000_000_000_000
        var clockOffset = 0.0
        var requests = 0
        var spoil: (@Sendable (_ request: Int, _ method: String, _ name: String) -> Spoil?)?
    }

    package static let bucket = "kept"
    private let state = Mutex(State())
    private let server = Mutex<LoopbackServer?>(nil)

    package init() throws {
        let server = try LoopbackServer { [weak self] request in self?.answer(request) ?? .close }
        self.server.withLock { $0 = server }
    }

    package var url: String { server.withLock { $0?.url ?? "" } }
    package func stop() { server.withLock { $0 }?.stop() }

    /// Objects by name.
    package var objects: [String: [UInt8]] { state.withLock { $0.objects.mapValues(\.bytes) } }
    package var requests: Int { state.withLock { $0.requests } }

    /// Moves the store's clock on.
    package func advanceClock(by seconds: Double) { state.withLock { $0.clockOffset += seconds } }

    /// Spoils requests, numbered from 1 from now on.
    package func spoil(_ rule: (@Sendable (_ request: Int, _ method: String, _ name: String) -> Spoil?)?) {
        state.withLock { state in
            state.requests = 0
            state.spoil = rule
        }
    }

    /// Puts an object there, as another program would; nil deletes it.
    package func set(_ name: String, _ bytes: [UInt8]?) {
        state.withLock { state in
            state.generation += 1
            state.objects[name] = bytes.map {
                Object(bytes: $0, generation: state.generation, written: Date() + state.clockOffset)
            }
        }
    }

    /// Changes an object that is there, between two requests.
    package func replace(_ name: String, _ change: ([UInt8]) -> [UInt8]) {
        state.withLock { state in
            guard let object = state.objects[name] else { return }
            state.generation += 1
            state.objects[name] = Object(
                bytes: change(object.bytes), generation: state.generation, written: object.written)
        }
    }

    // MARK: Answers

    private func answer(_ request: LoopbackServer.Request) -> LoopbackServer.Answer {
        let query = Self.query(request.target)
        let parts = request.path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        // "", storage, v1, b, bucket, o, name; with "upload" before.
        let isUpload = parts.dropFirst().first == "upload"
        let place = Array(parts.dropFirst(isUpload ? 2 : 1))
        guard place.count >= 5, place[3] == Self.bucket else {
            return error(404, "The specified bucket does not exist.")
        }
        let name = isUpload ? query["name"] ?? "" : place.count > 5 ? PercentEncoding.decode(place[5]) : ""
        let spoil = state.withLock { state in
            state.requests += 1
            return state.spoil?(state.requests, request.method, name)
        }
        switch spoil {
        case .refuse(let status): return error(status, "spoiled")
        case .cutBefore: return .close
        case .slow(let seconds): Thread.sleep(forTimeInterval: seconds)
        case .cutAfter, nil: break
        }
        let answer = state.withLock { act(request, isUpload, name, query, &$0) }
        if case .cutAfter = spoil { return .close }
        return answer
    }

    private func act(
        _ request: LoopbackServer.Request, _ isUpload: Bool, _ name: String, _ query: [String: String],
        _ state: inout State
    ) -> LoopbackServer.Answer {
        let headers = ["Date": Self.httpDate(Date() + state.clockOffset), "Content-Type": "application/json"]
        let object = state.objects[name]
        if isUpload, request.method == "POST" {
            guard holds(query, object) else {
                return error(412, "At least one of the pre-conditions you specified did not hold.")
            }
            state.generation += 1
            let new = Object(bytes: request.body, generation: state.generation, written: Date() + state.clockOffset)
            state.objects[name] = new
            return .respond(200, headers: headers, body: Array(Self.resource(name, new).utf8))
        }
        if name.isEmpty { return list(query, headers, state) }
        guard let object else { return error(404, "No such object: \(Self.bucket)/\(name)") }
        if request.method == "DELETE" {
            guard holds(query, object) else { return error(412, "conditionNotMet") }
            state.objects[name] = nil
            return .respond(204, headers: headers)
        }
        if let wanted = query["generation"], wanted != String(object.generation) { return error(404, "No such object") }
        guard holds(query, object) else { return error(412, "conditionNotMet") }
        guard query["alt"] == "media" else {
            return .respond(200, headers: headers, body: Array(Self.resource(name, object).utf8))
        }
        var media = headers
        media["x-goog-generation"] = String(object.generation)
        media["Content-Type"] = "application/octet-stream"
        guard
            let range = request.headers["range"]?.dropFirst("bytes=".count).split(separator: "-").compactMap({ Int($0) }
            ),
            let first = range.first
        else { return .respond(200, headers: media, body: object.bytes) }
        let last = min(range.count > 1 ? range[1] : object.bytes.count - 1, object.bytes.count - 1)
        guard first <= last else { return error(416, "range") }
        return .respond(206, headers: media, body: Array(object.bytes[first...last]))
    }

    private func list(
        _ query: [String: String], _ headers: [String: String], _ state: State
    ) -> LoopbackServer.Answer {
        let names = state.objects.keys.filter { $0.hasPrefix(query["prefix"] ?? "") }.sorted()
        // Two to a page: nobody must take the first for all.
        let first = query["pageToken"].flatMap { Int($0) } ?? 0
        let page = names[min(first, names.count)..<min(first + 2, names.count)]
        let items = page.compactMap { name in state.objects[name].map { Self.resource(name, $0) } }
        let next = first + 2 < names.count ? ",\"nextPageToken\":\"\(first + 2)\"" : ""
        return .respond(200, headers: headers, body: Array("{\"items\":[\(items.joined(separator: ","))]\(next)}".utf8))
    }

    private func holds(_ query: [String: String], _ object: Object?) -> Bool {
        guard let wanted = query["ifGenerationMatch"] else { return true }
        return wanted == String(object?.generation ?? 0)
    }

    private func error(_ status: Int, _ message: String) -> LoopbackServer.Answer {
        .json(status, "{\"error\":{\"code\":\(status),\"message\":\"\(message)\"}}")
    }

    private static func resource(_ name: String, _ object: Object) -> String {
        let sum = Digest.md5Base64(object.bytes) ?? ""
        return """
            {"name":\(JSONValue.string(name).text),"generation":"\(object.generation)","size":"\(object.bytes.count)",\
            "updated":"\(ISO8601DateFormatter().string(from: object.written))","md5Hash":"\(sum)"}
            """
    }

    private static func query(_ target: String) -> [String: String] {
        guard let mark = target.firstIndex(of: "?") else { return [:] }
        let pairs = target[target.index(after: mark)...].split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), PercentEncoding.decode(parts.count > 1 ? parts[1] : ""))
        }
        return Dictionary(pairs, uniquingKeysWith: { $1 })
    }

    private static func httpDate(_ date: Date) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "GMT")
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return formatter.string(from: date)
    }
}
