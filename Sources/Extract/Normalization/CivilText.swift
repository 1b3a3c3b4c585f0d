internal import JSONBytes
internal import Spool

/// Dates and times as databases print them in ISO style, checked and brought into the row's form.
enum CivilText {
    /// `2025-11-25`, a day that exists in years 1 to 9999.
    static func isDate(_ text: UnsafeRawBufferPointer) -> Bool {
        guard text.count == 10, text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-"),
            let year = number(text, 0, 4), let month = number(text, 5, 2), let day = number(text, 8, 2)
        else { return false }
        return Timestamp.exists(year: year, month: month, day: day)
    }

    /// The length of `14:57:57` with its fraction, without trailing zeros; nil for what is no time of a day.
    static func lengthOfTime(_ text: UnsafeRawBufferPointer) -> Int? {
        guard text.count >= 8, text[2] == UInt8(ascii: ":"), text[5] == UInt8(ascii: ":"),
            let hour = number(text, 0, 2), let minute = number(text, 3, 2), let second = number(text, 6, 2),
            hour < 24, minute < 60, second < 60
        else { return nil }
        guard text.count > 8 else { return 8 }
        guard text[8] == UInt8(ascii: "."), text.count > 9, text.count <= 15 else { return nil }
        var end = text.count
        for index in 9..<end where text[index] &- 0x30 >= 10 { return nil }
        while text[end - 1] == 0x30 { end -= 1 }
        return end == 9 ? 8 : end
    }

    /// Appends `2025-11-25T14:57:57.425` of `2025-11-25 14:57:57.425000`; false, and nothing, for what is no such text.
    static func appendDateTime(_ text: UnsafeRawBufferPointer, to target: ByteBuffer) -> Bool {
        guard text.count >= 19, text[10] == UInt8(ascii: " ") || text[10] == UInt8(ascii: "T") else { return false }
        let time = UnsafeRawBufferPointer(rebasing: text[11...])
        guard isDate(UnsafeRawBufferPointer(rebasing: text[..<10])), let length = lengthOfTime(time) else {
            return false
        }
        target.append(UnsafeRawBufferPointer(rebasing: text[..<10]))
        target.append(UInt8(ascii: "T"))
        target.append(UnsafeRawBufferPointer(rebasing: time[..<length]))
        return true
    }

    /// Microseconds since 1970 of a date, a date and time, or one with `Z` or `+00`; years before 1 with `BC` and beyond 9999 too.
    static func microseconds(_ source: String) -> Int64? {
        var text = Substring(source)
        if text == "infinity" { return .max }
        if text == "-infinity" { return .min }
        let isBC = text.hasSuffix(" BC")
        if isBC { text = text.dropLast(3) }
        for zone in ["Z", "+00"] where text.hasSuffix(zone) { text = text.dropLast(zone.count) }
        let halves = text.split(maxSplits: 1) { $0 == " " || $0 == "T" }
        let parts = (halves.first ?? "").split(separator: "-")
        guard parts.count == 3, let year = Int64(parts[0]), let month = Int64(parts[1]), let day = Int64(parts[2]),
            year < 300_000
        else { return nil }
        var result = Timestamp.days(year: isBC ? 1 - year : year, month: month, day: day) * 86_400_000_000
        if halves.count == 2 {
            let time = halves[1].split(separator: ":")
            guard time.count == 3, let hour = Int64(time[0]), let minute = Int64(time[1]) else { return nil }
            let second = time[2].split(separator: ".")
            guard let whole = Int64(second[0]) else { return nil }
            var fraction: Int64 = 0
            if second.count == 2 {
                guard let digits = Int64((second[1] + "000000").prefix(6)) else { return nil }
                fraction = digits
            }
            result += ((hour * 60 + minute) * 60 + whole) * 1_000_000 + fraction
        }
        return result
    }

    private static func number(_ text: UnsafeRawBufferPointer, _ offset: Int, _ digits: Int) -> Int64? {
        var value: Int64 = 0
        for index in offset..<offset + digits {
            let digit = text[index] &- 0x30
            guard digit < 10 else { return nil }
            value = value * 10 + Int64(digit)
        }
        return value
    }
}
