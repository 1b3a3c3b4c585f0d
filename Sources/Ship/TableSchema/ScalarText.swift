internal import JSONBytes
internal import Spool

#if canImport(Glibc)
    import Glibc
#endif

/// Tells whether a text is exactly what a type would print, so that it can become a value of that type without loss.
enum ScalarText {
    static func equals(_ text: UnsafeRawBufferPointer, _ literal: StaticString) -> Bool {
        text.count == literal.utf8CodeUnitCount
            && text.elementsEqual(UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    /// An integer of 64 bits without superfluous characters.
    static func int64(_ text: UnsafeRawBufferPointer) -> Int64? {
        guard let first = text.first, text.count <= 20 else { return nil }
        let isNegative = first == UInt8(ascii: "-")
        var at = isNegative ? 1 : 0
        guard at < text.count else { return nil }
        // Neither "007" nor "-0".
        if text[at] == UInt8(ascii: "0"), text.count > 1 { return nil }
        var value: Int64 = 0
        while at < text.count {
            let digit = text[at] &- 0x30
            guard digit < 10 else { return nil }
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) =
                isNegative
                ? scaled.subtractingReportingOverflow(Int64(digit)) : scaled.addingReportingOverflow(Int64(digit))
            guard !overflow, !carry else { return nil }
            value = sum
            at += 1
        }
        return value
    }

    /// The digits of a decimal text.
    struct Decimal {
        var isNegative: Bool
        /// Digits before the point, leading zeros not counted.
        var integerDigits: Int
        /// Digits after the point, trailing zeros not counted.
        var fractionDigits: Int
        /// Exactly as BigQuery prints it: no `+`, no superfluous zeros, no point without digits, no `-0`.
        var isCanonical: Bool

        var isZero: Bool { integerDigits == 0 && fractionDigits == 0 }
    }

    /// A decimal without exponent, as databases print them.
    static func decimal(_ text: UnsafeRawBufferPointer) -> Decimal? {
        var at = 0
        let isNegative = text.first == UInt8(ascii: "-")
        if isNegative { at = 1 }
        let start = at
        while at < text.count, text[at] &- 0x30 < 10 { at += 1 }
        guard at > start else { return nil }
        var leading = start
        while leading < at, text[leading] == UInt8(ascii: "0") { leading += 1 }
        let integerDigits = at - leading
        var isCanonical = leading == start || (integerDigits == 0 && leading == start + 1)
        var fractionDigits = 0
        if at < text.count {
            guard text[at] == UInt8(ascii: ".") else { return nil }
            let point = at
            at += 1
            var last = point
            while at < text.count, text[at] &- 0x30 < 10 {
                if text[at] != UInt8(ascii: "0") { last = at }
                at += 1
            }
            guard at == text.count, at > point + 1 else { return nil }
            fractionDigits = last - point
            if last != at - 1 { isCanonical = false }
        }
        if isNegative, integerDigits == 0, fractionDigits == 0 { isCanonical = false }
        return Decimal(
            isNegative: isNegative, integerDigits: integerDigits, fractionDigits: fractionDigits,
            isCanonical: isCanonical)
    }

    /// A number's value; the text is a JSON number.
    static func double(_ text: UnsafeRawBufferPointer) -> Double? {
        // strtod wants a terminated text; longer ones than this are no doubles as we print them.
        guard text.count < 64, !text.isEmpty else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            for (index, byte) in text.enumerated() { buffer[index] = CChar(bitPattern: byte) }
            buffer[text.count] = 0
            guard let start = buffer.baseAddress else { return nil }
            var end: UnsafeMutablePointer<CChar>?
            let value = strtod(start, &end)
            return end == start + text.count ? value : nil
        }
    }

    /// A double exactly as etlctl prints it, special values included.
    static func isDouble(_ text: UnsafeRawBufferPointer) -> Bool {
        if equals(text, "NaN") || equals(text, "Infinity") || equals(text, "-Infinity") { return true }
        guard let first = text.first, first == UInt8(ascii: "-") || first &- 0x30 < 10,
            let value = double(text), value.isFinite
        else { return false }
        return value.description.utf8.elementsEqual(text)
    }

