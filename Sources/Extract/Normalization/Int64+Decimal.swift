extension Int64 {
    /// A decimal integer with an optional minus sign and nothing else.
    init?(decimal text: UnsafeRawBufferPointer) {
        var index = 0
        let isNegative = text.first == UInt8(ascii: "-")
        if isNegative { index = 1 }
        guard index < text.count, text.count - index <= 19 else { return nil }
        var value: Int64 = 0
        while index < text.count {
            let digit = text[index] &- 0x30
            guard digit < 10 else { return nil }
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            let step = isNegative ? -Int64(digit) : Int64(digit)
            let (sum, overflowedAgain) = product.addingReportingOverflow(step)
            guard !overflowed, !overflowedAgain else { return nil }
            value = sum
            index += 1
        }
        self = value
    }
}
