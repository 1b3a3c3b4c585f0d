/// One element of a small XML answer: what the object stores' listings and errors need, and no more.
///
/// Comments and processing instructions are passed over. A document type is refused: no service sends one, and entities could grow without
/// bound. Namespaces' prefixes are dropped.
package struct XMLElement: Sendable, Equatable {
    package var name: String
    /// The element's own text, entities decoded, child elements' text left out.
    package var text = ""
    package var children: [XMLElement] = []
    package var attributes: [String: String] = [:]

    package struct SyntaxError: Error, Sendable, CustomStringConvertible {
        package var offset: Int
        package var description: String { "no well-formed XML at byte \(offset)" }
    }

    /// The first child of that name.
    package subscript(_ name: String) -> XMLElement? { children.first { $0.name == name } }

    package func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

    /// The first element of that name below this one, depth first.
    package func descendant(_ name: String) -> XMLElement? {
        for child in children {
            if child.name == name { return child }
            if let found = child.descendant(name) { return found }
        }
        return nil
    }

    package init(parsing bytes: [UInt8]) throws(SyntaxError) {
        var parser = XMLParser(bytes)
        self = try parser.document()
    }

    init(name: String) { self.name = name }
}

private struct XMLParser {
    /// Deeper than any store's answer.
    private static let maximumDepth = 32

    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { at = 3 }
    }

    mutating func document() throws(XMLElement.SyntaxError) -> XMLElement {
        try skipMisc()
        guard peek == UInt8(ascii: "<") else { throw failure }
        let root = try element(depth: 0)
        try skipMisc()
        guard at == bytes.count else { throw failure }
        return root
    }

    private var failure: XMLElement.SyntaxError { XMLElement.SyntaxError(offset: at) }
    private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    private func isNext(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard at + count <= bytes.count else { return false }
        return (0..<count).allSatisfy { bytes[at + $0] == text.utf8Start[$0] }
    }

    private mutating func skip(past end: StaticString) throws(XMLElement.SyntaxError) {
        while at < bytes.count {
            if isNext(end) {
                at += end.utf8CodeUnitCount
                return
            }
            at += 1
        }
        throw failure
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { at += 1 }
    }

    private mutating func skipMisc() throws(XMLElement.SyntaxError) {
        while true {
            skipSpace()
            if isNext("<?") {
                try skip(past: "?>")
            } else if isNext("<!--") {
                try skip(past: "-->")
            } else {
                return
            }
        }
    }

    /// A name without its namespace's prefix.
    private mutating func name() throws(XMLElement.SyntaxError) -> String {
        let start = at
        var local = at
        while let byte = peek, byte > 0x20, !"<>/=\"'&".utf8.contains(byte) {
            at += 1
            if byte == UInt8(ascii: ":") { local = at }
        }
        guard at > start, at > local else { throw failure }
        return String(decoding: bytes[local..<at], as: UTF8.self)
    }

    private mutating func element(depth: Int) throws(XMLElement.SyntaxError) -> XMLElement {
        guard depth < Self.maximumDepth, peek == UInt8(ascii: "<") else { throw failure }
        at += 1
        var element = XMLElement(name: try name())
        let isEmpty = try attributes(into: &element.attributes)
        guard !isEmpty else { return element }
        var text: [UInt8] = []
        while true {
            guard let byte = peek else { throw failure }
            if byte == UInt8(ascii: "&") {
                try entity(into: &text)
            } else if byte != UInt8(ascii: "<") {
                text.append(byte)
                at += 1
            } else if isNext("</") {
                at += 2
                guard try name() == element.name else { throw failure }
                skipSpace()
                guard peek == UInt8(ascii: ">") else { throw failure }
                at += 1
                element.text = String(decoding: text, as: UTF8.self)
                return element
            } else if isNext("<!--") {
                try skip(past: "-->")
            } else if isNext("<![CDATA[") {
                at += 9
                let start = at
                try skip(past: "]]>")
                text += bytes[start..<at - 3]
            } else if isNext("<?") {
                try skip(past: "?>")
            } else {
                element.children.append(try self.element(depth: depth + 1))
            }
        }
    }

    /// Reads to the tag's end; true for one that closes itself.
    private mutating func attributes(
        into attributes: inout [String: String]
    ) throws(XMLElement.SyntaxError) -> Bool {
        while true {
            skipSpace()
            if isNext("/>") {
                at += 2
                return true
            }
            if peek == UInt8(ascii: ">") {
                at += 1
                return false
            }
            let name = try name()
            skipSpace()
            guard peek == UInt8(ascii: "=") else { throw failure }
            at += 1
            skipSpace()
            guard let quote = peek, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { throw failure }
            at += 1
            var value: [UInt8] = []
            while let byte = peek, byte != quote, byte != UInt8(ascii: "<") {
                if byte == UInt8(ascii: "&") {
                    try entity(into: &value)
                } else {
                    value.append(byte)
                    at += 1
                }
            }
            guard peek == quote else { throw failure }
            attributes[name] = String(decoding: value, as: UTF8.self)
            at += 1
        }
    }

    private mutating func entity(into text: inout [UInt8]) throws(XMLElement.SyntaxError) {
        guard let end = bytes[at...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else { throw failure }
        let name = String(decoding: bytes[(at + 1)..<end], as: UTF8.self)
        switch name {
        case "amp": text.append(UInt8(ascii: "&"))
        case "lt": text.append(UInt8(ascii: "<"))
        case "gt": text.append(UInt8(ascii: ">"))
        case "quot": text.append(UInt8(ascii: "\""))
        case "apos": text.append(UInt8(ascii: "'"))
        default:
            let digits = name.hasPrefix("#x") ? name.dropFirst(2) : name.dropFirst(1)
            guard name.hasPrefix("#"), let value = UInt32(digits, radix: name.hasPrefix("#x") ? 16 : 10),
                let scalar = Unicode.Scalar(value)
            else { throw failure }
            text += Array(String(Character(scalar)).utf8)
        }
        at = end + 1
    }
}
