import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// Fields that no table was made for: thousands of them, and one that changes its type over time.
@Suite(.firestoreEmulator) struct FirestoreFieldTests {
    /// A value of a row as text: from its column, else from `_rescued`.
    private func value(_ column: String, of row: JSONValue) throws -> String? {
        func text(_ value: JSONValue) -> String { value.stringValue ?? value.text }
        if let found = row[column], !found.isNull { return text(found) }
        guard let rescued = row["_rescued"]?.stringValue else { return nil }
        return try JSONValue(parsing: rescued)[column].map(text)
    }

    @Test(arguments: [0, 3, 5])
    func `a field that changes its type arrives with every value, in its column or in _rescued`(_ first: Int)
        async throws
    {
        let values: [(JSONValue, String?)] = [
            (.integer(7), "7"), (.integer(1 << 60), "1152921504606846976"), (.double("1.5"), "1.5"),
            (.text("12"), "12"), (.text("abc"), "abc"), (.flag(true), "true"), (.none, nil),
            (.time("2025-11-25T14:57:57.425Z"), "2025-11-25T14:57:57.425Z"), (["bytesValue": "AQID"], "AQID"),
            (.list(.integer(1), .text("x")), #"[1,"x"]"#),
            (.map(["b": .flag(false), "a": .none]), #"{"a":null,"b":false}"#),
            (["geoPointValue": ["latitude": .number("1.5"), "longitude": .number("-2")]], "POINT(-2.0 1.5)"),
            (.text("2025-11-25T14:57:57Z"), "2025-11-25T14:57:57Z"), (["doubleValue": "NaN"], "NaN"), (.text(""), ""),
        ]
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            // The type that comes first makes the column; all others come in a run of their own.
            let order = Array(values.indices[first...]) + Array(values.indices[..<first])
            for index in order {
                try await pipeline.database.set("memos/m\(index)", ["v": values[index].0, "n": .integer(Int64(index))])
                let outcome = try await pipeline.program.run("run", "--settle", "0s", "--json")
                #expect(outcome.code == 0, "\(outcome.diagnostics)")
            }
            let rows = try pipeline.sandbox.state.rows(of: "p.d.memos")
            #expect(rows.count == values.count)
            for row in rows {
                let index = Int(row["n"]?.intValue ?? row["n"]?.stringValue.flatMap { Int64($0) } ?? -1)
                #expect(try value("v", of: row) == values[index].1, "\(index): \(row.text)")
            }
            let status = try await pipeline.stream("status")
            #expect(status["delivered"]?.intValue == Int64(values.count) && status["rejected"]?.intValue == 0)
        }
    }

    @Test func `10,000 field names need bounded memory, and fields without a column are in _rescued`() async throws {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            // Every document has a shape of its own.
            func number(_ document: Int, _ place: Int) -> Int { (document * 10 + place * 251) % 10_000 }
            try await pipeline.database.write(
                (0..<1000).map { document in
                    let fields = (0..<20).map { place in
                        (String(format: "field-%05d", number(document, place)), JSONValue.integer(Int64(place)))
                    }
                    return .set("memos/m\(document)", Dictionary(uniqueKeysWithValues: fields))
                })
            let extracting = try pipeline.program.start(["extract", "--json"])
            let (extracted, memory) = await extracting.waitMeasuringMemory()
            #expect(extracted.code == 0)
            #expect(memory < 96 << 20, "\(memory >> 20) MB")
            let shipping = try pipeline.program.start(["ship", "--settle", "0s", "--json"])
            let (shipped, shipMemory) = await shipping.waitMeasuringMemory()
            #expect(shipped.code == 0, "\(shipped.diagnostics)")
            #expect(shipMemory < 160 << 20, "\(shipMemory >> 20) MB")
            let rows = try pipeline.sandbox.state.rows(of: "p.d.memos")
            #expect(rows.count == 1000)
            var rescued = 0
            for row in rows {
                let document = Int(row["_id"]?.stringValue?.dropFirst() ?? "") ?? -1
                let members = Dictionary((row.objectValue ?? []).map { ($0.name, $0.value) }) { first, _ in first }
                let beside = try members["_rescued"]?.stringValue.map { try JSONValue(parsing: $0) }
                if beside != nil { rescued += 1 }
                let wrong = (0..<20).filter { place in
                    let column = String(format: "field_%05d", number(document, place))
                    let found = members[column].flatMap { $0.isNull ? nil : $0 } ?? beside?[column]
                    return (found?.stringValue ?? found?.text) != "\(place)"
                }
                #expect(wrong.isEmpty, "\(document): \(wrong)")
            }
            // A table takes 10,000 columns, and nine of them are metadata.
            #expect(rescued > 0 && rescued < 50)
        }
    }
}
