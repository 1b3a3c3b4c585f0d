import Testing

@testable import Extract

struct JSONLinesTests {
    @Test(arguments: [
        (#"{"b":1,"a":"x"}"#, #"{"a":"x","b":1}"#), (#" { "a" : null } "#, #"{"a":null}"#), ("{}", "{}"),
        (#"{"a":true,"b":false}"#, #"{"a":true,"b":false}"#),
        (#"{"a":{"z":1.50,"a":[1, "\u00e4"]}}"#, #"{"a":"{\"a\":[1,\"ä\"],\"z\":1.50}"}"#),
        (#"{"a":{"x":1,"x":2}}"#, #"{"a":"{\"x\":2}"}"#), (#"{"a":1,"b":2,"a":3}"#, #"{"a":3,"b":2}"#),
        (#"{"a":1,"\u0061":{"x":4}}"#, #"{"a":"{\"x\":4}"}"#),
        (#"{"a":9007199254740992}"#, #"{"a":"9007199254740992"}"#), (#"{"a":1.10}"#, #"{"a":1.1}"#),
        (#"{"a":-0}"#, #"{"a":-0.0}"#), (#"{"a":1E2}"#, #"{"a":100.0}"#),
        (#"{"a":12345678901234567890123}"#, #"{"a":"12345678901234567890123"}"#),
        (#"{"a":0.1234567890123456789}"#, #"{"_rescued":"{\"a\":\"0.1234567890123456789\"}","a":0.12345678901234568}"#),
        (#"{"a":1e400}"#, #"{"_rescued":"{\"a\":\"1e400\"}","a":null}"#),
        (#"{"a":1e-400}"#, #"{"_rescued":"{\"a\":\"1e-400\"}","a":0.0}"#), (#"{"a":0.0e9}"#, #"{"a":0.0}"#),
        (#"{"a":100000000000000000000.0}"#, #"{"a":1e+20}"#),
        ("[1]", "1: the line is no JSON object: [1]"), ("\"x\"", "1: the line is no JSON object: \"x\""),
        (#"{"a":01}"#, #"1: malformed number at byte 6: {"a":01}"#),
        (#"{"a":1} x"#, #"1: unexpected character at byte 8: {"a":1} x"#),
        (#"{"a":"#, #"1: the JSON ends in the middle of a value at byte 5: {"a":"#),
        (#"{"a":"\ud800"}"#, #"1: malformed escape sequence or lone surrogate at byte 6: {"a":"\ud800"}"#),
    ])
    func `a line becomes a row or is named`(line: String, row: String) throws {
        #expect(try TextReaderFixture.json(line + "\r\n") == [row])
        #expect(try TextReaderFixture.json(line) == [row])
    }

    @Test(arguments: 1...6)
    func `chunks of any size give the same rows`(size: Int) throws {
        let text = "\u{FEFF}{\"a\":\"ä\"}\n\n{\"a\":1}\r\n  \nnope\n{\"a\":[{}]}"
        let chunks = [Int](repeating: size, count: text.utf8.count)
        #expect(
            try TextReaderFixture.json(text, chunks: chunks) == [
                #"{"a":"ä"}"#, #"{"a":1}"#,
                "5: unexpected character at byte 0: nope".replacing(
                    "unexpected character at byte 0", with: "the line is no JSON object"),
                #"{"a":"[{}]"}"#,
            ])
    }

    @Test func `the key's text is as in the id`() throws {
        #expect(
            try TextReaderFixture.json(
                "{\"a\":\"x\\n\",\"b\":9007199254740992}\n{\"a\":1,\"b\":null}\n", key: ["b", "a"])
                == [#"["9007199254740992","x\n"] {"a":"x\n","b":"9007199254740992"}"#, #"{"a":1,"b":null}"#])
        #expect(try TextReaderFixture.json(#"{"a":"x\n"}"#, key: ["a"]) == ["x\n {\"a\":\"x\\n\"}"])
    }
}
