internal import JSONBytes

/// Calendar arithmetic in the proleptic Gregorian calendar, and the text forms of DATE, TIME, DATETIME and TIMESTAMP
/// (standard-sql/data-types page).
enum CivilTime {
    static let microsecondsPerDay: Int64 = 86_400_000_000
    /// 0001-01-01 and 9999-12-31 23:59:59.999999 in microseconds since 1970.
    static let timestampRange: ClosedRange<Int64> = -62_135_596_800_000_000...253_402_300_799_999_999

    /// Days since 1970-01-01; nil if there is no such day.
    static func days(year: Int, month: Int, day: Int) -> Int? {
        guard (1...9999).contains(year), (1...12).contains(month), day >= 1, day <= length(of: month, year: year) else {
            return nil
        }
        // Days from civil, with the year starting in March.
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    static func length(of month: Int, year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    static func civil(fromDays days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }

    // MARK: Text

    /// `YYYY-MM-DD`.
    static func dateText(days: Int) -> String {
        let (year, month, day) = civil(fromDays: days)
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    }

    /// `HH:MM:SS[.ffffff]`: the fraction has no trailing zeros and is absent if zero.
    static func timeText(microseconds: Int64) -> String {
        let seconds = Int(microseconds / 1_000_000)
        var text = "\(padded(seconds / 3600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
        var fraction = Int(microseconds % 1_000_000)
        if fraction > 0 {
            var digits = 6
            while fraction % 10 == 0 {
                fraction /= 10
                digits -= 1
            }
            text += "." + padded(fraction, digits)
        }
        return text
    }

    static func datetimeText(microseconds: Int64) -> String {
        let (days, rest) = split(microseconds)
        return "\(dateText(days: days))T\(timeText(microseconds: rest))"
    }

    /// `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`.
    static func timestampText(_ microseconds: Int64) -> String { datetimeText(microseconds: microseconds) + "Z" }

    /// Whole days and the microseconds in the last one.
    static func split(_ microseconds: Int64) -> (days: Int, rest: Int64) {
        var days = microseconds / microsecondsPerDay
        var rest = microseconds % microsecondsPerDay
        if rest < 0 {
            days -= 1
            rest += microsecondsPerDay
        }
        return (Int(days), rest)
    }

    private static func padded(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return digits.count >= width ? digits : String(repeating: "0", count: width - digits.count) + digits
    }
}

/// A cursor over the text of a date or time. Every method returns nil when the text is not of the form; nothing is skipped silently.
struct TimeTextCursor {
    let text: UnsafeRawBufferPointer
    var at = 0

    init(_ text: UnsafeRawBufferPointer) { self.text = text }

    var isAtEnd: Bool { at == text.count }

    mutating func consume(_ byte: UInt8) -> Bool {
        guard at < text.count, text[at] == byte else { return false }
        at += 1
        return true
    }

    /// Between `least` and `most` digits.
    mutating func number(_ least: Int, _ most: Int) -> Int? {
        var value = 0
        var count = 0
        while at < text.count, count < most, text[at] &- 0x30 < 10 {
            value = value * 10 + Int(text[at] - 0x30)
            at += 1
            count += 1
        }
        return count >= least ? value : nil
    }

    /// `YYYY-[M]M-[D]D` as days since 1970.
    mutating func date() -> Int? {
        guard let year = number(4, 4), consume(UInt8(ascii: "-")), let month = number(1, 2),
            consume(UInt8(ascii: "-")), let day = number(1, 2)
        else { return nil }
        return CivilTime.days(year: year, month: month, day: day)
    }

    /// `[H]H:[M]M[:[S]S[.ffffff]]` as microseconds of the day. No 24:00, no leap second, at most six digits of fraction.
    mutating func time(secondsRequired: Bool) -> Int64? {
        guard let hour = number(1, 2), hour < 24, consume(UInt8(ascii: ":")), let minute = number(1, 2), minute < 60
        else { return nil }
        var result = Int64(hour * 3600 + minute * 60) * 1_000_000
        guard consume(UInt8(ascii: ":")) else { return secondsRequired ? nil : result }
        guard let second = number(1, 2), second < 60 else { return nil }
        result += Int64(second) * 1_000_000
        guard consume(UInt8(ascii: ".")) else { return result }
        let start = at
        guard var fraction = number(1, 6) else { return nil }
        for _ in (at - start)..<6 { fraction *= 10 }
        if at < text.count, text[at] &- 0x30 < 10 { return nil }
        return result + Int64(fraction)
    }

    /// Nothing, `Z`, ` UTC`, or `[+-][H]H[:MM]` up to 14 hours, with or without a space before it; as microseconds.
    mutating func zone() -> Int64? {
        if isAtEnd { return 0 }
        _ = consume(UInt8(ascii: " "))
        if consume(UInt8(ascii: "Z")) || consume(UInt8(ascii: "z")) { return 0 }
        if consume(UInt8(ascii: "U")) { return consume(UInt8(ascii: "T")) && consume(UInt8(ascii: "C")) ? 0 : nil }
        let isNegative = consume(UInt8(ascii: "-"))
        guard isNegative || consume(UInt8(ascii: "+")), let hours = number(1, 2) else { return nil }
        var minutes = 0
        if consume(UInt8(ascii: ":")) {
            guard let value = number(2, 2), value < 60 else { return nil }
            minutes = value
        }
        let offset = Int64(hours * 60 + minutes) * 60_000_000
        guard offset <= 14 * 3_600_000_000 else { return nil }
        return isNegative ? -offset : offset
    }

    // MARK: Whole values

    static func date(_ text: UnsafeRawBufferPointer) -> Int? {
        var cursor = TimeTextCursor(text)
        guard let days = cursor.date(), cursor.isAtEnd else { return nil }
        return days
    }

    static func time(_ text: UnsafeRawBufferPointer) -> Int64? {
        var cursor = TimeTextCursor(text)
        guard let time = cursor.time(secondsRequired: true), cursor.isAtEnd else { return nil }
        return time
    }

    /// Microseconds since 1970 of the wall-clock time; a date alone is its midnight.
    static func datetime(_ text: UnsafeRawBufferPointer) -> Int64? {
        var cursor = TimeTextCursor(text)
        guard let days = cursor.date() else { return nil }
        let midnight = Int64(days) * CivilTime.microsecondsPerDay
        if cursor.isAtEnd { return midnight }
        guard cursor.separator(), let time = cursor.time(secondsRequired: true), cursor.isAtEnd else { return nil }
        return midnight + time
    }

    /// Microseconds since 1970, UTC where no zone is given.
    static func timestamp(_ text: UnsafeRawBufferPointer) -> Int64? {
        var cursor = TimeTextCursor(text)
        guard let days = cursor.date() else { return nil }
        var value = Int64(days) * CivilTime.microsecondsPerDay
        if cursor.separator() {
            guard let time = cursor.time(secondsRequired: false) else { return nil }
            value += time
        }
        guard let offset = cursor.zone(), cursor.isAtEnd else { return nil }
        value -= offset
        return CivilTime.timestampRange.contains(value) ? value : nil
    }

    private mutating func separator() -> Bool {
        guard at + 1 < text.count, text[at + 1] &- 0x30 < 10 else { return false }
        return consume(UInt8(ascii: "T")) || consume(UInt8(ascii: "t")) || consume(UInt8(ascii: " "))
    }
}

extension String {
    /// Lends the UTF-8 bytes.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        var copy = self
        return copy.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
}
