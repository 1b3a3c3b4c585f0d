/// The canonical text of a decimal number: no plus, no leading zeros, no trailing zeros of the fraction, no exponent, `0` for any zero.
struct DecimalText: Equatable {
    var isNegative: Bool
    /// Without leading zeros; empty for zero.
    var integerDigits: [UInt8]
    /// Without trailing zeros.
    var fractionDigits: [UInt8]

    /// Parses `[+-]digits[.digits][e[+-]digits]`; nil for anything else and for exponents that no decimal type can hold.
    init?(_ text: UnsafeRawBufferPointer) {
        var at = 0
        var digits: [UInt8] = []
        isNegative = false
        if at < text.count, text[at] == UInt8(ascii: "-") || text[at] == UInt8(ascii: "+") {
            isNegative = text[at] == UInt8(ascii: "-")
            at += 1
        }
        func readDigits(_ at: inout Int) {
            while at < text.count, text[at] &- 0x30 < 10 {
                digits.append(text[at])
                at += 1
            }
        }
        readDigits(&at)
        var point = digits.count
        if at < text.count, text[at] == UInt8(ascii: ".") {
            at += 1
            readDigits(&at)
        }
        guard !digits.isEmpty else { return nil }
        if at < text.count, text[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            guard let exponent = Int(String(decoding: text[at...], as: UTF8.self)), abs(exponent) <= 200 else {
                return nil
            }
            point += exponent
            at = text.count
        }
        guard at == text.count else { return nil }
        let zero = UInt8(ascii: "0")
        if point < 0 {
            digits.insert(contentsOf: repeatElement(zero, count: -point), at: 0)
            point = 0
        } else if point > digits.count {
            digits.append(contentsOf: repeatElement(zero, count: point - digits.count))
        }
        integerDigits = Array(digits[..<point].drop { $0 == zero })
        fractionDigits = Array(digits[point...])
        while fractionDigits.last == zero { fractionDigits.removeLast() }
        if integerDigits.isEmpty, fractionDigits.isEmpty { isNegative = false }
    }

    init?(_ text: String) {
        guard let value = text.withBytes({ DecimalText($0) }) else { return nil }
        self = value
    }

    var text: String {
        var result = isNegative ? "-" : ""
        result += integerDigits.isEmpty ? "0" : String(decoding: integerDigits, as: UTF8.self)
        if !fractionDigits.isEmpty { result += "." + String(decoding: fractionDigits, as: UTF8.self) }
        return result
    }

    /// Whether NUMERIC (or NUMERIC(precision, scale)) holds the value without rounding: 29 digits before the point and 9 after it.
    func fitsNumeric(precision: Int?, scale: Int?) -> Bool {
        fits(
            integerDigits: precision.map { $0 - (scale ?? 0) } ?? 29, fractionDigits: precision == nil ? 9 : scale ?? 0)
    }

    /// Whether BIGNUMERIC holds the value without rounding: 38 digits after the point and the magnitude of the data-types page.
    func fitsBignumeric(precision: Int?, scale: Int?) -> Bool {
        if let precision { return fits(integerDigits: precision - (scale ?? 0), fractionDigits: scale ?? 0) }
        guard fits(integerDigits: 39, fractionDigits: 38) else { return false }
        guard integerDigits.count == 39 else { return true }
        let padded =
            integerDigits + fractionDigits + Array(repeating: UInt8(ascii: "0"), count: 38 - fractionDigits.count)
        let bound = isNegative ? Self.bignumericLowest : Self.bignumericHighest
        return !bound.lexicographicallyPrecedes(padded)
    }

    private func fits(integerDigits integers: Int, fractionDigits fractions: Int) -> Bool {
        integerDigits.count <= integers && fractionDigits.count <= fractions
    }

    private static let bignumericHighest = Array(
        "57896044618658097711785492504343953926634992332820282019728792003956564819967".utf8)
    private static let bignumericLowest = Array(
        "57896044618658097711785492504343953926634992332820282019728792003956564819968".utf8)

    /// Negative, zero or positive, as the left is below, equal to or above the right.
    static func compare(_ left: DecimalText, _ right: DecimalText) -> Int {
        if left.isNegative != right.isNegative { return left.isNegative ? -1 : 1 }
        let magnitude: Int
        if left.integerDigits.count != right.integerDigits.count {
            magnitude = left.integerDigits.count < right.integerDigits.count ? -1 : 1
        } else {
            let leftDigits = left.integerDigits + left.fractionDigits
            let rightDigits = right.integerDigits + right.fractionDigits
            magnitude =
                leftDigits == rightDigits ? 0 : leftDigits.lexicographicallyPrecedes(rightDigits) ? -1 : 1
        }
        return left.isNegative ? -magnitude : magnitude
    }
}
