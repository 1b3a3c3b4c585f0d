/// Encodings of CSV text besides UTF-8, turned into it.
package enum TextEncoding: String, Sendable, CaseIterable {
    case utf8 = "utf-8"
    case latin1 = "iso-8859-1"
    case windows1252 = "windows-1252"
    case utf16LittleEndian = "utf-16le"
    case utf16BigEndian = "utf-16be"

    /// By any of its usual names, in any case; nil for one that is not known.
    package init?(name: String) {
        switch name.lowercased().filter({ $0 != "_" && $0 != "-" && $0 != " " }) {
        case "", "utf8", "ascii", "usascii": self = .utf8
        case "latin1", "iso88591", "l1": self = .latin1
        case "windows1252", "cp1252": self = .windows1252
        case "utf16", "utf16le", "ucs2": self = .utf16LittleEndian
        case "utf16be": self = .utf16BigEndian
        default: return nil
        }
    }
}

/// Turns text of an encoding into UTF-8, piece by piece. Half a character at a piece's end waits for the next one.
struct TextTranscoder {
    private let encoding: TextEncoding
    private var rest: [UInt8] = []
    private var highSurrogate: UInt32?

    init(_ encoding: TextEncoding) { self.encoding = encoding }

    mutating func transcode(_ piece: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(piece.count + piece.count / 4)
        switch encoding {
        case .utf8: return piece
        case .latin1: for byte in piece { Self.append(UInt32(byte), to: &result) }
        case .windows1252:
            for byte in piece {
                let special = byte & 0xE0 == 0x80 ? Self.windows1252[Int(byte & 0x1F)] : UInt32(byte)
                Self.append(special, to: &result)
            }
        case .utf16LittleEndian, .utf16BigEndian: appendUTF16(piece, to: &result)
        }
        return result
    }

    /// What is left at the end is half a character.
    mutating func finish() -> [UInt8] {
        defer {
            rest = []
            highSurrogate = nil
        }
        return rest.isEmpty && highSurrogate == nil ? [] : Self.replacement
    }

    /// Bytes that UTF-8 never has: what can't be read must be seen as that, so that its line is a bad one.
    private static let replacement: [UInt8] = [0xFF]

    private mutating func appendUTF16(_ piece: [UInt8], to result: inout [UInt8]) {
        let bytes = rest + piece
        let whole = bytes.count & ~1
        rest = Array(bytes[whole...])
        let (high, low) = encoding == .utf16BigEndian ? (0, 1) : (1, 0)
        for index in stride(from: 0, to: whole, by: 2) {
            let unit = UInt32(bytes[index + high]) << 8 | UInt32(bytes[index + low])
            if let first = highSurrogate {
                highSurrogate = nil
                if unit & 0xFC00 == 0xDC00 {
                    Self.append(0x10000 + ((first & 0x3FF) << 10 | (unit & 0x3FF)), to: &result)
                    continue
                }
                result += Self.replacement
            }
            switch unit & 0xFC00 {
            case 0xD800: highSurrogate = unit
            case 0xDC00: result += Self.replacement
            default: Self.append(unit, to: &result)
            }
        }
    }

    private static func append(_ scalar: UInt32, to result: inout [UInt8]) {
        if scalar < 0x80 { return result.append(UInt8(scalar)) }
        guard let scalar = Unicode.Scalar(scalar) else { return result += replacement }
        result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }

    /// 0x80 to 0x9F of Windows-1252; the five without a character stand for the control of the same number, as WHATWG's Encoding has it.
    private static let windows1252: [UInt32] = [
        0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D,
        0x017D,
        0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153,
        0x9D,
        0x017E, 0x0178,
    ]
}
