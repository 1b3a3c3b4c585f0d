import JSONBytes
import Spool
import Testing

@testable import Extract

@Suite struct SQLTextTests {
    // MARK: JSON

    @Test(arguments: [
        (#" { "b" : 1.50 , "a" : [ 1 , 2e3 , -0 ] } "#, #"{"a":[1,2e3,-0],"b":1.50}"#),
        (#"{"a":1,"a":{"c":1,"b":2},"\u0061":3}"#, #"{"a":3}"#),
        (#"{"z":{"y":[{"b":1,"a":2}],"x":{}},"":null}"#, #"{"":null,"z":{"x":{},"y":[{"a":2,"b":1}]}}"#),
        (#"{"ä":1,"a\"b":2,"a":3,"\ud83d\ude00":4}"#, #"{"a":3,"a\"b":2,"ä":1,"😀":4}"#),
        (#""\u001f\/\u00e9""#, #""\u001f/é""#), ("12345678901234567890.10", "12345678901234567890.10"),
        ("true", "true"),
        ("[]", "[]"), (" null ", "null"),
    ])
    func `JSON is compacted, sorted, the last of repeated keys kept`(source: String, expected: String) throws {
        let target = ByteBuffer()
        try Array(source.utf8).withUnsafeBytes { try CompactJSON().append($0, to: target) }
        #expect(target.string == expected)
    }

    @Test(arguments: ["", "{", "[1,]", "{\"a\":1,}", "01", "nul", "\"\\ud800\"", "1 2", "{\"a\" 1}"])
    func `what is no JSON leaves nothing behind`(source: String) {
        let target = ByteBuffer()
        target.append("x")
        #expect(throws: JSONSyntaxError.self) {
            try Array(source.utf8).withUnsafeBytes { try CompactJSON().append($0, to: target) }
        }
        #expect(target.string == "x")
    }

    @Test func `compacting once more changes nothing`() throws {
        var generator = SystemRandomNumberGenerator()
        func value(_ depth: Int) -> String {
            switch Int.random(in: 0..<(depth > 4 ? 4 : 6), using: &generator) {
            case 0: return String(Int.random(in: -1000...1000, using: &generator))
            case 1: return ["true", "false", "null"].randomElement(using: &generator) ?? "null"
            case 2: return "\"k\\u00e4\(Int.random(in: 0...9, using: &generator))\""
            case 3: return "1.5e\(Int.random(in: 0...9, using: &generator))"
            case 4: return "[" + (0..<3).map { _ in value(depth + 1) }.joined(separator: " , ") + "]"
            default:
                return "{"
                    + (0..<4).map { _ in "\"\(Int.random(in: 0...5, using: &generator))\" : \(value(depth + 1))" }
                    .joined(separator: ",") + "}"
            }
        }
        let compactor = CompactJSON()
        for _ in 0..<200 {
            let source = value(0)
            let (once, twice) = (ByteBuffer(), ByteBuffer())
            try Array(source.utf8).withUnsafeBytes { try compactor.append($0, to: once) }
            try compactor.append(once.bytes, to: twice)
            #expect(once.string == twice.string, "\(source)")
        }
    }

    // MARK: Decimals

    private func sortKey(_ text: String) -> [UInt8]? { Array(text.utf8).withUnsafeBytes { DecimalText.sortKey($0) } }

    @Test func `sort keys of decimals sort like the numbers`() throws {
        let sorted = [
            "-1000000000000000000000", "-9223372036854775808", "-10.5", "-10.05", "-10", "-9.99", "-1", "-0.1", "-0.01",
            "0",
            "0.001", "0.01", "0.010001", "0.1", "1", "1.5", "9", "10", "10.01", "99", "100", "9223372036854775807",
            "18446744073709551615", "123456789012345678901234567890.5",
        ]
        let keys = try sorted.map { try #require(sortKey($0)) }
        for (left, right) in zip(keys, keys.dropFirst()) { #expect(left.lexicographicallyPrecedes(right)) }
        #expect(sortKey("1.50") == sortKey("01.5"))
        #expect(sortKey("-0.00") == sortKey("0"))
        for wrong in ["", "-", ".5", "1.", "1e5", "NaN", "1 "] { #expect(sortKey(wrong) == nil, "\(wrong)") }
    }

    // MARK: Watermarks

    @Test(arguments: [
        ("timestamp", "2025-11-25T14:57:57.425Z", nil, "2025-11-25T14:52:57.425Z"),
        ("datetime", "2025-11-25T14:57:57", nil, "2025-11-25T14:52:57"), ("date", "2025-11-25", nil, "2025-11-25"),
        ("date", "2025-11-25", Lookback.duration(.seconds(86_400)), "2025-11-24"),
        ("date", "2025-11-25", Lookback.duration(.seconds(90_000)), "2025-11-24"),
        ("number", "10", Lookback.number(3), "7"), ("number", "10.5", Lookback.number(3), "6"),
        ("number", "10", nil, "10"),
        ("float", "10.5", Lookback.number(3), "7.5"), ("text", "b", nil, "b"),
        ("timestamp", "-infinity", nil, "-infinity"),
        ("timestamp", "0001-01-01T00:00:00Z", nil, "0001-01-01T00:00:00Z"),
    ])
    func `a lookback moves a watermark back`(kind: String, text: String, lookback: Lookback?, expected: String) throws {
        let kind = try #require(SQLWatermarkClass(rawValue: kind))
        let value = try #require(SQLWatermarkValue(text, kind))
        #expect(value.minus(lookback).text == expected)
    }

    @Test func `moments sort by time, also outside of the calendar`() throws {
        let sorted = [
            "-infinity", "4713-01-01 00:00:00 BC", "0001-12-31 23:59:59 BC", "0001-01-01 00:00:00",
            "1969-12-31 23:59:59.999999",
            "1970-01-01 00:00:00", "2025-01-01", "2025-01-01 00:00:00.1+00", "2025-01-01T00:00:00.2Z",
            "10000-01-01 00:00:00",
            "infinity",
        ]
        let keys = try sorted.map { try #require(SQLWatermarkValue($0, .timestamp)).sortKey }
        for (left, right) in zip(keys, keys.dropFirst()) { #expect(left.lexicographicallyPrecedes(right)) }
    }

    // MARK: Names and addresses

    @Test func `names are taken as they are or quoted`() throws {
        func parse(_ text: String) throws -> SQLName { try SQLName(parsing: text, quote: "\"", stream: "s") }
        #expect(try parse("orders") == SQLName(schema: nil, table: "orders"))
        #expect(try parse("Sales.Ord ers") == SQLName(schema: "Sales", table: "Ord ers"))
        #expect(try parse(#""a.b"."c""d""#) == SQLName(schema: "a.b", table: "c\"d"))
        for wrong in ["", ".", "a.", ".b", "a.b.c", "\"a", "\"a\"b"] {
            #expect(throws: ExtractError.self) { try parse(wrong) }
        }
    }

    @Test(arguments: [
        ("postgres://u:p@h/d", "postgres://u:p@h/d"),
        ("postgres://h/d?options=a@b&x=1", "postgres://h/d?options=a@b&x=1"),
        (
            "postgres://u:pass:w@rd/?#@h:5/d?sslmode=require",
            "postgres://u:pass%3Aw%40rd%2F%3F%23@h:5/d?sslmode=require"
        ),
        ("postgres://u:a%40b%@h/d", "postgres://u:a%40b%25@h/d"),
        ("postgres:///d?host=/run", "postgres:///d?host=/run"),
        ("postgres://ü@h", "postgres://%C3%BC@h"),
        ("postgres://u:p@h/d?options=a@b", "postgres://u:p@h/d?options=a@b"),
    ])
    func `a password need not be percent-encoded`(url: String, expected: String) throws {
        let text = try #require(SQLAddressText(url))
        #expect(text.encoded == expected)
    }

    @Test func `MySQL's URLs`() throws {
        func parse(_ url: String) throws -> MySQLAddress {
            try MySQLAddress(MySQLSource.Configuration(url: url, location: "there", secrets: []))
        }
        let full = try parse(
            "mysql://etl:p%40:/w@db.example:3307/erp?ssl-mode=VERIFY_CA&ssl-ca=/ca.pem&connect_timeout=3")
        #expect(full.host == "db.example" && full.port == 3307 && full.user == "etl" && full.password == "p@:/w")
        #expect(full.database == "erp" && full.tls == .verifyCA && full.certificateAuthority == "/ca.pem")
        #expect(full.connectTimeout == 3)
        let socket = try parse("mariadb://root@%2Frun%2Fs/erp")
        #expect(socket.socket == "/run/s" && socket.host == nil && socket.password == nil)
        #expect(try parse("mysql://[::1]:3306/x").host == "::1")
        #expect(try parse("mysql://h/x?sslmode=verify-full").tls == .verifyIdentity)
        for wrong in ["mysql:/h", "mysql://h:0/x", "mysql://h/x?ssl-mode=maybe", "mysql://h/x?unknown=1"] {
            #expect(throws: ExtractError.self) { try parse(wrong) }
        }
    }

    // MARK: COPY

    @Test(
        arguments: [
            ("a\tb\n", ["a", "b"]), ("\\N\t\\N\n", [nil, nil]), ("\t\n", ["", ""]),
            ("a\\tb\\\\N\t\\N\n", ["a\tb\\N", nil]),
            ("\\N\t\n", [nil, ""]), ("\t\\N\n", ["", nil]), ("\\b\\f\\n\\r\\v\tx\n", ["\u{8}\u{c}\n\r\u{b}", "x"]),
        ] as [(String, [String?])])
    func `rows of COPY are taken apart`(row: String, expected: [String?]) {
        let chunk = SQLChunk(width: 2)
        Array(row.utf8).withUnsafeBufferPointer { bytes in
            if let base = bytes.baseAddress { PostgresCopyText.append(row: base, count: bytes.count, to: chunk) }
        }
        #expect(chunk.rows == 1)
        #expect((0..<2).map { chunk.cell(0, $0).map { String(decoding: $0, as: UTF8.self) } } == expected)
    }
}
