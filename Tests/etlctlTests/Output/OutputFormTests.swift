import Foundation
import JSONBytes
import Testing

@testable import etlctl

@Suite struct OutputFormTests {
    @Test func `JSON keeps the order of its members`() {
        let value: JSONValue = ["z": 1, "a": [true, nil, "x", .double(1.5)], "m": ["k": 1]]
        #expect(value.text == #"{"z":1,"a":[true,null,"x",1.5],"m":{"k":1}}"#)
        #expect(value.with("z", 2).with("n", .int(Optional<Int64>.none)).text.hasPrefix(#"{"z":2,"a""#))
        #expect(value["z"] == 1)
        #expect(value["none"] == nil)
    }

    @Test func `JSON escapes what it must and nothing else`() throws {
        let text = "\"\\/\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}é😀\r\n"
        let rendered = JSONValue.string(text).text
        #expect(rendered == "\"\\\"\\\\/\\n\\r\\t\\b\\f\\u0000\\u001f\u{7f}é😀\\r\\n\"")
        let decoded = try JSONDecoder().decode(String.self, from: Data(rendered.utf8))
        #expect(Array(decoded.unicodeScalars) == Array(text.unicodeScalars))
    }

    @Test func `a number JSON has no word for is null`() {
        #expect(JSONValue.array([.double(.nan), .double(.infinity), .double(0.1)]).text == "[null,null,0.1]")
        #expect(JSONValue.int(Int64.min).text == "-9223372036854775808")
    }

    @Test(
        arguments: [
            (0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567"), (-12_345, "-12,345"),
            (Int64.min, "-9,223,372,036,854,775,808"),
        ])
    func `counts have thousands separators`(_ value: Int64, _ text: String) {
        #expect(Readable.count(value) == text)
    }

    @Test(
        arguments: [
            (0, "0 B"), (1_023, "1,023 B"), (1_024, "1.0 KiB"), (5_452_595, "5.2 MiB"), (21_474_836_480, "20 GiB"),
            (1_048_575, "1.0 MiB"), (-2_048, "-2.0 KiB"), (Int64.max, "8,388,608 TiB"),
        ])
    func `sizes are short`(_ value: Int64, _ text: String) {
        #expect(Readable.bytes(value) == text)
    }

    @Test(
        arguments: [
            (Duration.zero, "0 ms"), (.milliseconds(350), "350 ms"), (.milliseconds(3_210), "3.2 s"),
            (.seconds(45), "45 s"), (.milliseconds(59_700), "1 min"), (.seconds(125), "2 min 5 s"),
            (.seconds(12_000), "3 h 20 min"), (.seconds(532_800), "6 d 4 h"), (.milliseconds(9_970), "10 s"),
            (.seconds(-5), "-5.0 s"),
        ])
    func `durations have the two units that matter`(_ value: Duration, _ text: String) {
        #expect(Readable.duration(value) == text)
    }

    @Test func `a table puts numbers to the right and texts to the left`() {
        var table = TextTable("stream", "rows", "size", "last error")
        table.append("memos", .count(12_345), .bytes(2_048), .none)
        table.append("a", .count(7), .bytes(0), "gone")
        #expect(
            table.text == """
                stream    rows     size  last error
                memos   12,345  2.0 KiB  -
                a            7      0 B  gone
                """)
        #expect(TextTable("a", "b").text == "a  b")
    }

    @Test func `a row that is too short or too long keeps the columns`() {
        var table = TextTable("a", "b")
        table.append("x")
        table.append("x", "y", "z")
        #expect(table.text == "a  b\nx  -\nx  y")
    }

    @Test func `what a terminal would obey is shown, not done`() {
        #expect(Readable.plain("a\u{1b}[2Jb\nc") == #"a\u{1b}[2Jb\u{a}c"#)
        #expect(Readable.plain("übel 😀") == "übel 😀")
        var table = TextTable("id")
        table.append("\u{1b}]0;x\u{7}")
        #expect(!table.text.contains("\u{1b}"))
    }
}
