internal import Foundation
internal import GRDB
internal import JSONBytes

/// Functions that SQLite lacks, by the rules of BigQuery. A failure ends the query with its message.
enum SQLFunctions {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    static func register(on database: Database) {
        for function in scalars { database.add(function: function) }
        database.add(function: DatabaseFunction("bq_sum", argumentCount: 1, aggregate: DecimalSum.self))
        database.add(function: DatabaseFunction("bq_avg", argumentCount: 1, aggregate: DecimalAverage.self))
        database.add(
            collation: DatabaseCollation("decimal") { left, right in
                guard let first = DecimalText(left), let second = DecimalText(right) else {
                    return left < right ? .orderedAscending : left == right ? .orderedSame : .orderedDescending
                }
                let order = DecimalText.compare(first, second)
                return order < 0 ? .orderedAscending : order == 0 ? .orderedSame : .orderedDescending
            })
    }

    /// - Parameter body: gets no NULL: any NULL argument makes the result NULL.
    private static func function(
        _ name: String, _ count: Int, _ body: @escaping @Sendable ([SQLValue]) throws -> SQLValue?
    ) -> DatabaseFunction {
        DatabaseFunction(name, argumentCount: count, pure: true) { values in
            let arguments = values.map(SQLValue.init)
            if arguments.contains(.null) { return nil }
            return try body(arguments)?.databaseValue
        }
    }

    private static let scalars: [DatabaseFunction] =
        [
            function("bq_cast", 4) { try cast($0) },
            function("bq_byte_length", 1) { .integer(Int64($0[0].bytes.count)) },
            function("bq_lower", 1) { .text($0[0].string.lowercased()) },
            function("bq_upper", 1) { .text($0[0].string.uppercased()) },
            function("bq_ends_with", 2) { .integer($0[0].string.hasSuffix($0[1].string) ? 1 : 0) },
            function("bq_to_base64", 1) { .text(Base64.encode($0[0].bytes)) },
            function("bq_from_base64", 1) {
                guard let bytes = $0[0].string.withBytes({ Base64.decode($0) }) else {
                    throw Failure(description: "Failed to decode invalid base64 string")
                }
                return .blob(bytes)
            },
            function("bq_to_hex", 1) {
                .text($0[0].bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
            },
            function("bq_like", 2) { .integer(try LikePattern($0[1].string).matches($0[0].string) ? 1 : 0) },
            function("bq_nested_bool", 1) { $0[0] },
            function("bq_json_value", 2) { try JSONPath.scalar($0[0].string, $0[1].string) },
            function("bq_json_query", 2) { try JSONPath.value($0[0].string, $0[1].string).map { .text($0.text) } },
            function("bq_to_json", 2) { toJSON($0[0], $0[1].string) },
        ] + arithmetic + dates

    // MARK: Arithmetic

    private static let arithmetic: [DatabaseFunction] = [
        function("bq_add", 3) { try calculate($0, { $0.addingReportingOverflow($1) }, +, { $0.adding($1) }) },
        function("bq_subtract", 3) {
            try calculate($0, { $0.subtractingReportingOverflow($1) }, -, { $0.adding($1.negated) })
        },
        function("bq_multiply", 3) {
            try calculate($0, { $0.multipliedReportingOverflow(by: $1) }, *, { _, _ in nil })
        },
        function("bq_divide", 3) {
            guard $0[1].double != 0 else {
                throw Failure(description: "division by zero: \($0[0].string) / \($0[1].string)")
            }
            return .real($0[0].double / $0[1].double)
        },
        function("bq_floor_divide", 2) {
            let (value, by) = ($0[0].int, $0[1].int)
            return .integer(value >= 0 ? value / by : -((-value + by - 1) / by))
        },
    ]

    private static func calculate(
        _ values: [SQLValue], _ exact: (Int64, Int64) -> (Int64, Bool), _ float: (Double, Double) -> Double,
        _ decimal: (DecimalText, DecimalText) -> DecimalText?
    ) throws -> SQLValue {
        switch values[2].string {
        case "INT64":
            let (result, overflow) = exact(values[0].int, values[1].int)
            guard !overflow else { throw Failure(description: "int64 overflow") }
            return .integer(result)
        case "NUMERIC":
            guard let left = DecimalText(values[0].string), let right = DecimalText(values[1].string),
                let result = decimal(left, right)
            else { throw Failure(description: "This arithmetic on NUMERIC is not supported by the sandbox") }
            return .text(result.text)
        default: return .real(float(values[0].double, values[1].double))
        }
    }

    // MARK: Dates

    private static let dates: [DatabaseFunction] = [
        function("bq_date", 3) {
            guard let days = CivilTime.days(year: Int($0[0].int), month: Int($0[1].int), day: Int($0[2].int)) else {
                throw Failure(description: "Input calculates to invalid date: \($0[0].int)-\($0[1].int)-\($0[2].int)")
            }
            return .text(CivilTime.dateText(days: days))
        },
        function("bq_from_unix", 2) {
            let (time, overflow) = $0[0].int.multipliedReportingOverflow(by: $0[1].int)
            guard !overflow, CivilTime.timestampRange.contains(time) else {
                throw Failure(description: "Timestamp value is out of allowed range: \($0[0].int)")
            }
            return .integer(time)
        },
        function("bq_truncate", 2) { values in
            let unit = try unit(values[1])
            return try values[0].mapTime { unit.truncate($0) }
        },
        function("bq_shift", 3) { values in
            let unit = try unit(values[2])
            return try values[0].mapTime { unit.shift($0, by: values[1].int) }
        },
        function("bq_diff", 3) {
            var countsWholeParts = false
            if case .integer = $0[0] { countsWholeParts = true }
            guard let first = $0[0].time, let second = $0[1].time,
                let result = try unit($0[2]).difference(first, second, countsWholeParts: countsWholeParts)
            else { throw Failure(description: "The date part \($0[2].string) is not supported here") }
            return .integer(result)
        },
        function("bq_extract", 2) {
            guard let time = $0[0].time, let result = try unit($0[1]).extract(time) else {
                throw Failure(description: "The date part \($0[1].string) is not supported here")
            }
            return .integer(result)
        },
    ]

    private static func unit(_ value: SQLValue) throws -> CivilUnit {
        guard let unit = CivilUnit(rawValue: value.string) else {
            throw Failure(description: "A valid date part name is required but found \(value.string)")
        }
        return unit
    }

    private static func toJSON(_ value: SQLValue, _ type: String) -> SQLValue {
        switch (value, FieldType(rawValue: type)) {
        case (.integer(let number), .boolean?): .text(number == 0 ? "false" : "true")
        case (.integer(let number), .timestamp?): .text(JSONValue.string(CivilTime.timestampText(number)).text)
        case (.integer(let number), _): .text(String(number))
        case (.real(let number), _):
            .text(number.isFinite ? "\(number)" : JSONValue.string(FloatText.text(number)).text)
        case (.text(let text), .json?): .text(text)
        case (.text(let text), _): .text(JSONValue.string(text).text)
        case (.blob(let bytes), _): .text(JSONValue.string(Base64.encode(bytes)).text)
        case (.null, _): .text("null")
        }
    }
}
