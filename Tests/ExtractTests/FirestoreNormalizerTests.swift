import Foundation
import JSONBytes
import TestSupport
import Testing

@testable import Extract

@Suite struct FirestoreNormalizerTests {
    struct Rule: Sendable, CustomTestStringConvertible {
        var value: String
        var column: String
        var type: String
        var nested: String

        init(_ value: String, _ column: String, _ type: String, nested: String? = nil) {
            self.value = value
            self.column = column
            self.type = type
            self.nested = nested ?? column
        }

        var testDescription: String { value }
    }

    static let rules: [Rule] = [
        Rule(#"{"nullValue":null}"#, "null", "NULL"),
        Rule(#"{"nullValue":"NULL_VALUE"}"#, "null", "NULL"),
        Rule(#"{"booleanValue":true}"#, "true", "BOOL"),
        Rule(#"{"booleanValue":false}"#, "false", "BOOL"),
        Rule(#"{"integerValue":"0"}"#, "0", "INT64"),
        Rule(#"{"integerValue":"-42"}"#, "-42", "INT64"),
        Rule(#"{"integerValue":7}"#, "7", "INT64"),
        Rule(#"{"integerValue":"9007199254740991"}"#, "9007199254740991", "INT64"),
        Rule(#"{"integerValue":"-9007199254740991"}"#, "-9007199254740991", "INT64"),
        Rule(#"{"integerValue":"9007199254740992"}"#, #""9007199254740992""#, "INT64_LARGE"),
        Rule(#"{"integerValue":"9223372036854775807"}"#, #""9223372036854775807""#, "INT64_LARGE"),
        Rule(#"{"integerValue":"-9223372036854775808"}"#, #""-9223372036854775808""#, "INT64_LARGE"),
        Rule(#"{"doubleValue":1.0}"#, "1.0", "FLOAT64"),
        Rule(#"{"doubleValue":1}"#, "1.0", "FLOAT64"),
        Rule(#"{"doubleValue":0.1}"#, "0.1", "FLOAT64"),
        Rule(#"{"doubleValue":-0.0}"#, "-0.0", "FLOAT64"),
        Rule(#"{"doubleValue":1.0E21}"#, "1e+21", "FLOAT64"),
        Rule(#"{"doubleValue":9.007199254740992E15}"#, "9007199254740992.0", "FLOAT64"),
        Rule(#"{"doubleValue":9.007199254740994E15}"#, "9.007199254740994e+15", "FLOAT64"),
        Rule(#"{"doubleValue":1.0E16}"#, "1e+16", "FLOAT64"),
        Rule(#"{"doubleValue":0.00001}"#, "1e-05", "FLOAT64"),
        Rule(#"{"doubleValue":4.9E-324}"#, "5e-324", "FLOAT64"),
        Rule(#"{"doubleValue":2.2250738585072011e-308}"#, "2.225073858507201e-308", "FLOAT64"),
        Rule(#"{"doubleValue":1.7976931348623157E308}"#, "1.7976931348623157e+308", "FLOAT64"),
        Rule(#"{"doubleValue":0.30000000000000004}"#, "0.30000000000000004", "FLOAT64"),
        Rule(#"{"doubleValue":123456789.123456789}"#, "123456789.12345679", "FLOAT64"),
        Rule(#"{"doubleValue":"NaN"}"#, #""NaN""#, "FLOAT64"),
        Rule(#"{"doubleValue":"Infinity"}"#, #""Infinity""#, "FLOAT64"),
        Rule(#"{"doubleValue":"-Infinity"}"#, #""-Infinity""#, "FLOAT64"),
        Rule(#"{"timestampValue":"2024-01-02T03:04:05Z"}"#, #""2024-01-02T03:04:05Z""#, "TIMESTAMP"),
        Rule(#"{"timestampValue":"2024-01-02T03:04:05.120Z"}"#, #""2024-01-02T03:04:05.12Z""#, "TIMESTAMP"),
        Rule(#"{"timestampValue":"2024-01-02T03:04:05.000Z"}"#, #""2024-01-02T03:04:05Z""#, "TIMESTAMP"),
        Rule(#"{"timestampValue":"2025-11-25T14:57:57.425123Z"}"#, #""2025-11-25T14:57:57.425123Z""#, "TIMESTAMP"),
        Rule(#"{"timestampValue":"2025-11-25T14:57:57.425123000Z"}"#, #""2025-11-25T14:57:57.425123Z""#, "TIMESTAMP"),
        Rule(#"{"timestampValue":"1969-12-31T23:59:59.999999Z"}"#, #""1969-12-31T23:59:59.999999Z""#, "TIMESTAMP"),
        Rule(#"{"timestampValue":"0001-01-01T00:00:00Z"}"#, #""0001-01-01T00:00:00Z""#, "TIMESTAMP"),
        Rule(#"{"timestampValue":"9999-12-31T23:59:59.999999Z"}"#, #""9999-12-31T23:59:59.999999Z""#, "TIMESTAMP"),
        Rule(#"{"timestampValue":"2024-01-02T05:04:05+02:00"}"#, #""2024-01-02T03:04:05Z""#, "TIMESTAMP"),
        Rule(#"{"stringValue":""}"#, #""""#, "STRING"),
        Rule(#"{"stringValue":"plain"}"#, #""plain""#, "STRING"),
        Rule(#"{"stringValue":"é 漢 😀"}"#, #""é 漢 😀""#, "STRING"),
        Rule(#"{"stringValue":"\u00e9 \u6f22 \ud83d\ude00 \u2028"}"#, "\"é 漢 😀 \u{2028}\"", "STRING"),
        Rule(#"{"stringValue":"\u0041\/\u007f"}"#, "\"A/\u{7F}\"", "STRING"),
        Rule(
            #"{"stringValue":"\"\\\b\f\n\r\t\u0000\u001F\u0022"}"#, #""\"\\\b\f\n\r\t\u0000\u001f\"""#, "STRING"),
        Rule(#"{"bytesValue":""}"#, #""""#, "BYTES"),
        Rule(#"{"bytesValue":"AP/+aGk="}"#, #""AP/+aGk=""#, "BYTES"),
        Rule(#"{"bytesValue":"AP\/+aGk="}"#, #""AP/+aGk=""#, "BYTES"),
        Rule(
            #"{"referenceValue":"projects/p/databases/(default)/documents/users/alice"}"#, #""users/alice""#, "STRING"),
        Rule(
            #"{"referenceValue":"projects\/p\/databases\/(default)\/documents\/users\/é\u0022"}"#, #""users/é\"""#,
            "STRING"),
        Rule(
            #"{"referenceValue":"projects/p/databases/other/documents/users/alice"}"#,
            #""projects/p/databases/other/documents/users/alice""#, "STRING"),
        Rule(
            #"{"referenceValue":"projects/q/databases/(default)/documents/users/alice"}"#,
            #""projects/q/databases/(default)/documents/users/alice""#, "STRING"),
        Rule(
            #"{"geoPointValue":{"latitude":1.5,"longitude":-2.0}}"#, #""POINT(-2.0 1.5)""#, "GEOGRAPHY",
            nested: #"{"latitude":1.5,"longitude":-2.0}"#),
        Rule(#"{"geoPointValue":{}}"#, #""POINT(0.0 0.0)""#, "GEOGRAPHY", nested: #"{"latitude":0.0,"longitude":0.0}"#),
        Rule(
            #"{"geoPointValue":{"latitude":10}}"#, #""POINT(0.0 10.0)""#, "GEOGRAPHY",
            nested: #"{"latitude":10.0,"longitude":0.0}"#),
        Rule(
            #"{"geoPointValue":{"longitude":-179.99999}}"#, #""POINT(-179.99999 0.0)""#, "GEOGRAPHY",
            nested: #"{"latitude":0.0,"longitude":-179.99999}"#),
        Rule(#"{"arrayValue":{}}"#, #""[]""#, "JSON_TEXT", nested: "[]"),
        Rule(#"{"arrayValue":{"values":[]}}"#, #""[]""#, "JSON_TEXT", nested: "[]"),
        Rule(
            #"{"arrayValue":{"values":[{"integerValue":"1"},{"stringValue":"a\"b"},{"nullValue":null}]}}"#,
            #""[1,\"a\\\"b\",null]""#, "JSON_TEXT", nested: #"[1,"a\"b",null]"#),
        Rule(
            #"{"arrayValue":{"values":[{"arrayValue":{"values":[{"integerValue":"1"}]}},{"arrayValue":{}}]}}"#,
            #""[[1],[]]""#, "JSON_TEXT", nested: "[[1],[]]"),
        Rule(#"{"mapValue":{}}"#, #""{}""#, "JSON_TEXT", nested: "{}"),
        Rule(#"{"mapValue":{"fields":{}}}"#, #""{}""#, "JSON_TEXT", nested: "{}"),
        Rule(
            #"{"mapValue":{"fields":{"b":{"integerValue":"2"},"a":{"mapValue":{"fields":{"y":{"booleanValue":true},"x":{"doubleValue":1}}}}}}}"#,
            #""{\"a\":{\"x\":1.0,\"y\":true},\"b\":2}""#, "JSON_TEXT", nested: #"{"a":{"x":1.0,"y":true},"b":2}"#),
        Rule(
            #"{"mapValue":{"fields":{"z":{"integerValue":"1"},"\u0061":{"integerValue":"2"},"é":{"integerValue":"3"},"~":{"integerValue":"4"},"\u00ea":{"integerValue":"5"},"B":{"integerValue":"6"},"q\"":{"integerValue":"7"},"q!":{"integerValue":"8"},"\n":{"integerValue":"9"},"😀":{"integerValue":"10"},"\uffff":{"integerValue":"11"},"a.b":{"integerValue":"12"}}}}"#,
            #""{\"\\n\":9,\"B\":6,\"a\":2,\"a.b\":12,\"q!\":8,\"q\\\"\":7,\"z\":1,\"~\":4,\"é\":3,\"ê\":5,\"\#("\u{FFFF}")\":11,\"😀\":10}""#,
            "JSON_TEXT",
            nested: #"{"\n":9,"B":6,"a":2,"a.b":12,"q!":8,"q\"":7,"z":1,"~":4,"é":3,"ê":5,"\#("\u{FFFF}")":11,"😀":10}"#),
        Rule(
            #"{"mapValue":{"fields":{"__type__":{"stringValue":"__vector__"},"value":{"arrayValue":{"values":[{"doubleValue":1},{"doubleValue":-0.5}]}}}}}"#,
            #""[1.0,-0.5]""#, "JSON_TEXT", nested: "[1.0,-0.5]"),
        Rule(
            #"{"mapValue":{"fields":{"value":{"arrayValue":{"values":[{"doubleValue":1},{"doubleValue":"NaN"}]}},"__type__":{"stringValue":"__vector__"}}}}"#,
            #""[1.0,\"NaN\"]""#, "JSON_TEXT", nested: #"[1.0,"NaN"]"#),
    ]

    @Test(arguments: rules)
    func `a value becomes its column's JSON and type`(_ rule: Rule) throws {
        let answer = Normalized.answer([#"{"f":\#(rule.value)}"#])
        #expect(try Normalized().fields(answer) == [#"{"f":\#(rule.column)}"#])
        #expect(try Normalized().types(answer) == ["f \(rule.type)"])
        let asJSON = Normalized(nestsAsJSON: true)
        #expect(try asJSON.types(answer) == ["f \(rule.type == "JSON_TEXT" ? "JSON" : rule.type)"])
        #expect(try asJSON.fields(answer) == [#"{"f":\#(rule.column)}"#])
    }

    @Test(arguments: rules)
    func `a value inside an array and inside a map has its nested form`(_ rule: Rule) throws {
        let array = #"{"f":{"arrayValue":{"values":[{"integerValue":"1"},\#(rule.value)]}}}"#
        let map = #"{"f":{"mapValue":{"fields":{"k":\#(rule.value)}}}}"#
        let rows = try Normalized().fields(Normalized.answer([array, map])).map { row in
            try JSONValue(parsing: row)["f"]?.stringValue
        }
        #expect(rows == ["[1,\(rule.nested)]", #"{"k":\#(rule.nested)}"#])
    }

    @Test func `a double is the shortest text of its value, however it was written`() throws {
        var random = SeededRandom(seed: 20_261_125)
        var texts: [String] = []
        for _ in 0..<2000 {
            let value = Double(
                sign: .plus, exponent: .random(in: -40...60, using: &random),
                significand: .random(in: 1..<2, using: &random))
            let digits = Int.random(in: 0...17, using: &random)
            texts += [value.description, String(format: "%.\(digits)f", value), String(format: "-%.\(digits)g", value)]
        }
        let answer = Normalized.answer(texts.map { #"{"f":{"doubleValue":\#($0)}}"# })
        let expected = try texts.map { text in #"{"f":\#(try #require(Double(text)))}"# }
        #expect(try Normalized().fields(answer) == expected)
    }

    @Test func `fields stand in byte order of their columns behind the metadata`() throws {
        let answer = Normalized.answer([
            #"{"b":{"integerValue":"1"},"a":{"integerValue":"2"},"Z":{"integerValue":"3"},"_":{"integerValue":"4"}}"#
        ])
        let payloads = try Normalized().payloads(Array(answer.utf8))
        #expect(
            payloads == [
                #"{"_id":"m0","_path":"memos/m0","_created_at":"2025-11-25T14:57:57.425Z","_updated_at":"2025-11-25T14:57:57.425Z","_extracted_at":"2025-11-25T14:57:57.425Z","_run_id":"run","_op":"upsert","_insert_id":"\#(try insertID(of: payloads))","Z":3,"_":4,"a":2,"b":1}"#
            ])
    }

    private func insertID(of payloads: [String]) throws -> String {
        try #require(try JSONValue(parsing: payloads[0])["_insert_id"]?.stringValue)
    }

    @Test func `a document without fields is a row of metadata`() throws {
        let answer =
            "[{\"document\":{\"name\":\"\(Normalized.root)memos/m0\",\(Normalized.times)},\(Normalized.readTime)}]"
        #expect(try Normalized().fields(answer) == ["{}"])
    }

    @Test func `depth 20 is read`() throws {
        var value = #"{"integerValue":"1"}"#
        var expected = "1"
        for level in 0..<20 {
            value =
                level.isMultiple(of: 2)
                ? #"{"mapValue":{"fields":{"k":\#(value)}}}"# : #"{"arrayValue":{"values":[\#(value)]}}"#
            expected = level.isMultiple(of: 2) ? #"{"k":\#(expected)}"# : "[\(expected)]"
        }
        let row = try #require(try Normalized().fields(Normalized.answer([#"{"f":\#(value)}"#])).first)
        #expect(try JSONValue(parsing: row)["f"]?.stringValue == expected)
    }

    @Test func `a bottomless value is refused, not a crash`() throws {
        let open = String(repeating: #"{"arrayValue":{"values":["#, count: 100_000)
        #expect(throws: ExtractError.self) { try Normalized().fields(Normalized.answer([#"{"f":\#(open)"#])) }
    }

    // MARK: What is malformed

    @Test(arguments: [
        #"{"stringValue":"\x"}"#, #"{"stringValue":"\ud800"}"#, #"{"stringValue":"\udc00"}"#,
        #"{"stringValue":"\u12G4"}"#,
        "{\"stringValue\":\"a\u{1}b\"}", #"{"integerValue":"1.5"}"#, #"{"integerValue":"9223372036854775808"}"#,
        #"{"integerValue":""}"#, #"{"integerValue":"-"}"#, #"{"integerValue":1e3}"#, #"{"doubleValue":01}"#,
        #"{"doubleValue":1.}"#, #"{"doubleValue":.5}"#, #"{"doubleValue":1e}"#, #"{"doubleValue":+1}"#,
        #"{"doubleValue":1e999}"#, #"{"doubleValue":"nan"}"#, #"{"doubleValue":NaN}"#, #"{"doubleValue":0x10}"#,
        #"{"timestampValue":"2024-02-30T00:00:00Z"}"#, #"{"timestampValue":"2024-01-01 00:00:00Z"}"#,
        #"{"timestampValue":"10000-01-01T00:00:00Z"}"#, #"{"booleanValue":tru}"#, #"{"booleanValue":"true"}"#,
        #"{"nullValue":nul}"#, #"{}"#, #"{"stringValue":"a","integerValue":"1"}"#, #"{"mysteryValue":1}"#, "7", "null",
        #"{"arrayValue":[]}"#, #"{"arrayValue":{"items":[]}}"#, #"{"mapValue":{"fields":{"a":7}}}"#,
        #"{"geoPointValue":{"altitude":1}}"#,
    ])
    func `what is no value of Firestore is an error that names the document`(_ value: String) throws {
        let good = #"{"f":{"integerValue":"1"}}"#
        let error = try #require(throws: ExtractError.self) {
            try Normalized().fields(Normalized.answer([good, #"{"f":\#(value)}"#, good]))
        }
        #expect(error.kind == .malformed)
        #expect(error.description.contains("memos/m1 is malformed"), "\(error)")
    }

    @Test(
        arguments: [
            [0x80], [0xC0, 0xAF], [0xC3], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80],
            [0xF4, 0x90, 0x80, 0x80],
            [0xFF],
        ] as [[UInt8]])
    func `malformed UTF-8 is an error that names the document`(_ bytes: [UInt8]) throws {
        let answer = Normalized.answer([#"{"f":{"stringValue":"@"}}"#])
        let spoiled = answer.utf8.flatMap { $0 == UInt8(ascii: "@") ? bytes : [$0] }
        let error = try #require(throws: ExtractError.self) { try Normalized().payloads(spoiled) }
        #expect(error.kind == .malformed)
        #expect(error.description.contains("memos/m0 is malformed"), "\(error)")
    }
}
