internal import JSONBytes
internal import Spool
internal import Transport

/// Firestore's REST calls that reading needs. Never loops: the run around it decides what is tried again.
struct FirestoreClient: Sendable {
    let http: AuthorizedClient
    /// Ends in `/v1/`.
    let base: String
    /// `projects/p/databases/d`.
    let database: String
    let isEmulator: Bool

    /// Google's own client waits 300 s for a query (its transport's defaults).
    private static let timeouts = HTTPTimeouts(connect: .seconds(10), silence: .seconds(300), total: nil)

    var root: String { database + "/documents" }

    /// Starts a query; the answer is an array that arrives document by document.
    func runQuery(_ query: FirestoreQuery, readTime: String?) async throws -> HTTPStreamedResponse {
        var members: [(String, JSONValue)] = [("structuredQuery", query.json)]
        if let readTime { members.append(("readTime", .string(readTime))) }
        return try await post(query.collection.parent, "runQuery", .init(members), reading: describe(query.collection))
    }

    /// Fetches documents by name; the answer's order is not the request's.
    func batchGet(_ paths: [String], fields: [String]?, readTime: String?) async throws -> HTTPStreamedResponse {
        var members: [(String, JSONValue)] = [
            ("documents", .array(paths.map { .string(root + "/" + $0) }))
        ]
        if let fields {
            members.append(("mask", .init([("fieldPaths", .array(fields.map { .string(FirestoreQuery.quoted($0)) }))])))
        }
        if let readTime { members.append(("readTime", .string(readTime))) }
        return try await post("", "batchGet", .init(members), reading: "documents of Firestore \(database)")
    }

    /// Counts by aggregation: index entries only, one read for each started 1,000.
    ///
    /// - Parameter most: counting stops there; nil for no bound.
    func count(_ query: FirestoreQuery, readTime: String?, upTo most: Int? = nil) async throws -> Int {
        let bound = most.map { [("upTo", JSONValue.string(String($0)))] } ?? []
        var members: [(String, JSONValue)] = [
            (
                "structuredAggregationQuery",
                .init([
                    ("structuredQuery", query.json),
                    ("aggregations", .array([.init([("alias", .string("n")), ("count", .init(bound))])])),
                ])
            )
        ]
        if let readTime { members.append(("readTime", .string(readTime))) }
        let subject = describe(query.collection)
        let response = try await post(
            query.collection.parent, "runAggregationQuery", .init(members), reading: subject)
        let answer = try await whole(response, reading: subject)
        for element in answer.arrayValue ?? [] {
            if let count = element["result"]?["aggregateFields"]?["n"]?["integerValue"]?.intValue { return Int(count) }
            if let error = element["error"] { throw FirestoreFailure.error(error, status: 200, reading: subject) }
        }
        throw ExtractError(.unavailable, "counting \(subject) gave no result")
    }

    /// Documents at which the server would cut a collection group for parallel readers, by paths below the database, in no order.
    ///
    /// - Parameter cuts: how many are wanted; fewer may come.
    func partitions(of query: FirestoreQuery, cuts: Int, readTime: String) async throws -> [String] {
        let subject = describe(query.collection)
        var paths: [String] = []
        var token = ""
        repeat {
            var members: [(String, JSONValue)] = [
                ("structuredQuery", query.json), ("partitionCount", .string(String(cuts))),
                ("readTime", .string(readTime)),
            ]
            if !token.isEmpty { members.append(("pageToken", .string(token))) }
            let answer = try await whole(
                try await post("", "partitionQuery", .init(members), reading: subject), reading: subject)
            for partition in answer["partitions"]?.arrayValue ?? [] {
                guard let name = partition["values"]?.arrayValue?.first?["referenceValue"]?.stringValue,
                    name.utf8.starts(with: (root + "/").utf8)
                else { continue }
                paths.append(String(Substring(name.utf8.dropFirst(root.utf8.count + 1))))
            }
            token = answer["nextPageToken"]?.stringValue ?? ""
        } while !token.isEmpty
        return paths
    }

    /// What the administration tells of the database, or of something below it.
    func metadata(_ path: String) async throws -> JSONValue {
        let request = HTTPRequest(.get, base + Self.encoded(database + path), timeouts: Self.timeouts)
        let response = try await http.send(request, maximumResponseBytes: 1 << 20)
        guard response.isSuccess else {
            throw FirestoreFailure.refusal(
                status: response.status, body: response.body, retryAfter: nil, reading: "Firestore \(database)")
        }
        return try JSONValue(parsing: response.body)
    }

