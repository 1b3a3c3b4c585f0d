/// The text of FLOAT64 values in requests and replies.
enum FloatText {
    static func text(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
        return "\(value)"
    }

    /// `1.7673570005E9` from ten million on, as replies show TIMESTAMP values without a format option.
    static func scientific(_ value: Double) -> String {
        guard abs(value) >= 1e7, value.isFinite, let decimal = DecimalText("\(value)") else { return text(value) }
        var digits = decimal.integerDigits + decimal.fractionDigits
        while digits.count > 2, digits.last == UInt8(ascii: "0") { digits.removeLast() }
        let rest = digits.count > 1 ? digits.dropFirst() : [UInt8(ascii: "0")]
        let mantissa = "\(digits[0] - 0x30).\(String(decoding: rest, as: UTF8.self))"
        return "\(value < 0 ? "-" : "")\(mantissa)E\(decimal.integerDigits.count - 1)"
    }

    /// The spellings that are taken as strings for values that JSON numbers cannot express.
    static func special(_ text: String) -> Double? {
        switch text.lowercased() {
        case "nan": .nan
        case "inf", "+inf", "infinity", "+infinity": .infinity
        case "-inf", "-infinity": -.infinity
        default: nil
        }
    }
}
