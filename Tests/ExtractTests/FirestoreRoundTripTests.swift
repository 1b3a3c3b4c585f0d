import Extract
import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

/// Random documents go through the emulator into rows, and an independent decoder compares them with what the emulator tells.
@Suite(.firestoreEmulator) struct FirestoreRoundTripTests {
    @Test(arguments: [1, 2, 3] as [UInt64])
    func `random documents match the source value by value`(_ seed: UInt64) async throws {
        try await withDatabase { database, spool in
            var random = SeededRandom(seed: seed)
            var documents = RandomDocuments(root: database.root)
            let writes = (0..<120).map { FirestoreDatabase.Write.set("memos/m\($0)", documents.fields(&random)) }
            try await database.write(writes)
            let stream = Extraction(database, spool)
            try await stream.complete()
            let source = try await database.documents(of: "memos")
            let rows = try await stream.rows()
            #expect(rows.count == 120)
            for row in rows {
                let document = try #require(source[row.path])
                #expect(row["_created_at"] == ExpectedRow.timestamp(document["createTime"]?.stringValue ?? ""))
                #expect(row["_updated_at"] == ExpectedRow.timestamp(document["updateTime"]?.stringValue ?? ""))
                let fields = document["fields"]?.objectValue ?? []
                let values = (row.json.objectValue ?? []).filter { !ExpectedRow.metadata.contains($0.name) }
                #expect(values.count == fields.count, "seed \(seed), \(row.path)")
                for field in fields {
                    let expected = ExpectedRow(root: database.root).column(field.value)
                    #expect(
                        row[field.name] == expected, "seed \(seed), \(row.path), \(field.name): \(field.value.text)")
                }
                // Columns in byte order.
                let names = values.map(\.name)
                #expect(names == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
            }
        }
    }
}

/// Documents with every kind of value.
struct RandomDocuments {
    let root: String

    mutating func fields(_ random: inout SeededRandom) -> [String: JSONValue] {
        var fields: [String: JSONValue] = [:]
        for _ in 0..<random.next(below: 12) { fields["f\(random.next(below: 40))"] = value(&random, depth: 0) }
        return fields
    }

    func value(_ random: inout SeededRandom, depth: Int, inArray: Bool = false) -> JSONValue {
        switch random.next(below: depth < 4 ? 13 : 10) {
        case 0: return .none
        case 1: return .flag(random.next(below: 2) == 0)
        case 2: return .integer(Int64(bitPattern: random.next() >> UInt64(random.next(below: 64))))
        case 3: return double(&random)
        case 4: return time(&random)
        case 5, 6: return .text(text(&random))
        case 7:
            let bytes = (0..<random.next(below: 20)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            return ["bytesValue": .string(Data(bytes).base64EncodedString())]
        case 8:
            let database = random.next(below: 3) == 0 ? "projects/other/databases/(default)/documents" : root
            return ["referenceValue": .string(database + "/users/u\(random.next(below: 9))")]
        case 9:
            let latitude = Double(random.next(below: 180_000) - 90_000) / 1000
            let longitude = random.next(below: 4) == 0 ? 0 : Double(random.next(below: 360_000) - 180_000) / 1000
            return ["geoPointValue": ["latitude": .number("\(latitude)"), "longitude": .number("\(longitude)")]]
        case 10 where !inArray:
            let items = (0..<random.next(below: 5)).map { _ in value(&random, depth: depth + 1, inArray: true) }
            return ["arrayValue": ["values": .array(items)]]
        case 11 where !inArray:
            let numbers = (0..<random.next(below: 4) + 1).map { _ in
                JSONValue.double("\(Double(random.next(below: 1000)) / 8)")
            }
            return .map(["__type__": .text("__vector__"), "value": ["arrayValue": ["values": .array(numbers)]]])
        default:
            var members: [String: JSONValue] = [:]
            for _ in 0..<random.next(below: 6) {
                let key = random.next(below: 2) == 0 ? "k\(random.next(below: 20))" : text(&random) + "k"
                members[key] = value(&random, depth: depth + 1)
            }
            return .map(members)
        }
    }

    private func double(_ random: inout SeededRandom) -> JSONValue {
        switch random.next(below: 6) {
        case 0: return ["doubleValue": "NaN"]
        case 1: return ["doubleValue": random.next(below: 2) == 0 ? "Infinity" : "-Infinity"]
        case 2: return .double("\(Double(random.next(below: 2000) - 1000) / 4)")
        default:
            let double = Double(bitPattern: random.next())
            return double.isFinite ? .double("\(double)") : .double("4.9E-324")
        }
    }

    private func time(_ random: inout SeededRandom) -> JSONValue {
        let span = UInt64(Timestamp.maximum.microseconds - Timestamp.minimum.microseconds)
        var moment = Timestamp(microseconds: Timestamp.minimum.microseconds + Int64(random.next() % span))
        if random.next(below: 3) == 0 { moment.microseconds -= moment.microseconds % 1_000_000 }
        return .time(moment.description)
    }

    private func text(_ random: inout SeededRandom) -> String {
        let pieces = [
            "a", "Z", "0", " ", "\"", "\\", "/", "\n", "\t", "\u{8}", "\u{c}", "\r", "\u{1}", "\u{1f}", "\u{7f}", "é",
            "漢", "😀", "\u{2028}", "\u{FFFD}", "e\u{301}", "{", "]", ",",
        ]
        return (0..<random.next(below: 14)).map { _ in pieces[random.next(below: pieces.count)] }.joined()
    }
}

/// What a row must hold, written down a second time on purpose, in the plainest way.
struct ExpectedRow {
    static let metadata: Set<String> = [
        "_id", "_path", "_created_at", "_updated_at", "_extracted_at", "_run_id", "_op", "_insert_id", "_rescued",
    ]
    let root: String

