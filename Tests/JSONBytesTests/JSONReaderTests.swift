import JSONBytes
import Testing

@Suite struct JSONReaderTests {
    @Test(arguments: [
        #"{"a":1,"b":[true,false,null],"c":{"d":"x"}}"#, "[]", "{}", "0", "-0", "1.5e+10", "-0.1E-3", #""""#,
        #""\u00e9\ud83d\ude00\n\/""#, "\"é😀\u{10FFFF}\u{80}\u{7FF}\u{800}\"", " [ 1 , 2 ] ",
    ])
    func `valid texts are accepted`(text: String) throws {
        _ = try JSONValue(parsing: text)
        let bytes = Array(text.utf8)
        try bytes.withUnsafeBufferPointer { pointer in
            var reader = JSONReader(try #require(pointer.baseAddress), count: pointer.count)
            try reader.skipValue()
            try reader.finish()
        }
    }

    @Test func `space of any length and kind is passed over`() throws {
        for length in 0..<40 {
            for mark in [" ", "\n", "\r", "\t", "x"] {
                let space = (mark == "x" ? "" : mark) + String(repeating: " ", count: length)
                let text =
                    "\(space)[\(space)1\(space),\(space){\(space)\"a\"\(space):\(space)null\(space)}\(space)]\(space)"
                #expect(try JSONValue(parsing: text) == [1, ["a": nil]], "\(text)")
                #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: space) }
                #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: "\(space)\u{B}1") }
            }
        }
    }

    @Test(arguments: [
        ("{", JSONSyntaxError.Kind.endOfInput), ("[1,]", .invalidNumber), ("01", .invalidNumber), ("1.", .endOfInput),
        ("1.x", .invalidNumber), ("-", .endOfInput), ("+1", .invalidNumber), (#""\x""#, .invalidEscape),
        (#""\ud800""#, .invalidEscape), (#""\udc00""#, .invalidEscape), (#""\ud800\u0041""#, .invalidEscape),
        (#""\u12g4""#, .invalidEscape), ("\"a\u{1}b\"", .controlCharacter), ("nul", .endOfInput),
        ("nulx", .unexpectedByte), (#"{"a" 1}"#, .unexpectedByte), ("[1 2]", .unexpectedByte),
        ("1 2", .unexpectedByte), ("", .endOfInput), (#""abc"#, .endOfInput), ("NaN", .invalidNumber),
    ])
    func `malformed texts are refused with the reason`(text: String, kind: JSONSyntaxError.Kind) {
        let error = #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: text) }
        #expect(error?.kind == kind)
    }

    @Test(
        arguments: [
            [0xC0, 0xAF], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x80], [0xFF],
            [0xC3, 0x28], [0xF0, 0x8F, 0xBF, 0xBF],
        ] as [[UInt8]])
    func `malformed UTF-8 is refused wherever it stands in a word`(sequence: [UInt8]) {
        for padding in 0..<9 {
            let bytes = [0x22] + [UInt8](repeating: 0x61, count: padding) + sequence + [0x62, 0x62, 0x62, 0x62, 0x22]
            let error = #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: bytes) }
            #expect(error?.kind == .invalidUTF8)
            #expect(error?.offset == 1 + padding)
        }
    }

    @Test func `nesting is bounded`() {
        let text = String(repeating: "[", count: 600) + String(repeating: "]", count: 600)
        let error = #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: text) }
        #expect(error?.kind == .tooDeep)
    }

    @Test func `every prefix of a text is reported as cut off, never as valid`() throws {
        let text = #"{"name":"é\n\ud83d\ude00 plain text","n":[1.5e3,true,null],"m":{"k":""}}"#
        let bytes = Array(text.utf8)
        for length in 0..<bytes.count {
            let error = #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: Array(bytes[..<length])) }
            #expect(error?.kind == .endOfInput)
        }
        _ = try JSONValue(parsing: bytes)
    }

    @Test func `strings are written with the fewest escapes`() throws {
        let value = try JSONValue(parsing: #""\u0041\u0000\b\f\n\r\t\u001f\"\\\/\u00e9\u2028\ud83d\ude00""#)
        #expect(value.text == "\"A\\u0000\\b\\f\\n\\r\\t\\u001f\\\"\\\\/é\u{2028}😀\"")
        #expect(try JSONValue(parsing: value.text) == value)
    }

    @Test func `escapes are found at every position of a word`() throws {
        for padding in 0..<17 {
            let prefix = String(repeating: "x", count: padding)
            for special in ["\"", "\\", "\n", "\u{1F}", "é", "\u{7F}"] {
                let buffer = ByteBuffer()
                buffer.appendJSONString(prefix + special + "tail of the text")
                #expect(try JSONValue(parsing: buffer.array) == .string(prefix + special + "tail of the text"))
            }
        }
    }

    @Test func `numbers keep their text`() throws {
        let text = #"[12345678901234567890,1.10,1e400,-0.0]"#
        #expect(try JSONValue(parsing: text).text == text)
    }

    @Test(arguments: [0, -1, 9, 10, Int64.max, Int64.min])
    func `integers are written in decimal`(value: Int64) {
        let buffer = ByteBuffer()
        buffer.append(decimal: value)
        #expect(buffer.string == String(value))
    }
}

struct ByteBufferTests {
    @Test func `hexadecimal of every byte at every length`() {
        let bytes = [UInt8](0...255) + [0x09, 0x90, 0xFF]
        for length in [0, 1, 3, 4, 5, 7, 255, 256, 259] {
            let buffer = ByteBuffer(capacity: 64)
            buffer.append(hexadecimal: Array(bytes.prefix(length)))
            let wanted = bytes.prefix(length).map { byte in
                let text = String(byte, radix: 16)
                return text.count == 1 ? "0" + text : text
            }
            #expect(buffer.string == wanted.joined())
        }
    }
}
