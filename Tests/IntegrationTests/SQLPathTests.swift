import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// SQL databases as the program's source, from the command line to the table.
struct SQLPathTests {
    /// Every value is the same in the source's row, in the spool and in the table.
    private func verifyMatrix(_ examples: [TypeExample], source: String, nested: String = "string") async throws {
        try await SQLPipeline.with(source: source, stream: "from: matrix, mode: full, nested: \(nested)") { pipeline in
            let checked = try await pipeline.program.run("check", "--json")
            #expect(checked.code == 0, "\(checked.output)")
            let outcome = try await pipeline.program.run("run", "--json")
            #expect(outcome.code == 0, "\(outcome.diagnostics)")
            let spooled = try JSONValue(parsing: try pipeline.spool("SELECT payload FROM spooled_rows"))
            let rows = try pipeline.sandbox.state.rows(of: "p.d.orders")
            let row = try #require(rows.first)
            #expect(rows.count == 1)
            let rescued = try row["_rescued"]?.stringValue.map { try JSONValue(parsing: $0) }
            for (index, example) in examples.enumerated() {
                let column = TypeExample.column(index)
                #expect(spooled[column]?.text == example.json ?? "null", "spool: \(example)")
                #expect(example.isHeld(by: row[column]), "table: \(example) is \(row[column]?.text ?? "missing")")
                #expect(rescued?[column]?.stringValue == example.rescued, "rescued: \(example)")
            }
            let schema = try await pipeline.program.run("schema", "--json").json()
            var types: [String: String] = [:]
            for column in schema["streams"]?.arrayValue?.first?["columns"]?.arrayValue ?? [] {
                if let name = column["name"]?.stringValue { types[name] = column["table_type"]?.stringValue }
            }
            for (index, example) in examples.enumerated() where example.shape != "NULL" {
                let type = ["INT64_LARGE": "INT64", "JSON_TEXT": "STRING"][example.shape] ?? example.shape
                #expect(types[TypeExample.column(index)] == type, "type: \(example)")
            }
            let audit = try await pipeline.program.run("audit", "--json").json()
            #expect(audit["balanced"] == true)
        }
    }

    @Test(.postgres) func `every type of PostgreSQL arrives in the table, value by value`() async throws {
        let examples = PostgresTypes.scalars + PostgresTypes.nested
        let database = try await PostgresServer.running().database(
            PostgresTypes.definitions + TypeExample.table(examples))
        try await verifyMatrix(examples, source: "{type: postgres, url: \"\(database.url())\"}")
    }

    @Test(.mariaDB) func `every type of MariaDB arrives in the table, value by value`() async throws {
        let database = try await MariaDBServer.running().database(
            MariaDBTypes.definitions + TypeExample.table(MariaDBTypes.examples))
        try await verifyMatrix(MariaDBTypes.examples, source: "{type: mysql, url: \"\(database.url())\"}")
    }

    @Test(.postgres) func `a pinned type makes the column, and values that do not fit are rescued`() async throws {
        let database = try await PostgresServer.running().database(
            """
            CREATE TABLE orders (id int PRIMARY KEY, amount text, day text, never text);
            INSERT INTO orders VALUES (1, '12', '2025-01-01', NULL), (2, 'many', 'soon', NULL)
            """)
        try await SQLPipeline.with(
            source: "{type: postgres, url: \"\(database.url())\"}",
            stream: "from: orders, mode: full, types: {amount: INT64, day: DATE, never: NUMERIC, id: STRING}"
        ) { pipeline in
            let outcome = try await pipeline.program.run("run", "--json")
            #expect(outcome.code == 0, "\(outcome.diagnostics)")
            let schema = try await pipeline.program.run("schema", "--json").json()
            var types: [String: String] = [:]
            for column in schema["streams"]?.arrayValue?.first?["columns"]?.arrayValue ?? [] {
                if let name = column["name"]?.stringValue { types[name] = column["table_type"]?.stringValue }
            }
            #expect(types["amount"] == "INT64" && types["day"] == "DATE")
            #expect(types["never"] == "NUMERIC" && types["id"] == "STRING")
            let rows = try pipeline.sandbox.state.rows(of: "p.d.orders").sorted {
                $0["id"]?.stringValue ?? "" < $1["id"]?.stringValue ?? ""
            }
            #expect(rows.map { $0["id"]?.text } == ["\"1\"", "\"2\""])
            #expect(rows.map { $0["amount"]?.text } == ["12", "null"])
            #expect(rows.last?["_rescued"]?.stringValue == #"{"amount":"many","day":"soon"}"#)
        }
    }
}
