import Foundation
package import JSONBytes
package import Transport

/// One database of the emulator, as tests write and read it: plain HTTP, nothing of what is tested.
package struct FirestoreDatabase: Sendable {
    package let endpoint: String
    package let project: String
    package let database: String

    package init(endpoint: String, project: String, database: String) {
        self.endpoint = endpoint
        self.project = project
        self.database = database
    }

    package static let http = HTTPClient(environment: [:])

    package var name: String { "projects/\(project)/databases/\(database)" }
    package var root: String { name + "/documents" }

    /// The same database behind another address.
    package func behind(_ endpoint: String) -> FirestoreDatabase {
        FirestoreDatabase(endpoint: endpoint, project: project, database: database)
    }

    package enum Write: Sendable {
        /// Path below the database, and the document's fields as Firestore spells them.
        case set(String, [String: JSONValue])
        /// Fields as they are, for documents that are already JSON.
        case put(String, JSONValue)
        case delete(String)
    }

    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    /// Writes everything; commits of a few hundred, for a request has a limit of 4 MiB in the emulator. Returns the last commit's time.
    @discardableResult
    package func write(_ writes: [Write]) async throws -> String {
        var time = ""
        var portion: [JSONValue] = []
        var bytes = 0
        for (index, write) in writes.enumerated() {
            let json = json(write)
            portion.append(json)
            bytes += json.bytes.count
            if portion.count == 400 || bytes > 2 << 20 || index == writes.count - 1 {
                let answer = try await post("commit", ["writes": .array(portion)])
                time = answer["commitTime"]?.stringValue ?? ""
                portion = []
                bytes = 0
            }
        }
        return time
    }

    @discardableResult
    package func set(_ path: String, _ fields: [String: JSONValue]) async throws -> String {
        try await write([.set(path, fields)])
    }

    @discardableResult
    package func delete(_ paths: String...) async throws -> String { try await write(paths.map { .delete($0) }) }

    /// Documents as Firestore tells them, by path; those of one collection at any depth below the root.
    ///
    /// - Parameter readTime: of which moment; now by default.
    package func documents(of collection: String, at readTime: String? = nil) async throws -> [String: JSONValue] {
        let query: JSONValue = ["from": [["collectionId": .string(collection), "allDescendants": true]]]
        let answer = try await post(
            "runQuery",
            .object(
                [JSONMember("structuredQuery", query)]
                    + (readTime.map { [JSONMember("readTime", .string($0))] } ?? [])))
        var documents: [String: JSONValue] = [:]
        for element in answer.arrayValue ?? [] {
            guard let document = element["document"], let name = document["name"]?.stringValue else { continue }
            documents[String(name.dropFirst(root.count + 1))] = document
        }
        return documents
    }

    private func json(_ write: Write) -> JSONValue {
        switch write {
        case .set(let path, let fields):
            let members = fields.sorted { $0.key < $1.key }.map { JSONMember($0.key, $0.value) }
            return ["update": ["name": .string(root + "/" + path), "fields": .object(members)]]
        case .put(let path, let fields): return ["update": ["name": .string(root + "/" + path), "fields": fields]]
        case .delete(let path): return ["delete": .string(root + "/" + path)]
        }
    }

    /// - Throws: ``Failure`` with the answer's text when the emulator refuses.
    @discardableResult
    package func post(_ method: String, _ body: JSONValue) async throws -> JSONValue {
        let response = try await Self.http.send(
            HTTPRequest(
                .post, "\(endpoint)/v1/\(root):\(method)",
                headers: [HTTPHeader("Content-Type", "application/json"), HTTPHeader("Authorization", "Bearer owner")],
                body: HTTPBody(body.bytes)))
        guard response.isSuccess else { throw Failure(description: "\(method): \(response.status) \(response.text)") }
        return try JSONValue(parsing: response.body)
    }
}

/// Firestore's typed values, for tests.
extension JSONValue {
    package static func integer(_ value: Int64) -> JSONValue { ["integerValue": .string(String(value))] }
    package static func text(_ value: String) -> JSONValue { ["stringValue": .string(value)] }
    package static func double(_ text: String) -> JSONValue { ["doubleValue": .number(text)] }
    package static func time(_ text: String) -> JSONValue { ["timestampValue": .string(text)] }
    package static func flag(_ value: Bool) -> JSONValue { ["booleanValue": .bool(value)] }
    package static var none: JSONValue { ["nullValue": nil] }
    package static func list(_ items: JSONValue...) -> JSONValue {
        ["arrayValue": items.isEmpty ? [:] : ["values": .array(items)]]
    }
    package static func map(_ members: [String: JSONValue]) -> JSONValue {
        [
            "mapValue": members.isEmpty
                ? [:]
                : ["fields": .object(members.sorted { $0.key < $1.key }.map { JSONMember($0.key, $0.value) })]
        ]
    }
}
