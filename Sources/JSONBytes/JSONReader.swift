/// A strict, allocation-free cursor over JSON text (RFC 8259): what it accepts is checked in full, UTF-8, escapes and number grammar included.
///
/// The memory it points at belongs to the caller and must outlive the reader.
public struct JSONReader {
    /// The text's first byte.
    public let base: UnsafePointer<UInt8>
    /// The text's length in bytes.
    public let end: Int
    /// Where the cursor stands, in bytes from the first.
    public var at: Int

    /// Deeper than any document of our sources (Firestore 20, BigQuery JSON 500), shallow enough for the stack.
    public static let maximumDepth = 512

    /// A cursor over `count` bytes.
    public init(_ base: UnsafePointer<UInt8>, count: Int, at: Int = 0) {
        self.base = base
        end = count
        self.at = at
    }

    /// True behind the last byte.
    @inlinable public var isAtEnd: Bool { at >= end }

    // MARK: Structure

    /// Steps over insignificant space.
    @inlinable @inline(__always)
    public mutating func skipWhitespace() {
        if at < end, base[at] <= 0x20 { skipSpace() }
    }

    /// Printed JSON is indented: most of its space comes in runs.
    @usableFromInline @inline(never)
    mutating func skipSpace() {
        let start = UnsafeRawPointer(base)
        while at < end {
            let byte = base[at]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            at += 1
            while at + 8 <= end, start.loadUnaligned(fromByteOffset: at, as: UInt64.self) == 0x2020_2020_2020_2020 {
                at += 8
            }
        }
    }

    /// The next significant byte, not consumed.
    @inlinable @inline(__always)
    public mutating func peek() throws(JSONSyntaxError) -> UInt8 {
        skipWhitespace()
        guard at < end else { throw JSONSyntaxError(.endOfInput, at: at) }
        return base[at]
    }

    /// Consumes `byte`, which must be next.
    @inlinable @inline(__always)
    public mutating func expect(_ byte: UInt8) throws(JSONSyntaxError) {
        guard try peek() == byte else { throw JSONSyntaxError(.unexpectedByte, at: at) }
        at += 1
    }

    /// Consumes `byte` if it is next.
    @inlinable @inline(__always)
    public mutating func consume(_ byte: UInt8) throws(JSONSyntaxError) -> Bool {
        guard try peek() == byte else { return false }
        at += 1
        return true
    }

    /// After an element: true at a comma (consumed), false at `close` (consumed).
    @inlinable @inline(__always)
    public mutating func hasNextElement(closing close: UInt8) throws(JSONSyntaxError) -> Bool {
        let byte = try peek()
        if byte == UInt8(ascii: ",") {
            at += 1
            return true
        }
        guard byte == close else { throw JSONSyntaxError(.unexpectedByte, at: at) }
        at += 1
        return false
    }

    /// Consumes `{` or `[` and, if the container is empty, its end. False for an empty one.
    @inlinable @inline(__always)
    public mutating func enter(_ open: UInt8, closing close: UInt8) throws(JSONSyntaxError) -> Bool {
        try expect(open)
        return try !consume(close)
    }

    /// Consumes `{`; false, with its `}` consumed, for an empty object.
    @inlinable @inline(__always)
    public mutating func enterObject() throws(JSONSyntaxError) -> Bool {
        try enter(UInt8(ascii: "{"), closing: UInt8(ascii: "}"))
    }

    /// Consumes `[`; false, with its `]` consumed, for an empty array.
    @inlinable @inline(__always)
    public mutating func enterArray() throws(JSONSyntaxError) -> Bool {
        try enter(UInt8(ascii: "["), closing: UInt8(ascii: "]"))
    }

    /// Behind a member's value: consumes the comma, or the object's end and is false.
    @inlinable @inline(__always)
    public mutating func hasNextMember() throws(JSONSyntaxError) -> Bool {
        try hasNextElement(closing: UInt8(ascii: "}"))
    }

    /// Behind an item: consumes the comma, or the array's end and is false.
    @inlinable @inline(__always)
    public mutating func hasNextItem() throws(JSONSyntaxError) -> Bool {
        try hasNextElement(closing: UInt8(ascii: "]"))
    }

    /// A member's name and its colon.
    @inlinable @inline(__always)
    public mutating func readKey() throws(JSONSyntaxError) -> JSONStringToken {
        let key = try readString()
        try expect(UInt8(ascii: ":"))
        return key
    }

    // MARK: Values

    /// Consumes `true`, `false` or `null` given as text.
    public mutating func readLiteral(_ literal: StaticString) throws(JSONSyntaxError) {
        skipWhitespace()
        let length = literal.utf8CodeUnitCount
        for index in 0..<length {
            guard at + index < end else { throw JSONSyntaxError(.endOfInput, at: at) }
            guard base[at + index] == literal.utf8Start[index] else {
                throw JSONSyntaxError(.unexpectedByte, at: at + index)
            }
        }
        at += length
    }

