/// A place in a query; all places are equal, so that expressions compare by what they say.
struct SQLPosition: Sendable, Equatable, CustomStringConvertible {
    var line = 1
    var column = 1

    static func == (left: SQLPosition, right: SQLPosition) -> Bool { true }

    var description: String { "[\(line):\(column)]" }
}

/// A piece of GoogleSQL text (lexical-structure page).
struct SQLToken: Sendable {
    enum Kind: Sendable, Equatable {
        case identifier(String)
        /// Between back-quotes.
        case quoted(String)
        case number(String)
        case string(String)
        case bytes([UInt8])
        case parameter(String)
        case symbol(String)
        case end
    }

    var kind: Kind
    var position: SQLPosition
    /// Whether white space or a comment comes before it.
    var isSpaced: Bool

    /// As in messages.
    var text: String {
        switch kind {
        case .identifier(let name): "identifier \"\(name)\""
        case .quoted(let name): "identifier `\(name)`"
        case .number(let text): "number \"\(text)\""
        case .string(let text): "string literal \"\(text)\""
        case .bytes: "bytes literal"
        case .parameter(let name): "\"@\(name)\""
        case .symbol(let text): "\"\(text)\""
        case .end: "end of script"
        }
    }
}

struct SQLLexer {
    private let source: [Unicode.Scalar]
    private var at = 0
    private var place = SQLPosition()

    init(_ text: String) { source = Array(text.unicodeScalars) }

    static func tokens(_ text: String) throws(APIError) -> [SQLToken] {
        var lexer = SQLLexer(text)
        var result: [SQLToken] = []
        while true {
            let isSpaced = try lexer.skipSpaces()
            let position = lexer.place
            let kind = try lexer.next()
            result.append(SQLToken(kind: kind, position: position, isSpaced: isSpaced))
            if kind == .end { return result }
        }
    }

    private func peek(_ offset: Int = 0) -> Unicode.Scalar? {
        at + offset < source.count ? source[at + offset] : nil
    }

    private mutating func advance() {
        if source[at] == "\n" {
            place.line += 1
            place.column = 1
        } else {
            place.column += 1
        }
        at += 1
    }

    private mutating func take(while condition: (Unicode.Scalar) -> Bool) -> String {
        var result = String.UnicodeScalarView()
        while let scalar = peek(), condition(scalar) {
            result.append(scalar)
            advance()
        }
        return String(result)
    }

    private mutating func skipSpaces() throws(APIError) -> Bool {
        let start = at
        while let scalar = peek() {
            if scalar.properties.isWhitespace {
                advance()
            } else if scalar == "#" || (scalar == "-" && peek(1) == "-") {
                _ = take { $0 != "\n" }
            } else if scalar == "/", peek(1) == "*" {
                let position = place
                while peek() != nil, !(peek() == "*" && peek(1) == "/") { advance() }
                guard peek() != nil else { throw .invalidQuery("Syntax error: Unclosed comment at \(position)") }
                advance()
                advance()
            } else {
                break
            }
        }
        return at > start
    }