    func column(_ value: JSONValue) -> JSONValue {
        guard let member = value.objectValue?.first else { return .null }
        switch member.name {
        case "arrayValue", "mapValue": return .string(nested(value))
        case "geoPointValue":
            let (latitude, longitude) = point(member.value)
            return .string("POINT(\(longitude) \(latitude))")
        default: return scalar(member)
        }
    }

    private func scalar(_ member: JSONMember) -> JSONValue {
        switch member.name {
        case "nullValue": return .null
        case "integerValue":
            let digits = member.value.stringValue ?? ""
            guard let number = Int64(digits) else { return .null }
            return number.magnitude < 1 << 53 ? .number(digits) : .string(digits)
        case "doubleValue":
            if case .string(let special) = member.value { return .string(special) }
            return .number("\(member.value.doubleValue ?? 0)")
        case "timestampValue": return Self.timestamp(member.value.stringValue ?? "")
        case "referenceValue":
            let name = member.value.stringValue ?? ""
            return .string(name.hasPrefix(root + "/") ? String(name.dropFirst(root.count + 1)) : name)
        default: return member.value
        }
    }

    private func nested(_ value: JSONValue) -> String {
        guard let member = value.objectValue?.first else { return "" }
        switch member.name {
        case "arrayValue":
            return "[" + (member.value["values"]?.arrayValue ?? []).map(nested).joined(separator: ",") + "]"
        case "mapValue":
            let members = member.value["fields"]?.objectValue ?? []
            if members.contains(where: { $0.name == "__type__" }), let numbers = member.value["fields"]?["value"] {
                return nested(numbers)
            }
            let sorted = members.sorted { Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8)) }
            return "{" + sorted.map { JSONValue.string($0.name).text + ":" + nested($0.value) }.joined(separator: ",")
                + "}"
        case "geoPointValue":
            let (latitude, longitude) = point(member.value)
            return "{\"latitude\":\(latitude),\"longitude\":\(longitude)}"
        default: return scalar(member).text
        }
    }

    private func point(_ value: JSONValue) -> (Double, Double) {
        (value["latitude"]?.doubleValue ?? 0, value["longitude"]?.doubleValue ?? 0)
    }

    static func timestamp(_ text: String) -> JSONValue {
        var text = text.dropLast()
        if text.contains(".") {
            while text.hasSuffix("0") { text = text.dropLast() }
            if text.hasSuffix(".") { text = text.dropLast() }
        }
        return .string(text + "Z")
    }
}
