import Foundation
import JSONBytes
import Sandbox
import Spool
import TestSupport
import Testing
import Transport

extension ShipBench {
    /// A call to the sandbox behind the shipper's back.
    @discardableResult
    func call(_ method: HTTPRequest.Method, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
        var request = HTTPRequest(method, "\(sandbox.endpoint)/bigquery/v2/projects/\(path)")
        if let body {
            request.setHeader("Content-Type", "application/json")
            request.body = HTTPBody(body.bytes)
        }
        let response = try await HTTPClient().send(request)
        try #require(response.isSuccess, "\(method) \(path): \(response.text)")
        return response.body.isEmpty ? .null : try JSONValue(parsing: response.body)
    }

    /// The rows that a query returns, as objects; timestamps as text.
    func query(_ sql: String) async throws -> [JSONValue] {
        let reply = try await call(
            .post, "p/queries",
            .object([
                JSONMember("query", .string(sql)), JSONMember("useLegacySql", false),
                JSONMember("formatOptions", .object([JSONMember("useInt64Timestamp", true)])),
            ]))
        #expect(reply["pageToken"] == nil, "more rows than one answer holds")
        let fields = reply["schema"]?["fields"]?.arrayValue ?? []
        return (reply["rows"]?.arrayValue ?? []).map { row in
            let values = row["f"]?.arrayValue ?? []
            return .object(
                zip(fields, values).map { field, cell in
                    var value = cell["v"] ?? .null
                    if field["type"]?.stringValue == "TIMESTAMP", let moment = value.stringValue.flatMap({ Int64($0) })
                    {
                        value = .string("\(Timestamp(microseconds: moment))")
                    }
                    return JSONMember(field["name"]?.stringValue ?? "", value)
                })
        }
    }

    func deleteTable(_ table: String = "memos") async throws {
        try await call(.delete, "p/datasets/d/tables/\(table)")
    }

    /// Deletes a table and creates it again with the same schema, as a user in the console would.
    func recreateTable(_ table: String = "memos", without column: String? = nil) async throws {
        let old = try await call(.get, "p/datasets/d/tables/\(table)")
        try await deleteTable(table)
        let fields = old["schema"]?["fields"]?.arrayValue ?? []
        try await createTable(fields.filter { column == nil || $0["name"]?.stringValue != column }, as: table)
    }

    func createDataset() async throws {
        try await call(
            .post, "p/datasets",
            .object([
                JSONMember("datasetReference", .object([JSONMember("projectId", "p"), JSONMember("datasetId", "d")]))
            ]))
    }

    func createTable(_ fields: [JSONValue], as table: String = "memos") async throws {
        try await call(
            .post, "p/datasets/d/tables",
            .object([
                JSONMember(
                    "tableReference",
                    .object([
                        JSONMember("projectId", "p"), JSONMember("datasetId", "d"),
                        JSONMember("tableId", .string(table)),
                    ])),
                JSONMember("schema", .object([JSONMember("fields", .array(fields))])),
            ]))
    }

    /// Inserts spooled rows behind the shipper's back, by their number.
    func insertBehind(_ isChosen: (Int) -> Bool) async throws {
        var rows: [JSONValue] = []
        for record in try await spool.records() {
            guard let number = record.id.flatMap({ Int($0.dropFirst()) }), isChosen(number) else { continue }
            rows.append(.object([JSONMember("json", try JSONValue(parsing: record.payload))]))
        }
        let reply = try await call(
            .post, "p/datasets/d/tables/memos/insertAll", .object([JSONMember("rows", .array(rows))]))
        try #require(reply["insertErrors"] == nil)
    }

    /// Rows of somebody else, extracted now.
    func insertForeign(_ ids: [String]) async throws {
        let rows = ids.map { id in
            JSONValue.object([
                JSONMember(
                    "json",
                    .object([
                        JSONMember("_insert_id", .string(id)),
                        JSONMember("_extracted_at", .string(clock.now().description)),
                    ]))
            ])
        }
        try await call(.post, "p/datasets/d/tables/memos/insertAll", .object([JSONMember("rows", .array(rows))]))
    }

    /// Changes a byte of a payload behind the spool's back.
    func damageRow(_ number: Int) async throws {
        try damage(
            "UPDATE row_data SET payload = replace(payload, '\"text\":\"x', '\"text\":\"y') WHERE id = 'm\(number)'")
    }

    /// Changes the spool behind the program's back.
    func damage(_ sql: String) throws { try ChildProcess.run(["sqlite3", spool.path, sql]) }

    /// A field of a table: `name TYPE [MODE]`.
    static func field(_ text: String, description: String? = nil) -> JSONValue {
        let parts = text.split(separator: " ").map(String.init)
        var members = [JSONMember("name", .string(parts[0])), JSONMember("type", .string(parts[1]))]
        if parts.count > 2 { members.append(JSONMember("mode", .string(parts[2]))) }
        if let description { members.append(JSONMember("description", .string(description))) }
        return .object(members)
    }

    static let metadataFields = [
        "_id STRING", "_path STRING", "_created_at TIMESTAMP", "_updated_at TIMESTAMP", "_extracted_at TIMESTAMP",
        "_run_id STRING", "_op STRING", "_insert_id STRING", "_rescued STRING",
    ].map { field($0) }
}
