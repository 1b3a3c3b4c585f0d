import JSONBytes
import Sandbox
import Testing

struct InsertAllTests {
    @Test func `rows are stored in order and a success reply names no errors`() throws {
        let bench = try Bench()
        try bench.makeTable("t", "id INTEGER REQUIRED", "name STRING")
        let reply = try bench.insert([
            "rows": [
                ["insertId": "a", "json": ["id": 1, "name": "x"]], ["insertId": "b", "json": ["id": "2"]],
            ]
        ])
        #expect(reply.status == 200)
        #expect(reply.text == "{\"kind\":\"bigquery#tableDataInsertAllResponse\"}")
        #expect(try bench.state.rows(of: "d.t") == [["id": 1, "name": "x"], ["id": 2, "name": nil]])
        #expect(try bench.state.insertIDs(of: "p.d.t") == ["a", "b"])
    }
}
