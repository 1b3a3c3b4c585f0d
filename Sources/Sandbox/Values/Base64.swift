/// Standard base64 (RFC 4648 section 4) with padding.
enum Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: some Collection<UInt8>) -> String {
        var result: [UInt8] = []
        result.reserveCapacity((bytes.count + 2) / 3 * 4)
        var group: UInt32 = 0
        var count = 0
        for byte in bytes {
            group = group << 8 | UInt32(byte)
            count += 1
            if count == 3 {
                for shift in [18, 12, 6, 0] { result.append(digits[Int(group >> UInt32(shift)) & 63]) }
                group = 0
                count = 0
            }
        }
        if count > 0 {
            group <<= count == 1 ? 16 : 8
            for index in 0...count { result.append(digits[Int(group >> UInt32(18 - 6 * index)) & 63]) }
            for _ in count..<3 { result.append(UInt8(ascii: "=")) }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Nil for anything but complete groups of the standard alphabet with correct padding. With `isURLSafe` the alphabet is that of
    /// section 5 and padding may be absent, as in a JWT.
    static func decode(_ text: UnsafeRawBufferPointer, isURLSafe: Bool = false) -> [UInt8]? {
        var end = text.count
        while end > 0, text.count - end < 2, text[end - 1] == UInt8(ascii: "=") { end -= 1 }
        if isURLSafe ? end % 4 == 1 : (text.count % 4 != 0 || (text.count > end && end % 4 == 0)) { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(end / 4 * 3 + 2)
        var group: UInt32 = 0
        var bits = 0
        for index in 0..<end {
            guard let value = value(of: text[index], isURLSafe: isURLSafe) else { return nil }
            group = group << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                result.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
            }
        }
        // Bits that are left over must be zero: the encoding is canonical then.
        return group & (1 << UInt32(bits) - 1) == 0 ? result : nil
    }

    private static func value(of byte: UInt8, isURLSafe: Bool) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - 0x41)
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - 0x61 + 26)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - 0x30 + 52)
        case UInt8(ascii: isURLSafe ? "-" : "+"): 62
        case UInt8(ascii: isURLSafe ? "_" : "/"): 63
        default: nil
        }
    }
}
