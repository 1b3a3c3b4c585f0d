import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

extension TypeExample {
    static func verify(_ examples: [TypeExample], in stream: SQLExtraction) async throws {
        try await stream.complete()
        let rows = try await stream.rows()
        let row = try #require(rows.first)
        var shapes: [String: String] = [:]
        let all = try await stream.spool.shapes(of: try await stream.spool.routes()[0])
        for line in all[0].definition.split(separator: "\n") {
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
            shapes[String(parts[0])] = String(parts[1])
        }
        let rescued = try row["_rescued"]?.stringValue.map { try JSONValue(parsing: $0) }
        for (index, example) in examples.enumerated() {
            let column = Self.column(index)
            #expect(row[column]?.text == example.json ?? "null", "\(example)")
            #expect(rescued?[column]?.stringValue == example.rescued, "\(example)")
            #expect(shapes[column] == example.shape, "\(example)")
        }
    }
}

@Suite(.postgres) struct PostgresTypeTests {
    private func database(_ examples: [TypeExample]) async throws -> PostgresDatabase {
        try await PostgresServer.running().database(PostgresTypes.definitions + TypeExample.table(examples))
    }

    @Test func `every scalar type is what the contract says`() async throws {
        let database = try await database(PostgresTypes.scalars)
        try await withTemporarySpool { spool in
            try await TypeExample.verify(
                PostgresTypes.scalars, in: SQLExtraction(database.source(), spool, from: "matrix"))
        }
    }

    @Test func `json, arrays and composites are JSON text`() async throws {
        let database = try await database(PostgresTypes.nested)
        try await withTemporarySpool { spool in
            try await TypeExample.verify(
                PostgresTypes.nested, in: SQLExtraction(database.source(), spool, from: "matrix"))
        }
    }

    @Test func `nested json makes JSON columns`() async throws {
        let database = try await database([.nested("jsonb", "'{}'", "{}")])
        try await withTemporarySpool { spool in
            let stream = SQLExtraction(database.source(), spool, from: "matrix") { $0.nestsAsJSON = true }
            try await stream.complete()
            let shapes = try await spool.shapes(of: try await spool.routes()[0])
            #expect(shapes[0].definition.contains("c1000\tJSON\t"))
        }
    }

    @Test func `invalid bytes are rescued and reported with the row's key`() async throws {
        let server = try await PostgresServer.running()
        let database = try server.database(encoding: "SQL_ASCII")
        try database.run("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'ok'), (7, E'a\\xff')")
        try await withTemporarySpool { spool in
            let stream = SQLExtraction(database.source(), spool, from: "t")
            let result = try await stream.complete()
            let warning = try #require(result.warning("invalid_text"))
            #expect(warning.count == 1 && warning.message.contains("key 7"))
            let rows = try await stream.rows()
            #expect(rows.map { $0["v"]?.text } == [#""ok""#, "null"])
            #expect(rows[1]["_rescued"]?.stringValue == #"{"v":"\\x61ff"}"#)
        }
    }
}
