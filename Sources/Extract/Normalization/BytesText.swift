internal import JSONBytes

extension ByteBuffer {
    /// Appends bytes as standard base64 with padding (RFC 4648, section 4).
    func append(base64 source: UnsafeRawBufferPointer) {
        let digits = Self.base64Digits
        reserve((source.count + 2) / 3 * 4)
        var index = 0
        while index < source.count {
            let rest = source.count - index
            let group =
                UInt32(source[index]) << 16 | (rest > 1 ? UInt32(source[index + 1]) << 8 : 0)
                | (rest > 2 ? UInt32(source[index + 2]) : 0)
            append(digits[Int(group >> 18)])
            append(digits[Int(group >> 12 & 63)])
            append(rest > 1 ? digits[Int(group >> 6 & 63)] : UInt8(ascii: "="))
            append(rest > 2 ? digits[Int(group & 63)] : UInt8(ascii: "="))
            index += 3
        }
    }

    private static let base64Digits: [UInt8] = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Appends the bytes that pairs of hexadecimal digits stand for; false, and nothing, for what is no such text.
    func append(decodingHexadecimal text: UnsafeRawBufferPointer) -> Bool {
        guard text.count % 2 == 0 else { return false }
        let before = count
        var index = 0
        while index < text.count {
            guard let high = Self.digit(text[index]), let low = Self.digit(text[index + 1]) else {
                truncate(to: before)
                return false
            }
            append(high << 4 | low)
            index += 2
        }
        return true
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}

/// True for valid UTF-8 (RFC 3629). Eight bytes a step while they are ASCII.
func isValidUTF8(_ text: UnsafeRawBufferPointer) -> Bool {
    guard let start = text.baseAddress else { return true }
    let bytes = start.assumingMemoryBound(to: UInt8.self)
    var index = 0
    while index < text.count {
        while index + 8 <= text.count, (start + index).loadUnaligned(as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
            index += 8
        }
        guard index < text.count else { return true }
        guard case .valid(let length) = lengthOfUTF8(bytes + index, available: text.count - index) else { return false }
        index += length
    }
    return true
}
