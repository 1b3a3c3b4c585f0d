extension JSONReader {
    /// Consumes a string and checks every byte of it. Eight bytes a step while they are plain ASCII.
    @inline(__always)
    public mutating func readString() throws(JSONSyntaxError) -> JSONStringToken {
        guard try peek() == UInt8(ascii: "\"") else { throw JSONSyntaxError(.unexpectedByte, at: at) }
        let start = at + 1
        var cursor = start
        var isPlain = true
        while true {
            while cursor + 8 <= end {
                let word = UnsafeRawPointer(base + cursor).loadUnaligned(as: UInt64.self)
                let special = Self.specialBytes(word)
                if special != 0 {
                    cursor += special.trailingZeroBitCount >> 3
                    break
                }
                cursor += 8
            }
            guard cursor < end else { throw JSONSyntaxError(.endOfInput, at: cursor) }
            let byte = base[cursor]
            if byte == UInt8(ascii: "\"") {
                at = cursor + 1
                return JSONStringToken(start: start, end: cursor, isPlain: isPlain)
            }
            if byte == UInt8(ascii: "\\") {
                isPlain = false
                cursor = try checkEscape(cursor)
            } else if byte >= 0x80 {
                cursor = try checkUTF8(cursor)
            } else if byte < 0x20 {
                throw JSONSyntaxError(.controlCharacter, at: cursor)
            } else {
                cursor += 1
            }
        }
    }

    /// The high bit of every byte that is a quote, a backslash, a control or not ASCII. Exact for the lowest such byte, which is all that is used.
    @inline(__always)
    static func specialBytes(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        let quote = word ^ (ones &* 0x22)
        let backslash = word ^ (ones &* 0x5C)
        let hit =
            ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | (word &- (ones &* 0x20)) | word
        return hit & highs
    }

    /// From a backslash to the byte after the escape sequence.
    @inline(never)
    private func checkEscape(_ backslash: Int) throws(JSONSyntaxError) -> Int {
        guard backslash + 1 < end else { throw JSONSyntaxError(.endOfInput, at: backslash) }
        switch base[backslash + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return backslash + 2
        case UInt8(ascii: "u"):
            let unit = try codeUnit(backslash)
            if unit & 0xFC00 == 0xDC00 { throw JSONSyntaxError(.invalidEscape, at: backslash) }
            guard unit & 0xFC00 == 0xD800 else { return backslash + 6 }
            let second = backslash + 6
            guard second < end else { throw JSONSyntaxError(.endOfInput, at: second) }
            guard base[second] == UInt8(ascii: "\\") else { throw JSONSyntaxError(.invalidEscape, at: backslash) }
            guard second + 1 < end else { throw JSONSyntaxError(.endOfInput, at: second) }
            guard base[second + 1] == UInt8(ascii: "u"), try codeUnit(second) & 0xFC00 == 0xDC00 else {
                throw JSONSyntaxError(.invalidEscape, at: backslash)
            }
            return second + 6
        default:
            throw JSONSyntaxError(.invalidEscape, at: backslash)
        }
    }

    private func codeUnit(_ backslash: Int) throws(JSONSyntaxError) -> UInt32 {
        guard backslash + 6 <= end else { throw JSONSyntaxError(.endOfInput, at: backslash) }
        guard let unit = hexadecimal(base + backslash + 2) else {
            throw JSONSyntaxError(.invalidEscape, at: backslash)
        }
        return unit
    }

    /// From a lead byte to the byte after the character: no overlong form, no surrogate, nothing beyond U+10FFFF (RFC 3629).
    @inline(never)
    private func checkUTF8(_ lead: Int) throws(JSONSyntaxError) -> Int {
        switch lengthOfUTF8(base + lead, available: end - lead) {
        case .valid(let length): return lead + length
        case .cutOff: throw JSONSyntaxError(.endOfInput, at: lead)
        case .invalid: throw JSONSyntaxError(.invalidUTF8, at: lead)
        }
    }
}

package enum UTF8Length {
    case valid(Int)
    case cutOff
    case invalid
}

/// The length in bytes of the character at `pointer`, by RFC 3629.
package func lengthOfUTF8(_ pointer: UnsafePointer<UInt8>, available: Int) -> UTF8Length {
    let lead = pointer[0]
    if lead < 0x80 { return .valid(1) }
    let length: Int
    var lowest: UInt8 = 0x80
    var highest: UInt8 = 0xBF
    switch lead {
    case 0xC2...0xDF: length = 2
    case 0xE0:
        length = 3
        lowest = 0xA0
    case 0xED:
        length = 3
        highest = 0x9F
    case 0xE1...0xEF: length = 3
    case 0xF0:
        length = 4
        lowest = 0x90
    case 0xF4:
        length = 4
        highest = 0x8F
    case 0xF1...0xF3: length = 4
    default: return .invalid
    }
    guard available > 1 else { return .cutOff }
    guard pointer[1] >= lowest, pointer[1] <= highest else { return .invalid }
    for index in 2..<max(length, 2) {
        guard index < available else { return .cutOff }
        guard pointer[index] & 0xC0 == 0x80 else { return .invalid }
    }
    return .valid(length)
}

/// Four hexadecimal digits, or nil.
func hexadecimal(_ pointer: UnsafePointer<UInt8>) -> UInt32? {
    var value: UInt32 = 0
    for index in 0..<4 {
        let byte = pointer[index]
        let digit: UInt8
        switch byte {
        case 0x30...0x39: digit = byte - 0x30
        case 0x41...0x46: digit = byte - 0x37
        case 0x61...0x66: digit = byte - 0x57
        default: return nil
        }
        value = value << 4 | UInt32(digit)
    }
    return value
}