    private static func isNameStart(_ scalar: Unicode.Scalar) -> Bool {
        ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

    private static func isNamePart(_ scalar: Unicode.Scalar) -> Bool { isNameStart(scalar) || isDigit(scalar) }

    private mutating func next() throws(APIError) -> SQLToken.Kind {
        guard let scalar = peek() else { return .end }
        if let literal = try prefixedLiteral() { return literal }
        if Self.isNameStart(scalar) { return .identifier(take(while: Self.isNamePart)) }
        if Self.isDigit(scalar) || (scalar == "." && peek(1).map(Self.isDigit) == true) { return .number(number()) }
        switch scalar {
        case "`": return .quoted(try quoted("`", isRaw: false))
        case "'", "\"": return .string(try quoted(scalar, isRaw: false))
        case "@":
            advance()
            return .parameter(take(while: Self.isNamePart))
        default: break
        }
        for symbol in ["<=", ">=", "!=", "<>", "||", "<<", ">>", "=>"] where matches(symbol) {
            advance()
            advance()
            return .symbol(symbol == "<>" ? "!=" : symbol)
        }
        guard "()[],.;*/+-=<>|&^~?:".unicodeScalars.contains(scalar) else {
            throw .invalidQuery("Syntax error: Illegal input character \"\(scalar)\" at \(place)")
        }
        advance()
        return .symbol(String(scalar))
    }

    private func matches(_ text: String) -> Bool {
        text.unicodeScalars.enumerated().allSatisfy { peek($0) == $1 }
    }

    /// `r'...'`, `b'...'`, `rb'...'`.
    private mutating func prefixedLiteral() throws(APIError) -> SQLToken.Kind? {
        var length = 0
        while length < 2, let scalar = peek(length), "rRbB".unicodeScalars.contains(scalar) { length += 1 }
        guard length > 0, let quote = peek(length), quote == "'" || quote == "\"" else { return nil }
        let prefix = source[at..<at + length].map { String($0).lowercased() }
        for _ in 0..<length { advance() }
        let text = try quoted(quote, isRaw: prefix.contains("r"))
        return prefix.contains("b") ? .bytes(Array(text.utf8)) : .string(text)
    }

    private mutating func number() -> String {
        if peek() == "0", peek(1) == "x" || peek(1) == "X" { return take { Self.isNamePart($0) } }
        var text = take(while: Self.isDigit)
        if peek() == "." {
            advance()
            text += "." + take(while: Self.isDigit)
        }
        let sign = peek(1) == "+" || peek(1) == "-" ? 1 : 0
        if peek() == "e" || peek() == "E", peek(1 + sign).map(Self.isDigit) == true {
            for _ in 0...sign {
                text.unicodeScalars.append(source[at])
                advance()
            }
            text += take(while: Self.isDigit)
        }
        return text
    }

    private mutating func quoted(_ quote: Unicode.Scalar, isRaw: Bool) throws(APIError) -> String {
        let start = place
        let isTriple = quote != "`" && peek(1) == quote && peek(2) == quote
        for _ in 0..<(isTriple ? 3 : 1) { advance() }
        var result = String.UnicodeScalarView()
        while let scalar = peek() {
            if scalar == quote, !isTriple || (peek(1) == quote && peek(2) == quote) {
                for _ in 0..<(isTriple ? 3 : 1) { advance() }
                return String(result)
            }
            if scalar == "\n", !isTriple { break }
            advance()
            guard scalar == "\\" else {
                result.append(scalar)
                continue
            }
            guard let escaped = peek() else { break }
            advance()
            if isRaw {
                result.append(scalar)
                result.append(escaped)
            } else {
                result.append(try unescaped(escaped))
            }
        }
        throw .invalidQuery("Syntax error: Unclosed string literal at \(start)")
    }

    private mutating func unescaped(_ scalar: Unicode.Scalar) throws(APIError) -> Unicode.Scalar {
        switch scalar {
        case "n": return "\n"
        case "t": return "\t"
        case "r": return "\r"
        case "b": return "\u{8}"
        case "f": return "\u{C}"
        case "a": return "\u{7}"
        case "v": return "\u{B}"
        case "\\", "'", "\"", "`", "?": return scalar
        case "x", "X", "u", "U":
            let length = scalar == "U" ? 8 : scalar == "u" ? 4 : 2
            let digits = String(String.UnicodeScalarView(source[at..<min(at + length, source.count)]))
            guard digits.count == length, let value = UInt32(digits, radix: 16), let result = Unicode.Scalar(value)
            else { break }
            for _ in 0..<length { advance() }
            return result
        default: break
        }
        throw .invalidQuery("Syntax error: Illegal escape sequence: \\\(scalar) at \(place)")
    }
}
