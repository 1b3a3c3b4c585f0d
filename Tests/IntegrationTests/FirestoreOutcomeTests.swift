import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// What a user is told who names the wrong database, may not read it, or names a collection that is not there.
@Suite(.firestoreEmulator) struct FirestoreOutcomeTests {
    struct Refusal: Sendable, CustomTestStringConvertible {
        var status: String
        var http: Int
        var message: String
        var exitCode: Int32
        var errorCode: String
        /// Words of the hint.
        var hint: String
        var testDescription: String { status + " " + hint }
    }

    static let refusals = [
        Refusal(
            status: "NOT_FOUND", http: 404,
            message: "The database sales does not exist for project p Please visit https://console.cloud.google.com/"
                + "datastore/setup?project=p to add a Cloud Datastore or Cloud Firestore database.",
            exitCode: 78, errorCode: "config", hint: "a database that does not exist"),
        Refusal(
            status: "PERMISSION_DENIED", http: 403, message: "Missing or insufficient permissions.", exitCode: 77,
            errorCode: "denied", hint: "roles/datastore.viewer"),
        Refusal(
            status: "PERMISSION_DENIED", http: 403,
            message: "Cloud Firestore API has not been used in project 7 before or it is disabled. Enable it by "
                + "visiting https://console.developers.google.com/apis/api/firestore.googleapis.com/overview?project=7",
            exitCode: 77, errorCode: "denied", hint: "open the link in the message to enable"),
        Refusal(
            status: "UNAUTHENTICATED", http: 401, message: "Request had invalid authentication credentials.",
            exitCode: 77, errorCode: "denied", hint: "credentials"),
        Refusal(
            status: "FAILED_PRECONDITION", http: 400,
            message: "The Cloud Firestore API is not available for Firestore in Datastore Mode database projects/p.",
            exitCode: 78, errorCode: "config", hint: "native mode"),
    ]

    @Test(arguments: refusals, ["full", "changes", "incremental, watermark: at"])
    func `a refusal names its own cause and cure, for extract and for check, and deletes nothing`(
        _ refusal: Refusal, _ mode: String
    ) async throws {
        try await Pipeline.with(streams: "  memos: {source: app, from: memos, mode: \(mode)}") { pipeline in
            try await pipeline.database.set("memos/a", ["at": .time("2025-01-01T00:00:00Z")])
            #expect(try await pipeline.program.run("extract").code == 0)
            let error: JSONValue = [
                "code": .number("\(refusal.http)"), "message": .string(refusal.message),
                "status": .string(refusal.status),
            ]
            let body = JSONValue.array([["error": error]])
            try await withLoopbackServer { _ in
                .json(refusal.http, body.text)
            } _: { server in
                try pipeline.reconfigure(pipeline.database.endpoint, server.url)
                // The position belongs to the database, whatever its address.
                let outcome = try await pipeline.program.run("extract", "--json")
                #expect(outcome.code == refusal.exitCode, "\(outcome.diagnostics)")
                let error = try outcome.json()["error"] ?? .null
                #expect(error["code"]?.stringValue == refusal.errorCode)
                #expect(error["message"]?.stringValue?.contains(refusal.message) == true)
                #expect(error["hint"]?.stringValue?.contains(refusal.hint) == true, "\(error.text)")
                let others = Self.refusals.map(\.hint).filter { $0 != refusal.hint }
                #expect(!others.contains { error["hint"]?.stringValue?.contains($0) == true })
                let check = try await pipeline.program.run("check", "--json")
                #expect(check.code == refusal.exitCode)
                let found = try check.json()["findings"]?.arrayValue?.first {
                    $0["subject"] == "streams.memos" && $0["level"] == "error"
                }
                #expect(found?["message"]?.stringValue?.contains(refusal.message) == true)
                #expect(found?["hint"]?.stringValue?.contains(refusal.hint) == true)
            }
            #expect(try await pipeline.stream("status")["pending"]?.intValue == 1)
        }
    }

    @Test(arguments: ["full", "changes", "incremental, watermark: at"])
    func `a collection that is not there is a warning of its own, never an error and never a delete`(_ mode: String)
        async throws
    {
        try await Pipeline.with(streams: "  memos: {source: app, from: memoz, mode: \(mode)}") { pipeline in
            try await pipeline.database.set("memos/a", ["at": .time("2025-01-01T00:00:00Z")])
            for _ in 0..<2 {
                let outcome = try await pipeline.program.run("extract", "--json")
                #expect(outcome.code == 0)
                let stream = try outcome.json()["streams"]?.arrayValue?.first ?? .null
                #expect(stream["status"] == "complete" && stream["rows_spooled"]?.intValue == 0)
                let warning = stream["warnings"]?.arrayValue?.first { $0["code"] == "no_documents" }
                #expect(warning?["message"]?.stringValue?.contains("memoz") == true, "\(stream.text)")
                #expect(warning?["message"]?.stringValue?.contains("is the name right?") == true)
            }
            let check = try await pipeline.program.run("check", "--json")
            #expect(check.code == 0)
            let found = try check.json()["findings"]?.arrayValue?.first {
                $0["subject"] == "streams.memos" && $0["level"] == "warning"
            }
            #expect(found?["message"]?.stringValue?.contains("can be read and holds no documents") == true)
            #expect(found?["hint"]?.stringValue?.contains("from:") == true)
        }
    }

    @Test func `a collection that has become empty is told, and its known documents are not deleted`() async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<5)
            #expect(try await pipeline.program.run("extract").code == 0)
            try await pipeline.database.write((0..<5).map { .delete("memos/m\($0)") })
            let outcome = try await pipeline.program.run("extract", "--json")
            #expect(outcome.code == 65)
            let error = try outcome.json()["error"] ?? .null
            #expect(error["message"]?.stringValue?.contains("5 of 5 known documents") == true, "\(error.text)")
            #expect(error["hint"]?.stringValue?.contains("--allow-mass-delete") == true)
            let status = try await pipeline.stream("status")
            #expect(status["pending"]?.intValue == 5)
        }
    }
}
