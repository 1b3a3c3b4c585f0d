import Glibc

/// Whether a JSON column keeps a JSON text as it is: at most 500 levels, and numbers in INT64, UINT64 or, without loss, FLOAT64 (BigQuery's
/// data-types and json-data pages). Others would be refused, or rounded.
enum JSONColumnFit {
    private static let maximumNesting = 500

    /// - Parameter text: valid JSON. One pass, nothing is allocated but for numbers of more than 15 digits.
    static func keeps(_ text: UnsafeRawBufferPointer) -> Bool {
        var at = 0
        var depth = 0
        while at < text.count {
            switch text[at] {
            case UInt8(ascii: "\""):
                at += 1
                while at < text.count, text[at] != UInt8(ascii: "\"") { at += text[at] == UInt8(ascii: "\\") ? 2 : 1 }
                at += 1
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                guard depth <= maximumNesting else { return false }
                at += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                at += 1
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                let start = at
                while at < text.count, isPartOfNumber(text[at]) { at += 1 }
                guard keepsNumber(UnsafeRawBufferPointer(rebasing: text[start..<at])) else { return false }
            default:
                at += 1
            }
        }
        return true
    }

    private static func isPartOfNumber(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
            UInt8(ascii: "e"), UInt8(ascii: "E"):
            true
        default: false
        }
    }

    private static func keepsNumber(_ number: UnsafeRawBufferPointer) -> Bool {
        let hasExponent = number.contains { $0 | 0x20 == UInt8(ascii: "e") }
        // Every decimal of so few digits is some double's, and an integer of 64 bits.
        if !hasExponent, number.count <= 16 { return true }
        let text = String(decoding: number, as: UTF8.self)
        if !hasExponent, Int64(text) != nil || UInt64(text) != nil { return true }
        guard let value = Double(text), value.isFinite else { return false }
        guard let digits = Significand(text) else { return false }
        if digits == Significand(value.description) { return true }
        // Others print it with another number of digits: `4.9E-324` in Java.
        return (1...17).contains(digits.digits.count) && digits == Significand(printed(value, digits.digits.count))
    }

    private static func printed(_ value: Double, _ digits: Int) -> String {
        var text = [CChar](repeating: 0, count: 40)
        _ = withVaList([CInt(digits - 1), value]) { vsnprintf(&text, text.count, "%.*e", $0) }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// A decimal's digits without zeros at either end, and the power of ten of the last one; of equal numbers they are equal.
    private struct Significand: Equatable {
        var isNegative: Bool
        var digits: [UInt8] = []
        var exponent = 0

        init?(_ text: String) {
            isNegative = text.utf8.first == UInt8(ascii: "-")
            var hasPoint = false
            var at = text.utf8.startIndex
            scanning: while at < text.utf8.endIndex {
                let byte = text.utf8[at]
                at = text.utf8.index(after: at)
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"):
                    digits.append(byte)
                    if hasPoint { exponent -= 1 }
                case UInt8(ascii: "."): hasPoint = true
                case UInt8(ascii: "e"), UInt8(ascii: "E"):
                    guard let power = Int(text[at...].drop { $0 == "+" }), power.magnitude < 100_000 else { return nil }
                    exponent += power
                    break scanning
                default: break
                }
            }
            while digits.last == UInt8(ascii: "0") {
                digits.removeLast()
                exponent += 1
            }
            digits.removeFirst(digits.prefix { $0 == UInt8(ascii: "0") }.count)
            if digits.isEmpty { exponent = 0 }
        }
    }
}
