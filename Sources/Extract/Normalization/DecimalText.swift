internal import JSONBytes

/// Looks at decimals as text: whether BIGNUMERIC can hold them, and bytes that sort like them.
enum DecimalText {
    /// The digits of BIGNUMERIC's greatest value, 39 before the point and 38 after it (data types page); the least is one further away from
    /// zero.
    private static let greatest = Array(
        "57896044618658097711785492504343953926634992332820282019728792003956564819967".utf8)

    /// Significant digits of which a double, and a float, gives back every decimal (C's `DBL_DIG` and `FLT_DIG`).
    static let doubleDigits = 15
    static let floatDigits = 6

    /// The parts of `-12.30`: no leading zeros in front, no trailing ones behind. Nil for what is no plain decimal.
    struct Parts {
        var isNegative: Bool
        var whole: UnsafeRawBufferPointer
        var fraction: UnsafeRawBufferPointer

        init?(_ text: UnsafeRawBufferPointer) {
            var cursor = 0
            isNegative = text.first == UInt8(ascii: "-")
            if isNegative { cursor = 1 }
            let start = cursor
            while cursor < text.count, text[cursor] &- 0x30 < 10 { cursor += 1 }
            guard cursor > start else { return nil }
            var whole = text[start..<cursor]
            whole = whole.drop { $0 == 0x30 }
            var fraction = text[cursor..<cursor]
            if cursor < text.count {
                guard text[cursor] == UInt8(ascii: "."), cursor + 1 < text.count else { return nil }
                fraction = text[(cursor + 1)...]
                guard fraction.allSatisfy({ $0 &- 0x30 < 10 }) else { return nil }
                while fraction.last == 0x30 { fraction = fraction.dropLast() }
            }
            self.whole = UnsafeRawBufferPointer(rebasing: whole)
            self.fraction = UnsafeRawBufferPointer(rebasing: fraction)
        }
    }

    /// Appends a double's text as Swift prints the number, where that shows without looking at its value; else appends nothing.
    ///
    /// A decimal of at most `digits` significant digits (`doubleDigits` or `floatDigits`) is the shortest text that gives its value; Swift prints
    /// no exponent from 0.0001 on, up to more than so many digits before the point.
    @inline(__always)
    static func appendShort(_ text: UnsafeRawBufferPointer, digits: Int, to target: ByteBuffer) -> Bool {
        let start = text.first == UInt8(ascii: "-") ? 1 : 0
        let length = text.count - start
        guard length > 0, length <= digits + 1 else { return false }
        var point = length
        for place in 0..<length {
            let byte = text[start + place]
            if byte &- 0x30 < 10 { continue }
            guard byte == UInt8(ascii: "."), point == length else { return false }
            point = place
        }
        let isWhole = point == length
        // Both sides of the point have a digit, and no zero too much: in front as in 07, behind as in 1.50.
        guard length - (isWhole ? 0 : 1) <= digits, point > 0, isWhole || point + 1 < length,
            point == 1 || text[start] != 0x30, isWhole || point + 2 == length || text[text.count - 1] != 0x30
        else { return false }
        if !isWhole, text[start] == 0x30, length > 5 {
            // 0.00001 is printed as 1e-05.
            let zeros = text[(start + 2)..<(start + 6)].allSatisfy { $0 == 0x30 }
            guard !zeros else { return false }
        }
        target.append(text)
        if isWhole { target.append(".0") }
        return true
    }

    /// True for a plain decimal within BIGNUMERIC's range and scale.
    static func fitsBignumeric(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let parts = Parts(text), parts.fraction.count <= 38 else { return false }
        if parts.whole.count < 39 { return true }
        guard parts.whole.count == 39 else { return false }
        var digits = [UInt8](parts.whole) + [UInt8](parts.fraction)
        while digits.count < greatest.count { digits.append(0x30) }
        if !greatest.lexicographicallyPrecedes(digits) { return true }
        var least = greatest
        least[least.count - 1] += 1
        return parts.isNegative && digits == least
    }

    /// Bytes that sort like the numbers, the same for every text of one number. Nil for what is no plain decimal.
    static func sortKey(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
        guard let parts = Parts(text) else { return nil }
        var digits = [UInt8](parts.whole) + [UInt8](parts.fraction)
        var exponent = parts.whole.count
        if parts.whole.isEmpty {
            let zeros = digits.prefix { $0 == 0x30 }.count
            exponent = -zeros
            digits.removeFirst(zeros)
        }
        while digits.last == 0x30 { digits.removeLast() }
        guard !digits.isEmpty else { return [1] }
        let biased = UInt32(bitPattern: Int32(exponent)) ^ 0x8000_0000
        let magnitude =
            stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: biased >> UInt32($0)) } + digits
        guard parts.isNegative else { return [2] + magnitude }
        // The end of a negative number's digits must sort behind its continuation.
        return [0] + magnitude.map { ~$0 } + [0xFF]
    }
}