    /// Consumes a number. A number that touches the end of the input counts as cut off, except with `atEndOfText`.
    public mutating func readNumber(atEndOfText: Bool = false) throws(JSONSyntaxError) -> JSONNumberToken {
        skipWhitespace()
        let start = at
        var cursor = at
        var isInteger = true
        func digits(_ from: Int) -> Int {
            var index = from
            while index < end, base[index] &- 0x30 < 10 { index += 1 }
            return index
        }
        if cursor < end, base[cursor] == UInt8(ascii: "-") { cursor += 1 }
        guard cursor < end else { throw JSONSyntaxError(.endOfInput, at: cursor) }
        if base[cursor] == UInt8(ascii: "0") {
            cursor += 1
        } else {
            let after = digits(cursor)
            guard after > cursor else { throw JSONSyntaxError(.invalidNumber, at: cursor) }
            cursor = after
        }
        if cursor < end, base[cursor] == UInt8(ascii: ".") {
            isInteger = false
            let after = digits(cursor + 1)
            guard after > cursor + 1 else {
                throw JSONSyntaxError(after >= end ? .endOfInput : .invalidNumber, at: after)
            }
            cursor = after
        }
        if cursor < end, base[cursor] | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            var exponent = cursor + 1
            if exponent < end, base[exponent] == UInt8(ascii: "+") || base[exponent] == UInt8(ascii: "-") {
                exponent += 1
            }
            let after = digits(exponent)
            guard after > exponent else {
                throw JSONSyntaxError(after >= end ? .endOfInput : .invalidNumber, at: after)
            }
            cursor = after
        }
        if cursor >= end, !atEndOfText { throw JSONSyntaxError(.endOfInput, at: cursor) }
        // "01" and "1x" are no numbers: what follows must not continue one.
        if cursor < end, base[cursor] &- 0x30 < 10 { throw JSONSyntaxError(.invalidNumber, at: cursor) }
        at = cursor
        return JSONNumberToken(start: start, end: cursor, isInteger: isInteger)
    }

    /// Checks and skips one value of any kind.
    public mutating func skipValue(depth: Int = 0) throws(JSONSyntaxError) {
        guard depth < Self.maximumDepth else { throw JSONSyntaxError(.tooDeep, at: at) }
        switch try peek() {
        case UInt8(ascii: "\""):
            _ = try readString()
        case UInt8(ascii: "{"):
            guard try enterObject() else { return }
            repeat {
                _ = try readKey()
                try skipValue(depth: depth + 1)
            } while try hasNextMember()
        case UInt8(ascii: "["):
            guard try enterArray() else { return }
            repeat {
                try skipValue(depth: depth + 1)
            } while try hasNextItem()
        case UInt8(ascii: "t"):
            try readLiteral("true")
        case UInt8(ascii: "f"):
            try readLiteral("false")
        case UInt8(ascii: "n"):
            try readLiteral("null")
        default:
            _ = try readNumber(atEndOfText: depth == 0)
        }
    }

    /// Only white space may be left.
    public mutating func finish() throws(JSONSyntaxError) {
        skipWhitespace()
        guard at >= end else { throw JSONSyntaxError(.unexpectedByte, at: at) }
    }

    // MARK: Text

    /// The content as it stands in the text, escapes not decoded.
    @inlinable @inline(__always)
    public func raw(_ token: JSONStringToken) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + token.start, count: token.end - token.start)
    }

    /// The number as it stands in the text.
    @inlinable
    public func raw(_ token: JSONNumberToken) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + token.start, count: token.end - token.start)
    }

    /// True if the string's content, escapes decoded, is `text` (which must be ASCII without escapes).
    @inlinable @inline(__always)
    public func matches(_ token: JSONStringToken, _ text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        guard token.isPlain, token.end - token.start == length else { return false }
        for index in 0..<length where base[token.start + index] != text.utf8Start[index] { return false }
        return true
    }

    /// The decoded text. Allocates: not for the path of every row.
    public func string(_ token: JSONStringToken) -> String {
        if token.isPlain { return String(decoding: raw(token), as: UTF8.self) }
        let decoded = ByteBuffer(capacity: token.end - token.start)
        decoded.appendDecoded(raw(token))
        return decoded.string
    }
}

/// The content of a string between its quotes, as it stands in the input.
public struct JSONStringToken {
    /// Of its first byte, behind the quote.
    public var start: Int
    /// Of the closing quote.
    public var end: Int
    /// True if the content holds no escape sequence.
    public var isPlain: Bool
}

/// A number as it stands in the input.
public struct JSONNumberToken {
    /// Of its first byte.
    public var start: Int
    /// Behind its last byte.
    public var end: Int
    /// True without fraction and exponent.
    public var isInteger: Bool
}
