extension Timestamp {
    /// Parses an RFC 3339 text with at most six digits of fraction.
    ///
    /// `T` or `t` must stand between date and time; a text without offset counts as UTC when `zoneIsOptional`. Nil for what is no such
    /// text, for dates that do not exist, for leap seconds and for moments outside of years 1 to 9999.
    package init?(rfc3339 text: UnsafeRawBufferPointer, zoneIsOptional: Bool = false, maximumFractionDigits: Int = 6) {
        guard text.count >= 19 else { return nil }
        func number(_ offset: Int, _ digits: Int) -> Int64? {
            var value: Int64 = 0
            for index in offset..<offset + digits {
                let digit = text[index] &- 0x30
                guard digit < 10 else { return nil }
                value = value * 10 + Int64(digit)
            }
            return value
        }
        guard let year = number(0, 4), text[4] == UInt8(ascii: "-"), let month = number(5, 2),
            text[7] == UInt8(ascii: "-"), let day = number(8, 2), text[10] | 0x20 == UInt8(ascii: "t"),
            let hour = number(11, 2), text[13] == UInt8(ascii: ":"), let minute = number(14, 2),
            text[16] == UInt8(ascii: ":"), let second = number(17, 2)
        else { return nil }
        guard Self.exists(year: year, month: month, day: day), hour < 24, minute < 60, second < 60 else { return nil }
        var cursor = 19
        var fraction: Int64 = 0
        if cursor < text.count, text[cursor] == UInt8(ascii: ".") {
            cursor += 1
            var digits = 0
            while cursor < text.count, text[cursor] &- 0x30 < 10 {
                if digits < 6 { fraction = fraction * 10 + Int64(text[cursor] - 0x30) }
                digits += 1
                cursor += 1
            }
            guard digits > 0, digits <= maximumFractionDigits else { return nil }
            for _ in min(digits, 6)..<6 { fraction *= 10 }
        }
        guard let offset = Self.offsetSeconds(text, at: cursor, zoneIsOptional: zoneIsOptional) else { return nil }
        let days = Self.days(year: year, month: month, day: day)
        let seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset
        microseconds = seconds * 1_000_000 + fraction
        guard self >= .minimum, self <= .maximum else { return nil }
    }

    /// True if the text of a moment is that of `description` already: in UTC with `Z`, its fraction without a trailing zero.
    package static func isCanonical(_ moment: UnsafeRawBufferPointer) -> Bool {
        let count = moment.count
        guard count == 20 || 22...maximumTextLength ~= count, moment[10] == UInt8(ascii: "T"),
            moment[count - 1] == UInt8(ascii: "Z")
        else { return false }
        return count == 20 || moment[count - 2] != UInt8(ascii: "0")
    }

    package init?(rfc3339 text: String, zoneIsOptional: Bool = false) {
        var text = text
        let parsed = text.withUTF8 { Timestamp(rfc3339: UnsafeRawBufferPointer($0), zoneIsOptional: zoneIsOptional) }
        guard let parsed else { return nil }
        self = parsed
    }

    /// True for a day of the proleptic Gregorian calendar in years 1 to 9999.
    package static func exists(year: Int64, month: Int64, day: Int64) -> Bool {
        guard (1...9999).contains(year), (1...12).contains(month), day >= 1 else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return switch month {
        case 2: day <= (isLeap ? 29 : 28)
        case 4, 6, 9, 11: day <= 30
        default: day <= 31
        }
    }

    private static func offsetSeconds(_ text: UnsafeRawBufferPointer, at cursor: Int, zoneIsOptional: Bool) -> Int64? {
        if cursor == text.count { return zoneIsOptional ? 0 : nil }
        if text[cursor] | 0x20 == UInt8(ascii: "z") { return cursor + 1 == text.count ? 0 : nil }
        guard text.count == cursor + 6, text[cursor] == UInt8(ascii: "+") || text[cursor] == UInt8(ascii: "-"),
            text[cursor + 3] == UInt8(ascii: ":")
        else { return nil }
        func number(_ offset: Int) -> Int64? {
            let (tens, ones) = (text[cursor + offset] &- 0x30, text[cursor + offset + 1] &- 0x30)
            return tens < 10 && ones < 10 ? Int64(tens) * 10 + Int64(ones) : nil
        }
        guard let hours = number(1), let minutes = number(4) else { return nil }
        guard hours < 24, minutes < 60 else { return nil }
        let seconds = hours * 3600 + minutes * 60
        return text[cursor] == UInt8(ascii: "-") ? -seconds : seconds
    }
}
