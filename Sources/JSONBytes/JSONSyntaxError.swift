/// Why bytes are not the JSON they should be (RFC 8259), and where.
public struct JSONSyntaxError: Error, Equatable, CustomStringConvertible {
    /// What is wrong.
    public enum Kind: Sendable {
        /// The input ends inside a value: more bytes may mend it.
        case endOfInput
        case unexpectedByte
        case invalidNumber
        case invalidEscape
        case invalidUTF8
        case controlCharacter
        case tooDeep
    }

    /// What is wrong.
    public var kind: Kind
    /// Bytes from the start of the input.
    public var offset: Int

    /// An error at so many bytes from the start of the input.
    public init(_ kind: Kind, at offset: Int) {
        self.kind = kind
        self.offset = offset
    }

    /// For people.
    public var description: String {
        let what =
            switch kind {
            case .endOfInput: "the JSON ends in the middle of a value"
            case .unexpectedByte: "unexpected character"
            case .invalidNumber: "malformed number"
            case .invalidEscape: "malformed escape sequence or lone surrogate"
            case .invalidUTF8: "malformed UTF-8"
            case .controlCharacter: "raw control character inside a string"
            case .tooDeep: "values nested too deeply"
            }
        return "\(what) at byte \(offset)"
    }
}
