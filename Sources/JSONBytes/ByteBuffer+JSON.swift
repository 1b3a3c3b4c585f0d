/// JSON text as etlctl writes it: no insignificant spaces; escapes only for `"`, `\` and controls, the short form where one exists, else
/// `\u00xx` in lower case; everything else as UTF-8.
extension ByteBuffer {
    /// Appends text as a quoted JSON string. The text must be valid UTF-8: it is not checked again.
    public func appendJSONString(_ text: UnsafeRawBufferPointer) {
        append(UInt8(ascii: "\""))
        appendJSONEscaped(text)
        append(UInt8(ascii: "\""))
    }

    /// Appends text as a quoted JSON string.
    public func appendJSONString(_ text: String) {
        var text = text
        text.withUTF8 { appendJSONString(UnsafeRawBufferPointer($0)) }
    }

    /// Appends text escaped as the inside of a JSON string.
    public func appendJSONEscaped(_ text: UnsafeRawBufferPointer) {
        guard let start = text.baseAddress else { return }
        let source = start.assumingMemoryBound(to: UInt8.self)
        var cursor = 0
        var pending = 0
        while cursor < text.count {
            while cursor + 8 <= text.count {
                let word = (start + cursor).loadUnaligned(as: UInt64.self)
                // Bytes beyond ASCII stop the search too; they are stepped over below.
                let special = JSONReader.specialBytes(word)
                if special != 0 {
                    cursor += special.trailingZeroBitCount >> 3
                    break
                }
                cursor += 8
            }
            guard cursor < text.count else { break }
            let byte = source[cursor]
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                append(source + pending, count: cursor - pending)
                appendEscape(of: byte)
                pending = cursor + 1
            }
            cursor += 1
        }
        append(source + pending, count: text.count - pending)
    }

    private func appendEscape(of byte: UInt8) {
        let short: UInt8
        switch byte {
        case 0x22, 0x5C: short = byte
        case 0x08: short = UInt8(ascii: "b")
        case 0x09: short = UInt8(ascii: "t")
        case 0x0A: short = UInt8(ascii: "n")
        case 0x0C: short = UInt8(ascii: "f")
        case 0x0D: short = UInt8(ascii: "r")
        default:
            append("\\u00")
            append(byte < 0x10 ? 0x30 : 0x31)
            let low = byte & 0x0F
            append(low < 10 ? 0x30 + low : 0x57 + low)
            return
        }
        append(UInt8(ascii: "\\"))
        append(short)
    }

    /// Appends a string's content (between its quotes, already checked by `JSONReader`) with its escape sequences decoded to UTF-8.
    public func appendDecoded(_ content: UnsafeRawBufferPointer) {
        guard let start = content.baseAddress else { return }
        let source = start.assumingMemoryBound(to: UInt8.self)
        var cursor = 0
        while cursor < content.count {
            let byte = source[cursor]
            guard byte == UInt8(ascii: "\\") else {
                append(byte)
                cursor += 1
                continue
            }
            cursor += appendEscapeDecoded(source + cursor)
        }
    }

    /// Appends what the escape sequence at `sequence` stands for; returns its length in bytes.
    private func appendEscapeDecoded(_ sequence: UnsafePointer<UInt8>) -> Int {
        switch sequence[1] {
        case UInt8(ascii: "b"): append(0x08)
        case UInt8(ascii: "f"): append(0x0C)
        case UInt8(ascii: "n"): append(0x0A)
        case UInt8(ascii: "r"): append(0x0D)
        case UInt8(ascii: "t"): append(0x09)
        case UInt8(ascii: "u"):
            let unit = hexadecimal(sequence + 2) ?? 0xFFFD
            guard unit & 0xFC00 == 0xD800, let low = hexadecimal(sequence + 8) else {
                appendScalar(unit)
                return 6
            }
            appendScalar(0x10000 + ((unit & 0x3FF) << 10 | (low & 0x3FF)))
            return 12
        default: append(sequence[1])
        }
        return 2
    }

    private func appendScalar(_ value: UInt32) {
        switch value {
        case 0..<0x80:
            append(UInt8(value))
        case 0x80..<0x800:
            append(UInt8(0xC0 | value >> 6))
            append(UInt8(0x80 | value & 0x3F))
        case 0x800..<0x10000:
            append(UInt8(0xE0 | value >> 12))
            append(UInt8(0x80 | value >> 6 & 0x3F))
            append(UInt8(0x80 | value & 0x3F))
        default:
            append(UInt8(0xF0 | value >> 18))
            append(UInt8(0x80 | value >> 12 & 0x3F))
            append(UInt8(0x80 | value >> 6 & 0x3F))
            append(UInt8(0x80 | value & 0x3F))
        }
    }

    /// Appends a string's content in etlctl's form, quoted. Content without escapes is copied as it is.
    @inline(__always)
    public func appendNormalizedString(_ content: UnsafeRawBufferPointer, isPlain: Bool, scratch: ByteBuffer) {
        append(UInt8(ascii: "\""))
        if isPlain {
            append(content)
        } else {
            scratch.removeAll()
            scratch.appendDecoded(content)
            appendJSONEscaped(scratch.bytes)
        }
        append(UInt8(ascii: "\""))
    }

    /// Appends bytes as lower-case hexadecimal.
    public func append(hexadecimal source: [UInt8]) { source.withUnsafeBytes { append(hexadecimal: $0) } }

    /// Appends bytes as lower-case hexadecimal.
    public func append(hexadecimal source: UnsafeRawBufferPointer) {
        reserve(source.count * 2)
        let target = UnsafeMutableRawPointer(base + count)
        var place = 0
        while place + 4 <= source.count {
            let digits = Self.hexadecimalDigits(
                UInt32(littleEndian: source.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
            target.storeBytes(of: digits.littleEndian, toByteOffset: place * 2, as: UInt64.self)
            place += 4
        }
        while place < source.count {
            let digits = Self.hexadecimalDigits(UInt32(source[place]))
            target.storeBytes(
                of: UInt16(truncatingIfNeeded: digits).littleEndian, toByteOffset: place * 2, as: UInt16.self)
            place += 1
        }
        state.pointee.count += source.count * 2
    }

    /// The eight digits of four bytes at once, all in little endian.
    @inline(__always)
    private static func hexadecimalDigits(_ bytes: UInt32) -> UInt64 {
        var spread = UInt64(bytes)
        spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF
        spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF
        let nibbles = (spread >> 4 & 0x000F_000F_000F_000F) | (spread & 0x000F_000F_000F_000F) << 8
        // 1 in each byte whose nibble is a letter.
        let letters = (nibbles &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return nibbles &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
    }

    /// Appends an integer in decimal.
    public func append(decimal value: Int64) {
        if value < 0 { append(UInt8(ascii: "-")) }
        var rest = value.magnitude
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var first = 20
            repeat {
                first -= 1
                digits[first] = UInt8(rest % 10) + 0x30
                rest /= 10
            } while rest > 0
            append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[first...]))
        }
    }
}
