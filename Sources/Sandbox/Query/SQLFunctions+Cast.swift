extension SQLFunctions {
    /// Which casts there are (conversion_rules page), as far as the sandbox knows them.
    static func canCast(_ from: FieldType, _ to: FieldType) -> Bool {
        if from == to || from == .string || to == .string { return ![.record, .range].contains(from) }
        let numbers: Set<FieldType> = [.integer, .float, .numeric, .bignumeric]
        if numbers.contains(from), numbers.contains(to) { return true }
        switch (from, to) {
        case (.boolean, .integer), (.integer, .boolean): return true
        case (.timestamp, .date), (.timestamp, .datetime), (.timestamp, .time), (.date, .timestamp), (.date, .datetime),
            (.datetime, .date), (.datetime, .timestamp), (.datetime, .time):
            return true
        default: return false
        }
    }

    /// Arguments: value, from, to, whether failures are NULL.
    static func cast(_ arguments: [SQLValue]) throws -> SQLValue? {
        guard let from = FieldType(rawValue: arguments[1].string), let to = FieldType(rawValue: arguments[2].string)
        else {
            return nil
        }
        if let result = converted(arguments[0], from, to) { return result }
        if arguments[3] == .integer(1) { return nil }
        let shown = text(arguments[0], from)
        switch to {
        case .timestamp: throw Failure(description: "Invalid timestamp: '\(shown)'")
        case .date: throw Failure(description: "Invalid date: '\(shown)'")
        case .datetime: throw Failure(description: "Invalid datetime string \"\(shown)\"")
        default: throw Failure(description: "Bad \(to.sqlName.lowercased()) value: \(shown)")
        }
    }

    private static func converted(_ value: SQLValue, _ from: FieldType, _ to: FieldType) -> SQLValue? {
        if to == .string { return .text(text(value, from)) }
        if from == .string {
            if to == .bytes { return .blob(Array(value.string.utf8)) }
            return SQLCoercion.value(value.string, as: to)
        }
        switch (from, to) {
        case (.boolean, .integer): return value
        case (.integer, .boolean): return .integer(value.int == 0 ? 0 : 1)
        case (.integer, .float): return .real(Double(value.int))
        case (.float, .integer):
            // Halves are rounded away from zero.
            return Int64(exactly: value.double.rounded(.toNearestOrAwayFromZero)).map { .integer($0) }
        case (.numeric, .float), (.bignumeric, .float): return .real(value.double)
        case (.numeric, .integer), (.bignumeric, .integer):
            return Int64(exactly: value.double.rounded(.toNearestOrAwayFromZero)).map { .integer($0) }
        case (_, .numeric), (_, .bignumeric): return SQLCoercion.value(text(value, from), as: to)
        default: return value.time.flatMap { temporal($0, to) }
        }
    }

    private static func temporal(_ time: Int64, _ to: FieldType) -> SQLValue? {
        switch to {
        case .timestamp: .integer(time)
        case .date: .text(CivilTime.dateText(days: CivilTime.split(time).days))
        case .datetime: .text(CivilTime.datetimeText(microseconds: time))
        case .time: .text(CivilTime.timeText(microseconds: CivilTime.split(time).rest))
        default: nil
        }
    }

    /// As CAST(... AS STRING) prints it.
    private static func text(_ value: SQLValue, _ type: FieldType) -> String {
        switch (value, type) {
        case (.integer(let number), .boolean): return number == 0 ? "false" : "true"
        case (.integer(let number), .timestamp):
            // `2024-01-02 03:04:05.123456+00`
            let text = CivilTime.datetimeText(microseconds: number)
            return text.replacing("T", with: " ") + "+00"
        case (.text(let text), .datetime): return text.replacing("T", with: " ")
        case (.real(let number), _) where number == number.rounded() && abs(number) < 1e15: return String(Int64(number))
        default: return value.string
        }
    }
}

extension SQLValue {
    var string: String {
        switch self {
        case .null: ""
        case .integer(let number): String(number)
        case .real(let number): FloatText.text(number)
        case .text(let text): text
        case .blob(let bytes): String(decoding: bytes, as: UTF8.self)
        }
    }

    var bytes: [UInt8] {
        if case .blob(let bytes) = self { return bytes }
        return Array(string.utf8)
    }

    var int: Int64 {
        switch self {
        case .integer(let number): number
        case .real(let number): Int64(exactly: number.rounded()) ?? 0
        default: Int64(string) ?? 0
        }
    }

    var double: Double {
        switch self {
        case .integer(let number): Double(number)
        case .real(let number): number
        default: FloatText.special(string) ?? Double(string) ?? 0
        }
    }

    /// TIMESTAMP, DATE, DATETIME or TIME as microseconds; nil for anything else.
    var time: Int64? {
        switch self {
        case .integer(let number): number
        case .text(let text): text.withBytes { TimeTextCursor.datetime($0) ?? TimeTextCursor.time($0) }
        default: nil
        }
    }

    /// Changes the time and keeps the form.
    func mapTime(_ change: (Int64) -> Int64?) throws -> SQLValue {
        guard let time, let changed = change(time) else {
            throw SQLFunctions.Failure(
                description: "The date or time is out of range, or the date part is not supported here")
        }
        switch self {
        case .text(let text) where !text.utf8.contains(UInt8(ascii: "T")):
            return .text(CivilTime.dateText(days: CivilTime.split(changed).days))
        case .text: return .text(CivilTime.datetimeText(microseconds: changed))
        default: return .integer(changed)
        }
    }
}
