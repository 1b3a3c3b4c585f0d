import JSONBytes
import Testing

@testable import Ship

struct ConversionTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var type: SpooledType
        var value: String
        var column: ColumnSchema
        /// What is sent; nil: null, and the value is rescued.
        var sent: String?

        init(_ type: SpooledType, _ value: String, _ column: ColumnType, _ sent: String?) {
            self.type = type
            self.value = value
            self.column = ColumnSchema("c", column)
            self.sent = sent
        }

        init(_ type: SpooledType, _ value: String, _ column: ColumnSchema, _ sent: String?) {
            self.type = type
            self.value = value
            self.column = column
            self.sent = sent
        }

        var testDescription: String { "\(type.rawValue) \(value) into \(column.typeName)" }
    }

    private static func limited(_ type: ColumnType, precision: Int? = nil, scale: Int? = nil, length: Int? = nil)
        -> ColumnSchema
    {
        var column = ColumnSchema("c", type)
        column.precision = precision
        column.scale = scale
        column.maximumLength = length
        return column
    }

    private static func repeated(_ type: ColumnType, _ fields: [ColumnSchema] = []) -> ColumnSchema {
        var column = ColumnSchema("c", type)
        column.mode = .repeated
        column.fields = fields
        return column
    }

    private static func record(_ fields: ColumnSchema...) -> ColumnSchema {
        var column = ColumnSchema("c", .record)
        column.fields = fields
        return column
    }

    private static func nested(_ levels: Int) -> String {
        String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
    }

    static let scalars: [Case] = [
        Case(.bool, "true", .bool, "true"), Case(.bool, "true", .string, #""true""#), Case(.bool, "true", .int64, nil),
        Case(.bool, "false", .json, #""false""#),
        Case(.int64, "12", .int64, "12"), Case(.int64, "12", .float64, "12"), Case(.int64, "-12", .numeric, #""-12""#),
        Case(.int64, "12", .bignumeric, #""12""#), Case(.int64, "12", .string, #""12""#),
        Case(.int64, "12", .bool, nil),
        Case(.int64, "1", .timestamp, nil), Case(.int64, "12", .json, #""12""#), Case(.int64, "12", .bytes, nil),
        Case(.largeInt64, #""9007199254740993""#, .int64, #""9007199254740993""#),
        Case(.largeInt64, #""9007199254740993""#, .float64, nil),
        Case(.largeInt64, #""9007199254740994""#, .float64, "9007199254740994"),
        Case(.largeInt64, #""-9223372036854775808""#, .float64, "-9223372036854775808"),
        Case(.largeInt64, #""9223372036854775807""#, .numeric, #""9223372036854775807""#),
        Case(.largeInt64, #""9223372036854775807""#, .string, #""9223372036854775807""#),
        Case(.float64, "1.5", .float64, "1.5"), Case(.float64, #""NaN""#, .float64, #""NaN""#),
        Case(.float64, "1.5", .int64, nil), Case(.float64, "3.0", .int64, "3"), Case(.float64, "-0.0", .int64, nil),
        Case(.float64, "1e+21", .int64, nil), Case(.float64, "0.1", .numeric, nil),
        Case(.float64, "2.0", .numeric, #""2""#),
        Case(.float64, "0.1", .string, #""0.1""#), Case(.float64, #""Infinity""#, .string, #""Infinity""#),
        Case(.float64, #""NaN""#, .json, nil), Case(.float64, #""NaN""#, .int64, nil),
        Case(.numeric, #""1.10""#, .numeric, #""1.10""#), Case(.numeric, #""1.10""#, .bignumeric, #""1.10""#),
        Case(.numeric, #""1.10""#, .float64, nil), Case(.numeric, #""7""#, .int64, #"7"#),
        Case(.numeric, #""7.00""#, .int64, "7"), Case(.numeric, #""7.01""#, .int64, nil),
        Case(.numeric, #""1.10""#, .string, #""1.10""#),
        Case(.bignumeric, #""0.0000000001""#, .numeric, nil), Case(.bignumeric, #""1.5""#, .numeric, #""1.5""#),
        Case(.numeric, #""123.4""#, limited(.numeric, precision: 4, scale: 1), #""123.4""#),
        Case(.numeric, #""1234.5""#, limited(.numeric, precision: 4, scale: 1), nil),
        Case(.string, #""12""#, .int64, "12"), Case(.string, #""012""#, .int64, nil),
        Case(.string, #""+1""#, .int64, nil),
        Case(.string, #""-0""#, .int64, nil), Case(.string, #""9223372036854775808""#, .int64, nil),
        Case(.string, #""1.0""#, .float64, "1.0"), Case(.string, #""1e3""#, .float64, nil),
        Case(.string, #""1e+21""#, .float64, "1e+21"), Case(.string, #""NaN""#, .float64, #""NaN""#),
        Case(.string, #""true""#, .bool, "true"), Case(.string, #""True""#, .bool, nil),
        Case(.string, #""1""#, .bool, nil),
        Case(.string, #""1.0""#, .int64, nil), Case(.string, #""1""#, .float64, nil),
        Case(.string, #""0.10""#, .float64, nil), Case(.string, #""-0.0""#, .float64, "-0.0"),
        Case(.string, #""1.5""#, .numeric, #""1.5""#), Case(.string, #""abc""#, .numeric, nil),
        Case(.string, #""12""#, .numeric, #""12""#), Case(.string, #""-0.5""#, .bignumeric, #""-0.5""#),
        Case(.string, #""01""#, .numeric, nil), Case(.string, #""00""#, .bignumeric, nil),
        Case(.string, #""-0""#, .numeric, nil), Case(.string, #""1.50""#, .numeric, nil),
        Case(.string, #""1e400""#, .json, nil), Case(.string, #""[1e400]""#, .json, nil),
        Case(.string, #""1e300""#, .json, #""1e300""#),
        // What a JSON column would refuse or round, at any depth; what it keeps goes as it is.
        Case(.json, #""{\"a\":[1e400]}""#, .json, nil), Case(.jsonText, #""[1e-400]""#, .json, nil),
        Case(
            .json, #""[18446744073709551615,-9223372036854775808]""#, .json,
            #""[18446744073709551615,-9223372036854775808]""#),
        Case(.json, #""[18446744073709551616]""#, .json, nil),
        Case(.json, #""[18446744073709551617]""#, .json, nil),
        Case(.json, #""[0.1234567890123456789]""#, .json, nil),
        Case(
            .json, #""[0.30000000000000004,1.50,4.9e-324,5E-324,1E+2,100000000000000000000.0]""#, .json,
            #""[0.30000000000000004,1.50,4.9e-324,5E-324,1E+2,100000000000000000000.0]""#),
        Case(.json, #""[0.30000000000000003]""#, .json, nil),
        Case(.json, #""{\"\\\"1e400\":\"1e400\"}""#, .json, #""{\"\\\"1e400\":\"1e400\"}""#),
        Case(.json, "\"" + nested(500) + "\"", .json, "\"" + nested(500) + "\""),
        Case(.json, "\"" + nested(501) + "\"", .json, nil),
        Case(.string, #""2025-11-25""#, .date, #""2025-11-25""#), Case(.string, #""2025-02-29""#, .date, nil),
        Case(.string, #""14:57:57.425""#, .time, #""14:57:57.425""#), Case(.string, #""24:00:00""#, .time, nil),
        Case(.string, #""14:57:57.420""#, .time, nil),
        Case(.string, #""2025-11-25T14:57:57""#, .datetime, #""2025-11-25T14:57:57""#),
        Case(.string, #""2025-11-25 14:57:57""#, .datetime, nil),
        Case(.string, #""2025-11-25T16:57:57.100+02:00""#, .timestamp, #""2025-11-25T14:57:57.1Z""#),
        Case(.string, #""2025-11-25t14:57:57""#, .timestamp, #""2025-11-25T14:57:57Z""#),
        Case(.string, #""2025-11-25T14:57:57-00:00""#, .timestamp, #""2025-11-25T14:57:57Z""#),
        Case(.string, #""2025-11-25T14:57:60Z""#, .timestamp, nil),
        Case(.string, #""2025-11-25T14:57:57.1234567Z""#, .timestamp, nil),
        Case(.string, #""2025-11-25 14:57:57Z""#, .timestamp, nil), Case(.string, #""yesterday""#, .timestamp, nil),
        Case(.string, #""aGk=""#, .bytes, #""aGk=""#), Case(.string, #""aGk""#, .bytes, nil),
        Case(.string, #""aGl=""#, .bytes, nil),
        Case(.string, #""POINT(-2.0 1.5)""#, .geography, #""POINT(-2.0 1.5)""#),
        Case(.string, #""POINT(-2 1.5)""#, .geography, nil), Case(.string, #""POINT(1.0 91.0)""#, .geography, nil),
        Case(.string, #""{\"a\":1}""#, .json, #""{\"a\":1}""#), Case(.string, #""{\"a\": 1}""#, .json, nil),
        Case(.string, #""hello""#, .json, nil), Case(.string, #""a\u0001b""#, .string, #""a\u0001b""#),
        Case(.string, #""äöü""#, limited(.string, length: 3), #""äöü""#),
        Case(.string, #""äöüß""#, limited(.string, length: 3), nil),
        Case(.timestamp, #""2025-11-25T14:57:57.425Z""#, .timestamp, #""2025-11-25T14:57:57.425Z""#),
        Case(.timestamp, #""2025-11-25T14:57:57.425Z""#, .datetime, #""2025-11-25T14:57:57.425""#),
        Case(.timestamp, #""2025-11-25T14:57:57.425Z""#, .string, #""2025-11-25T14:57:57.425Z""#),
        Case(.timestamp, #""2025-11-25T14:57:57.425Z""#, .date, nil),
        Case(.timestamp, #""2025-11-25T14:57:57Z""#, .int64, nil),
        Case(.timestamp, #""2025-11-25T14:57:57Z""#, .json, #""\"2025-11-25T14:57:57Z\"""#),
        Case(.datetime, #""2025-11-25T14:57:57.425""#, .timestamp, #""2025-11-25T14:57:57.425Z""#),
        Case(.date, #""2025-11-25""#, .datetime, #""2025-11-25T00:00:00""#),
        Case(.date, #""2025-11-25""#, .timestamp, nil),
        Case(.bytes, #""aGk=""#, .string, #""aGk=""#), Case(.bytes, #""aGk=""#, .bytes, #""aGk=""#),
        Case(.geography, #""POINT(1.0 2.0)""#, .string, #""POINT(1.0 2.0)""#),
        Case(.jsonText, #""[1,2]""#, .string, #""[1,2]""#), Case(.jsonText, #""[1,2]""#, .json, #""[1,2]""#),
        Case(.json, #""{\"a\":1}""#, .string, #""{\"a\":1}""#), Case(.json, #""{\"a\":1}""#, .int64, nil),
        Case(.int64, "1", .other, nil),
    ]

    static let nested: [Case] = [
        Case(.jsonText, #""[\"a\",\"b\"]""#, repeated(.string), #"["a","b"]"#),
        Case(.jsonText, #""[1,2]""#, repeated(.int64), "[1,2]"),
        Case(.jsonText, #""[1,\"x\"]""#, repeated(.int64), nil),
        Case(.jsonText, #""[1,null]""#, repeated(.int64), nil), Case(.jsonText, #""[]""#, repeated(.int64), "[]"),
        Case(.jsonText, #""[[1]]""#, repeated(.int64), nil), Case(.jsonText, #""{\"a\":1}""#, repeated(.int64), nil),
        Case(.string, #""[1]""#, repeated(.int64), nil), Case(.int64, "1", repeated(.int64), nil),
        Case(
            .jsonText, #""{\"city\":\"Bonn\",\"zip\":53111}""#,
            record(ColumnSchema("city", .string), ColumnSchema("zip", .int64)), #"{"city":"Bonn","zip":53111}"#),
        Case(
            .jsonText, #""{\"city\":null}""#, record(ColumnSchema("city", .string), ColumnSchema("zip", .int64)),
            #"{"city":null}"#),
        Case(.jsonText, #""{\"land\":\"DE\"}""#, record(ColumnSchema("city", .string)), nil),
        Case(.jsonText, #""{\"city\":[1]}""#, record(ColumnSchema("city", .string)), nil),
        Case(.jsonText, #""[1]""#, record(ColumnSchema("city", .string)), nil),
        Case(
            .jsonText, #""[{\"n\":1},{\"n\":2}]""#, repeated(.record, [ColumnSchema("n", .int64)]),
            #"[{"n":1},{"n":2}]"#),
        Case(
            .jsonText, #""{\"at\":\"2025-11-25T14:57:57Z\"}""#, record(ColumnSchema("at", .timestamp)),
            #"{"at":"2025-11-25T14:57:57Z"}"#),
    ]

    /// Through planner and encoder, as a row would go.
    private func send(_ example: Case) -> (value: JSONValue?, rescued: JSONValue?) {
        let shape = ShapeDefinition(
            number: 1, rows: 1, columns: [ShapeColumn(name: "c", type: example.type)])
        var planner = TablePlanner(shapes: [shape])
        planner.existing = MetadataColumn.allCases.map { ColumnSchema($0.rawValue, $0.type) } + [example.column]
        let plan = planner.plan()
        let body = ByteBuffer()
        let encoder = RowEncoder(rescuedColumn: "_rescued")
        let payload = Array(#"{"c":\#(example.value)}"#.utf8)
        let outcome = payload.withUnsafeBytes { encoder.encode($0, plan.encodings[1] ?? .verbatim, into: body) }
        guard case .written = outcome, let row = try? JSONValue(parsing: body.array) else {
            Issue.record("\(outcome): \(body.string)")
            return (nil, nil)
        }
        let rescued = row["_rescued"]?.stringValue.flatMap { try? JSONValue(parsing: $0) }
        return (row["c"], rescued)
    }

    @Test(arguments: scalars + nested)
    func `a value goes into a column without loss, or is rescued`(_ example: Case) throws {
        let (value, rescued) = send(example)
        if let sent = example.sent {
            #expect(value == (try JSONValue(parsing: sent)))
            #expect(rescued == nil)
        } else {
            #expect(value == nil || value == .null)
            #expect(rescued?["c"] == (try JSONValue(parsing: example.value)))
        }
    }
}