    /// For a column of numbers: whether the text is exactly what its type prints; true for others.
    static func isNumber(_ text: UnsafeRawBufferPointer, asPrintedBy type: ColumnType) -> Bool {
        switch type {
        case .int64: int64(text) != nil
        case .float64: isDouble(text)
        case .numeric, .bignumeric: decimal(text)?.isCanonical ?? false
        default: true
        }
    }

    /// `2025-11-25`
    static func isDate(_ text: UnsafeRawBufferPointer) -> Bool {
        guard text.count == 10, text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-"),
            let year = digits(text, 0, 4), let month = digits(text, 5, 2), let day = digits(text, 8, 2)
        else { return false }
        return Timestamp.exists(year: year, month: month, day: day)
    }

    /// `14:57:57.425`, no trailing zeros.
    static func isTime(_ text: UnsafeRawBufferPointer) -> Bool {
        guard text.count >= 8, text[2] == UInt8(ascii: ":"), text[5] == UInt8(ascii: ":"),
            let hour = digits(text, 0, 2), let minute = digits(text, 3, 2), let second = digits(text, 6, 2),
            hour < 24, minute < 60, second < 60
        else { return false }
        guard text.count > 8 else { return true }
        guard text[8] == UInt8(ascii: "."), (10...15).contains(text.count),
            text[text.count - 1] != UInt8(ascii: "0")
        else { return false }
        return digits(text, 9, text.count - 9) != nil
    }

    /// `2025-11-25T14:57:57.425`
    static func isDatetime(_ text: UnsafeRawBufferPointer) -> Bool {
        guard text.count >= 19, text[10] == UInt8(ascii: "T") else { return false }
        return isDate(UnsafeRawBufferPointer(rebasing: text[..<10]))
            && isTime(UnsafeRawBufferPointer(rebasing: text[11...]))
    }

    /// Padded standard base64 without spare bits.
    static func isBase64(_ text: UnsafeRawBufferPointer) -> Bool {
        guard text.count % 4 == 0 else { return false }
        guard !text.isEmpty else { return true }
        var padding = 0
        if text[text.count - 1] == UInt8(ascii: "=") { padding = text[text.count - 2] == UInt8(ascii: "=") ? 2 : 1 }
        var last = 0
        for byte in text[..<(text.count - padding)] {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): last = Int(byte) - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): last = Int(byte) - 71
            case UInt8(ascii: "0")...UInt8(ascii: "9"): last = Int(byte) + 4
            case UInt8(ascii: "+"): last = 62
            case UInt8(ascii: "/"): last = 63
            default: return false
            }
        }
        return padding == 0 || last & (padding == 1 ? 0b11 : 0b1111) == 0
    }

    /// `POINT(-2.0 1.5)`, longitude first, both as doubles are printed and in range.
    static func isPoint(_ text: UnsafeRawBufferPointer) -> Bool {
        let prefix: StaticString = "POINT("
        guard text.count > 7, text[text.count - 1] == UInt8(ascii: ")"),
            equals(UnsafeRawBufferPointer(rebasing: text[..<6]), prefix)
        else { return false }
        let inner = text[6..<(text.count - 1)]
        guard let space = inner.firstIndex(of: UInt8(ascii: " ")) else { return false }
        let longitude = UnsafeRawBufferPointer(rebasing: inner[..<space])
        let latitude = UnsafeRawBufferPointer(rebasing: inner[(space + 1)...])
        guard isDouble(longitude), isDouble(latitude), let x = double(longitude), let y = double(latitude) else {
            return false
        }
        return abs(x) <= 180 && abs(y) <= 90
    }

    /// JSON text in etlctl's form: no spaces, canonical escapes.
    static func isCompactJSON(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let value = try? JSONValue(parsing: text) else { return false }
        let buffer = ByteBuffer(capacity: text.count + 16)
        value.write(to: buffer)
        return buffer.bytes.elementsEqual(text)
    }

    private static func digits(_ text: UnsafeRawBufferPointer, _ offset: Int, _ count: Int) -> Int64? {
        var value: Int64 = 0
        for index in offset..<offset + count {
            let digit = text[index] &- 0x30
            guard digit < 10 else { return nil }
            value = value * 10 + Int64(digit)
        }
        return value
    }
}
