import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

/// A page builder with fixed surroundings, and what tests put into it.
struct PageFixture {
    let fields: FieldTable
    let page: PageBuilder

    init(
        table: String = "b2b-recs.raw_data.orders", stream: String = "orders", generation: Int = 0,
        runID: String? = nil,
        renames: [String: String] = [:]
    ) {
        let frame = RowFrame(runID: "run", renames: renames)
        fields = FieldTable(
            known: [], selection: FieldSelection(columns: nil, exclude: []), renames: renames,
            metadataNames: frame.allNames)
        page = PageBuilder(
            fields: fields, frame: frame,
            insertIDs: InsertIDMaker(table: table, stream: stream, generation: generation, runID: runID),
            lastExtractedAt: .minimum, clock: { Timestamp(microseconds: 0) })
    }

    func number(_ name: String) -> Int { Array(name.utf8).withUnsafeBytes(fields.number) }

    /// Adds a record of finished JSON values by field.
    func add(
        key: String?, _ values: [(String, ValueType, String)], rescued: [(String, String)] = [], changes: Int = 0,
        scope: [UInt8]? = nil, identity: String? = nil, equalsBefore: Int = 0
    ) {
        let slots = page.slots.count
        for (name, type, json) in values {
            let start = page.values.count
            page.values.append(json)
            page.addSlot(field: number(name), type: type, from: start)
        }
        let rescues = page.rescues.count
        for (name, text) in rescued { Array(text.utf8).withUnsafeBytes { page.rescue(field: number(name), text: $0) } }
        let id = Array((key ?? identity ?? "").utf8).withUnsafeBytes(page.keep)
        var record = PageBuilder.Record(
            slots: slots..<page.slots.count, id: key == nil ? nil : id, version: 0..<0, identity: id)
        record.rescues = rescues..<page.rescues.count
        record.hashesFields = true
        record.changes = changes
        record.countScope = scope?.withUnsafeBytes(page.keep)
        record.equalsBefore = equalsBefore
        page.add(record)
    }

    /// The payloads of the page.
    func rows() throws -> [JSONValue] {
        let batch = RowBatch()
        page.hashFields()
        page.assemble(into: batch)
        return try batch.payloads.map { try JSONValue(parsing: $0) }
    }

    func texts() -> [String] {
        let batch = RowBatch()
        page.hashFields()
        page.assemble(into: batch)
        return batch.payloads
    }
}

@Suite struct FieldHashTests {
    private let order: [(String, ValueType, String)] = [("id", .int64, "7"), ("amount", .numeric, #""1.10""#)]

    private func insertID(_ row: JSONValue) -> String? { row["_insert_id"]?.stringValue }

    @Test func `a keyed row has the id of the contract's vector`() throws {
        let fixture = PageFixture()
        fixture.add(key: "7", order)
        let row = try #require(fixture.rows().first)
        #expect(insertID(row) == "DF2JOe6FznXGt9fjDFDJeQ")
        #expect(row["_id"] == "7")
    }

    @Test func `the number of earlier changes makes another version`() throws {
        let fixture = PageFixture()
        for changes in [0, 1, 2] { fixture.add(key: "7", order, changes: changes) }
        let ids = try fixture.rows().compactMap(insertID)
        #expect(ids.first == "DF2JOe6FznXGt9fjDFDJeQ")
        #expect(Set(ids).count == 3)
    }

    @Test func `rescued values stand in front of the hashed fields and in the row`() throws {
        let fixture = PageFixture(renames: ["amount": "Total"])
        fixture.add(
            key: "7", [("id", .int64, "7"), ("amount", .null, "null"), ("b", .null, "null")],
            rescued: [("b", "in\"f"), ("amount", "NaN")])
        let text = try #require(fixture.texts().first)
        #expect(text.hasSuffix(#","_rescued":"{\"Total\":\"NaN\",\"b\":\"in\\\"f\"}","Total":null,"b":null,"id":7}"#))
        let plain = PageFixture(renames: ["amount": "Total"])
        plain.add(key: "7", [("id", .int64, "7"), ("amount", .null, "null"), ("b", .null, "null")])
        let ids = [try insertID(JSONValue(parsing: text)), insertID(try plain.rows()[0])]
        #expect(ids[0] != ids[1])
    }

    @Test func `equal rows without a key differ by how many came before`() throws {
        let fixture = PageFixture()
        for number in [0, 1] {
            fixture.add(key: nil, order, scope: [], identity: "public.orders", equalsBefore: number)
        }
        let rows = try fixture.rows()
        #expect(rows.map { $0["_id"] } == [.null, .null])
        #expect(Set(rows.compactMap(insertID)).count == 2)
    }

    @Test func `generation and run end the version`() throws {
        let ids = try [
            PageFixture(), PageFixture(generation: 1), PageFixture(runID: "r1"), PageFixture(runID: "r2"),
        ].map { fixture in
            fixture.add(key: "7", order)
            return try insertID(fixture.rows()[0])
        }
        #expect(Set(ids).count == 4)
    }
}
