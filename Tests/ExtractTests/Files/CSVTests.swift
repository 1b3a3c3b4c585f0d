import JSONBytes
import TestSupport
import Testing

@testable import Extract

struct CSVTests {
    @Test(arguments: [
        ("0", "0"), ("-5", "-5"), ("0123", #""0123""#), ("-0", #""-0""#), ("+1", #""+1""#), ("1e3", #""1e3""#),
        ("9007199254740991", "9007199254740991"), ("9007199254740992", #""9007199254740992""#),
        ("9223372036854775807", #""9223372036854775807""#), ("9223372036854775808", #""9223372036854775808""#),
        ("1.5", "1.5"), ("1.50", #""1.50""#), (".5", #"".5""#), ("5.", #""5.""#), ("-0.0", "-0.0"),
        ("00.5", #""00.5""#),
        ("0.1", "0.1"), ("0.30000000000000004", "0.30000000000000004"), ("1e-05", #""1e-05""#),
        ("123456789.123456789123", #""123456789.123456789123""#), ("NaN", #""NaN""#), ("Infinity", #""Infinity""#),
        ("true", "true"), ("True", #""True""#), ("false", "false"), ("t", #""t""#),
        ("2024-02-29", #""2024-02-29""#), ("2023-02-29", #""2023-02-29""#), (" 1", #"" 1""#), ("1 ", #""1 ""#),
        ("2025-11-25T14:57:57Z", #""2025-11-25T14:57:57Z""#), ("ä", #""ä""#), ("a\tb", #""a\tb""#), ("-", #""-""#),
    ])
    func `a value's JSON gives back its text`(text: String, json: String) throws {
        #expect(try TextReaderFixture.csv("v\n\(text)\n") == [#"{"v":\#(json)}"#])
    }

    @Test(arguments: [
        ("9007199254740992", ValueType.largeInt64), ("9223372036854775808", .string), ("1.50", .string),
        ("1.5", .float64),
        ("2024-02-29", .date), ("2023-02-29", .string), ("2025-11-25T14:57:57Z", .timestamp),
        ("2025-11-25T14:57:57.10Z", .string), ("2025-11-25T14:57:57+00:00", .string), ("2025-11-25 14:57:57Z", .string),
        ("2025-11-25T14:57:57.1234567Z", .string), ("0000-01-01", .string), ("true", .bool), ("0123", .string),
        ("7", .int64),
    ])
    func `a value has a type only where its text is what the type prints`(text: String, type: ValueType) {
        let values = ByteBuffer()
        #expect(Array(text.utf8).withUnsafeBytes { CSVValue.write($0, to: values) } == type)
    }

    @Test(arguments: [
        ("a,b\n1,2\n", [#"{"a":1,"b":2}"#]), ("a,b\r\n1,2\r\n", [#"{"a":1,"b":2}"#]),
        ("a,b\r1,2\r", [#"{"a":1,"b":2}"#]),
        ("a,b\n1,2", [#"{"a":1,"b":2}"#]), ("\u{FEFF}a,b\n1,2", [#"{"a":1,"b":2}"#]),
        ("a,b\n\n1,2\n\n\n3,4\n", [#"{"a":1,"b":2}"#, #"{"a":3,"b":4}"#]),
        ("a,b\n1\n", [#"{"a":1}"#]), ("a,b\n1,\n", [#"{"a":1,"b":null}"#]), ("a,b\n,\"\"\n", [#"{"a":null,"b":""}"#]),
        ("a,b\n1,2,3,\"x,\"\n", [#"{"_rescued":"{\"_extra\":[\"3\",\"x,\"]}","a":1,"b":2}"#]),
        ("a\n\"x\ny\"\n", [#"{"a":"x\ny"}"#]), ("a\n\"x\"\"y\"\n", [#"{"a":"x\"y"}"#]),
        ("a\n\"\"\"\"\n", [#"{"a":"\""}"#]),
        ("a\nx\"y\n", [#"{"a":"x\"y"}"#]), ("a\n\"1\"\n", [#"{"a":1}"#]),
        ("a,a,a_2\n1,2,3\n", [#"{"a":1,"a_2":3,"a_3":2}"#]), (",b\n1,2\n", [#"{"_":1,"b":2}"#]),
        ("a\n\"x\"y\nz\n", ["2: text stands behind a closing quote: \"x\"y", #"{"a":"z"}"#]),
        ("a\n\"x\nz\n", ["2: a quote is never closed: \"x", #"{"a":"z"}"#]), ("a,b\n", []), ("", []), ("a", []),
        ("\"a\nb\",c\n1,2\n", [#"{"a_b":1,"c":2}"#]), ("a\n\"x\r\ny\"\r\nz\r\n", [#"{"a":"x\r\ny"}"#, #"{"a":"z"}"#]),
    ])
    func `what people have is read, in chunks of any size`(text: String, rows: [String]) throws {
        #expect(try TextReaderFixture.csv(text) == rows)
        for size in 1...4 {
            let chunks = [Int](repeating: size, count: text.utf8.count / size + 1)
            #expect(try TextReaderFixture.csv(text, chunks: chunks) == rows, "chunks of \(size)")
        }
    }

    @Test func `options change what delimits, quotes and is null`() throws {
        #expect(
            try TextReaderFixture.csv("1;'a;b';NULL;\n") {
                $0.delimiter = UInt8(ascii: ";")
                $0.quote = UInt8(ascii: "'")
                $0.hasHeader = false
                $0.nulls = ["NULL"]
            } == [#"{"c1":1,"c2":"a;b","c3":null,"c4":""}"#])
        #expect(try TextReaderFixture.csv("a\n\"x\n") { $0.quote = nil } == [#"{"a":"\"x"}"#])
    }

    @Test(arguments: 0..<8)
    func `random text never harms, and chunks make no difference`(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let alphabet: [UInt8] = Array("ab1,,\"\"\n\n\r\t".utf8) + [0xC3, 0xA4, 0xFF, 0]
        for _ in 0..<60 {
            let length = Int.random(in: 0...80, using: &random)
            let text = (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }
            let bytes = Array("x,y\n".utf8) + text
            let whole = try TextReaderFixture.read(bytes, CSVReader(CSVOptions()))
            let chunks = (0..<bytes.count).map { _ in Int.random(in: 1...7, using: &random) }
            let parts = try TextReaderFixture.read(bytes, chunks: chunks, CSVReader(CSVOptions()))
            #expect(whole == parts, "seed \(seed): \(bytes)")
        }
    }

    @Test(arguments: 0..<4)
    func `every table that RFC 4180 can write is read back`(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(100 + seed))
        let alphabet = Array("ab,\"\n\r ä→x")
        for _ in 0..<40 {
            let width = Int.random(in: 1...4, using: &random)
            let rows = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                (0..<width).map { _ in
                    String(
                        (0..<Int.random(in: 0...6, using: &random)).map { _ in
                            alphabet.randomElement(using: &random) ?? "a"
                        })
                }
            }
            let text = ([(1...width).map { "c\($0)" }] + rows).map { row in
                row.map { "\"" + $0.replacing("\"", with: "\"\"") + "\"" }.joined(separator: ",") + "\r\n"
            }.joined()
            let wanted = rows.map { row in
                JSONValue.object(row.enumerated().map { JSONMember("c\($0.offset + 1)", .string($0.element)) }).text
            }
            #expect(try TextReaderFixture.csv(text) == wanted, "seed \(seed): \(text)")
        }
    }

    @Test func `encodings become UTF-8`() {
        func decoded(_ encoding: TextEncoding, _ pieces: [[UInt8]]) -> String {
            var transcoder = TextTranscoder(encoding)
            let bytes = pieces.flatMap { transcoder.transcode($0) } + transcoder.finish()
            return String(decoding: bytes, as: UTF8.self)
        }
        #expect(decoded(.latin1, [[0x61, 0xE4, 0xA4]]) == "aä¤")
        #expect(decoded(.windows1252, [[0x80, 0x93, 0xFC]]) == "€“ü")
        #expect(decoded(.utf16LittleEndian, [[0x61], [0x00, 0x3D], [0xD8, 0x00, 0xDE]]) == "a😀")
        #expect(decoded(.utf16BigEndian, [[0x00, 0x61, 0xD8], [0x3D, 0xDE, 0x00]]) == "a😀")
        #expect(decoded(.utf16LittleEndian, [[0x61]]) == "\u{FFFD}")
    }
}
