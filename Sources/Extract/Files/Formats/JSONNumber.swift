internal import JSONBytes

#if canImport(Glibc)
    internal import Glibc
#endif

/// JSON numbers as columns: INT64, NUMERIC or BIGNUMERIC for whole ones, FLOAT64 for others; what has no form in its type is rescued.
enum JSONNumber {
    /// Digits before the point that NUMERIC and BIGNUMERIC hold (BigQuery's data types page: 29 and 38, the 39th only in part).
    private static let numericDigits = 29
    private static let bignumericDigits = 38

    /// Appends the number's JSON.
    ///
    /// - Returns: its type, and whether the column can't hold the number as it is: then the text belongs into `_rescued`.
    static func write(
        _ text: UnsafeRawBufferPointer, isInteger: Bool, to values: ByteBuffer
    ) -> (type: ValueType, loses: Bool) {
        let isNegativeZero = text.count == 2 && text[0] == UInt8(ascii: "-") && text[1] == UInt8(ascii: "0")
        if isInteger, !isNegativeZero {
            if let number = Int64(decimal: text) { return (write(number, to: values), false) }
            let digits = text.count - (text[0] == UInt8(ascii: "-") ? 1 : 0)
            if digits <= bignumericDigits {
                values.append(UInt8(ascii: "\""))
                values.append(text)
                values.append(UInt8(ascii: "\""))
                return (digits <= numericDigits ? .numeric : .bignumeric, false)
            }
        }
        if DecimalText.appendShort(text, digits: DecimalText.doubleDigits, to: values) { return (.float64, false) }
        let value = double(text)
        guard value.isFinite else {
            values.append("null")
            return (.null, true)
        }
        values.append(value.description)
        return (.float64, !holds(text, value))
    }

    static func write(_ number: Int64, to values: ByteBuffer) -> ValueType {
        guard number.magnitude > 9_007_199_254_740_991 else {
            values.append(decimal: number)
            return .int64
        }
        values.append(UInt8(ascii: "\""))
        values.append(decimal: number)
        values.append(UInt8(ascii: "\""))
        return .largeInt64
    }

    static func double(_ text: UnsafeRawBufferPointer) -> Double {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: text.count + 1) { copy in
            for (index, byte) in text.enumerated() { copy[index] = CChar(bitPattern: byte) }
            copy[text.count] = 0
            return copy.baseAddress.map { strtod($0, nil) } ?? .nan
        }
    }

    /// True if the double's text is the same number as the one given.
    private static func holds(_ text: UnsafeRawBufferPointer, _ value: Double) -> Bool {
        var digits = 0
        for byte in text {
            if byte | 0x20 == UInt8(ascii: "e") { break }
            if byte &- 0x30 < 10 { digits += 1 }
        }
        if digits <= DecimalText.doubleDigits, value.isNormal { return true }
        var printed = value.description
        return printed.withUTF8 { Decimal(UnsafeRawBufferPointer($0)) } == Decimal(text)
    }

    /// A number's significant digits and the power of ten of the last one.
    private struct Decimal: Equatable {
        var isNegative = false
        /// Without leading and trailing zeros.
        var digits: [UInt8] = []
        var exponent = 0

        init(_ text: UnsafeRawBufferPointer) {
            var index = 0
            if text.first == UInt8(ascii: "-") {
                isNegative = true
                index = 1
            }
            var isFraction = false
            while index < text.count, text[index] | 0x20 != UInt8(ascii: "e") {
                if text[index] == UInt8(ascii: ".") {
                    isFraction = true
                } else {
                    digits.append(text[index])
                    if isFraction { exponent -= 1 }
                }
                index += 1
            }
            if index < text.count {
                let written = String(decoding: UnsafeRawBufferPointer(rebasing: text[(index + 1)...]), as: UTF8.self)
                // Beyond any double's exponent it is no matter by how much.
                let limit = written.hasPrefix("-") ? -1_000_000 : 1_000_000
                exponent += max(-1_000_000, min(1_000_000, Int(written) ?? limit))
            }
            let leading = digits.prefix { $0 == UInt8(ascii: "0") }.count
            digits.removeFirst(leading)
            while digits.last == UInt8(ascii: "0") {
                digits.removeLast()
                exponent += 1
            }
            if digits.isEmpty { exponent = 0 }
        }
    }
}
