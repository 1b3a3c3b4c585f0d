extension DecimalText {
    var negated: DecimalText {
        var result = self
        result.isNegative = !isNegative && !(integerDigits.isEmpty && fractionDigits.isEmpty)
        return result
    }

    func adding(_ other: DecimalText) -> DecimalText {
        let scale = max(fractionDigits.count, other.fractionDigits.count)
        let left = digits(scale: scale)
        let right = other.digits(scale: scale)
        let length = max(left.count, right.count)
        var sum = zip(padded(left, length), padded(right, length)).map {
            Int($0) * (isNegative ? -1 : 1) + Int($1) * (other.isNegative ? -1 : 1)
        }
        // The sign of the whole is that of the first digit that is not zero; carries follow it.
        let isNegativeSum = (sum.first { $0 != 0 } ?? 0) < 0
        if isNegativeSum { sum = sum.map { -$0 } }
        var carry = 0
        for index in sum.indices.reversed() {
            let value = sum[index] + carry
            carry = value < 0 ? -1 : value / 10
            sum[index] = value - carry * 10
        }
        let text = (isNegativeSum ? "-" : "") + "\(carry)" + sum.map(String.init).joined()
        let split = text.index(text.endIndex, offsetBy: -scale)
        return DecimalText("\(text[..<split]).\(text[split...])0") ?? self
    }

    private func digits(scale: Int) -> [UInt8] {
        (integerDigits + fractionDigits).map { $0 - 0x30 }
            + Array(repeating: 0, count: scale - fractionDigits.count)
    }

    private func padded(_ digits: [UInt8], _ length: Int) -> [UInt8] {
        Array(repeating: 0, count: length - digits.count) + digits
    }
}
