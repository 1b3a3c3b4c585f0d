internal import JSONBytes
internal import Spool

#if canImport(Glibc)
    internal import Glibc
#endif

/// Types a CSV text only where it is exactly what that type would print (contract section 4); everything else is a string. Nothing is lost
/// by guessing: each form gives back the text.
enum CSVValue {
    /// Appends the value's JSON. The text must be valid UTF-8.
    @inline(__always)
    static func write(_ text: UnsafeRawBufferPointer, to values: ByteBuffer) -> ValueType {
        if let first = text.first, text.count <= 32 {
            if first == UInt8(ascii: "-") || first &- 0x30 < 10 {
                if let type = writeNumberOrTime(text, to: values) { return type }
            } else if first == UInt8(ascii: "t") || first == UInt8(ascii: "f") {
                if isSame(text, "true") || isSame(text, "false") {
                    values.append(text)
                    return .bool
                }
            }
        }
        values.appendJSONString(text)
        return .string
    }

    private static func writeNumberOrTime(_ text: UnsafeRawBufferPointer, to values: ByteBuffer) -> ValueType? {
        let isNegative = text[0] == UInt8(ascii: "-")
        let digits = isNegative ? 1 : 0
        var point: Int?
        for index in digits..<text.count {
            let byte = text[index]
            if byte &- 0x30 < 10 { continue }
            if byte == UInt8(ascii: "."), point == nil {
                point = index
                continue
            }
            return writeTime(text, to: values)
        }
        guard text.count > digits else { return nil }
        let whole = (point ?? text.count) - digits
        // "007" and "00.5" are not what a number prints.
        guard whole > 0, whole == 1 || text[digits] != 0x30 else { return nil }
        if let point {
            guard point + 1 < text.count, text.count <= 24 else { return nil }
            if DecimalText.appendShort(text, digits: DecimalText.doubleDigits, to: values) { return .float64 }
            let value = JSONNumber.double(text)
            var printed = value.description
            guard printed.withUTF8({ UnsafeRawBufferPointer($0).elementsEqual(text) }) else { return nil }
            values.append(text)
            return .float64
        }
        guard !(isNegative && text[1] == 0x30), let number = Int64(decimal: text) else { return nil }
        return JSONNumber.write(number, to: values)
    }

    /// `2025-11-25` or `2025-11-25T14:57:57.425Z`.
    private static func writeTime(_ text: UnsafeRawBufferPointer, to values: ByteBuffer) -> ValueType? {
        guard text.count >= 10, text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-") else { return nil }
        let type: ValueType
        if text.count == 10 {
            guard let year = number(text, 0..<4), let month = number(text, 5..<7), let day = number(text, 8..<10),
                Timestamp.exists(year: year, month: month, day: day)
            else { return nil }
            type = .date
        } else {
            guard isPrintedTimestamp(text) else { return nil }
            type = .timestamp
        }
        values.append(UInt8(ascii: "\""))
        values.append(text)
        values.append(UInt8(ascii: "\""))
        return type
    }

    /// True for RFC 3339 in UTC with `Z`, a moment that exists, no trailing zeros in at most six digits of fraction.
    private static func isPrintedTimestamp(_ text: UnsafeRawBufferPointer) -> Bool {
        guard text.count >= 20, text.count <= Timestamp.maximumTextLength, text[10] == UInt8(ascii: "T"),
            text[text.count - 1] == UInt8(ascii: "Z"), Timestamp(rfc3339: text) != nil
        else { return false }
        return text.count == 20 || text[text.count - 2] != 0x30
    }

    private static func isSame(_ text: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
        guard text.count == word.utf8CodeUnitCount, let start = text.baseAddress else { return false }
        return memcmp(start, word.utf8Start, text.count) == 0
    }

    private static func number(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int64? {
        var value: Int64 = 0
        for index in range {
            let digit = text[index] &- 0x30
            guard digit < 10 else { return nil }
            value = value * 10 + Int64(digit)
        }
        return value
    }
}