    /// The server's clock, by asking for a document that need not be there. One read.
    func time() async throws -> (time: Timestamp, text: String) {
        let subject = "Firestore \(database)"
        let response = try await batchGet(["etlctl/time"], fields: nil, readTime: nil)
        let answer = try await whole(response, reading: subject)
        guard let text = answer.arrayValue?.compactMap({ $0["readTime"]?.stringValue }).last,
            let time = Timestamp(rfc3339: text)
        else { throw ExtractError(.unavailable, "\(subject) gave an answer without readTime") }
        return (time, text)
    }

    /// The server's clock, and whether anything can be read at all: a keys-only query for one document. One read.
    func probe(_ collection: FirestoreCollection) async throws -> (readTime: Timestamp, text: String, isEmpty: Bool) {
        var query = FirestoreQuery(collection)
        query.isKeysOnly = true
        query.orderByName()
        query.limit = 1
        let answer = try await elements(of: query, readTime: nil)
        let isEmpty = !answer.contains { $0["document"] != nil }
        guard let text = answer.compactMap({ $0["readTime"]?.stringValue }).last, let time = Timestamp(rfc3339: text)
        else { throw ExtractError(.unavailable, "reading \(describe(collection)) gave an answer without readTime") }
        return (time, text, isEmpty)
    }

    /// All elements of a small query's answer.
    func elements(of query: FirestoreQuery, readTime: String?) async throws -> [JSONValue] {
        let subject = describe(query.collection)
        let answer = try await whole(try await runQuery(query, readTime: readTime), reading: subject)
        let elements = answer.arrayValue ?? [answer]
        if let error = elements.compactMap({ $0["error"] }).first {
            throw FirestoreFailure.error(error, status: 200, reading: subject)
        }
        return elements
    }

    func describe(_ collection: FirestoreCollection) -> String {
        var path = collection.collectionID
        if let root = collection.patternRoot {
            path = root + "/*/" + path
        } else if collection.isGroup {
            path = "**/" + path
        } else if !collection.parent.isEmpty {
            path = collection.parent + "/" + path
        }
        return "Firestore \(database) \(path)"
    }

    // MARK: Sending

    /// - Parameter parent: a document's path below the database, or nothing for the root.
    private func post(
        _ parent: String, _ method: String, _ body: JSONValue, reading subject: String
    ) async throws -> HTTPStreamedResponse {
        var resource = Self.encoded(root)
        if !parent.isEmpty {
            resource += "/" + Self.encoded(parent)
            // The emulator decodes the parent of a query a second time.
            if isEmulator { resource.replace("%25", with: "%2525") }
        }
        let request = HTTPRequest(
            .post, base + resource + ":" + method + "?prettyPrint=false",
            headers: [HTTPHeader("Content-Type", "application/json")], body: HTTPBody(body.bytes),
            timeouts: Self.timeouts)
        let response: HTTPStreamedResponse
        do { response = try await http.stream(request) } catch {
            throw ExtractError.translating(error, reading: subject)
        }
        guard response.isSuccess else {
            let text: [UInt8]
            do { text = try await response.body.collect(maximumBytes: 1 << 20) } catch { text = [] }
            throw FirestoreFailure.refusal(
                status: response.status, body: text, retryAfter: response.retryAfter, reading: subject)
        }
        return response
    }

    private func whole(_ response: HTTPStreamedResponse, reading subject: String) async throws -> JSONValue {
        do {
            let bytes = try await response.body.collect(maximumBytes: 16 << 20)
            return try JSONValue(parsing: bytes)
        } catch let error as JSONSyntaxError {
            throw ExtractError(.unavailable, "reading \(subject) gave a broken answer: \(error)")
        } catch {
            throw ExtractError.translating(error, reading: subject)
        }
    }

    /// Percent-encodes all but the separators and what stands for itself in a path's segment.
    private static func encoded(_ resource: String) -> String {
        var text = ""
        for byte in resource.utf8 {
            let isPlain =
                byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A || byte >= 0x30 && byte <= 0x39
                || "-._~/()".utf8.contains(byte)
            if isPlain {
                text.unicodeScalars.append(UnicodeScalar(byte))
            } else {
                let hex = String(byte, radix: 16, uppercase: true)
                text += "%" + (hex.count == 1 ? "0" : "") + hex
            }
        }
        return text
    }
}
