/// A parsed JSON value, for small replies and metadata. Numbers keep their text, objects their order.
package indirect enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// The number's text as it stood in the input.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([JSONMember])
}

package struct JSONMember: Sendable, Equatable {
    package var name: String
    package var value: JSONValue

    package init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}

extension JSONValue {
    /// Parses one JSON text.
    ///
    /// - Throws: `JSONSyntaxError` for anything that RFC 8259 does not allow.
    package init(parsing bytes: UnsafeRawBufferPointer) throws(JSONSyntaxError) {
        guard let start = bytes.baseAddress else { throw JSONSyntaxError(.endOfInput, at: 0) }
        var reader = JSONReader(start.assumingMemoryBound(to: UInt8.self), count: bytes.count)
        self = try reader.readValue()
        try reader.finish()
    }

    package init(parsing bytes: [UInt8]) throws(JSONSyntaxError) {
        let result: Result<JSONValue, JSONSyntaxError> = bytes.withUnsafeBytes { pointer in
            do throws(JSONSyntaxError) {
                return .success(try JSONValue(parsing: pointer))
            } catch {
                return .failure(error)
            }
        }
        self = try result.get()
    }

    package init(parsing text: String) throws(JSONSyntaxError) { try self.init(parsing: Array(text.utf8)) }

    /// A member of an object; nil if there is none or this is no object. Of repeated names the last counts.
    package subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        // By bytes: to `String`, names that only look alike are one.
        return members.last { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    package var stringValue: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    package var boolValue: Bool? {
        guard case .bool(let flag) = self else { return nil }
        return flag
    }

    /// An integer from a number or, as Google writes int64, from a string.
    package var intValue: Int64? {
        switch self {
        case .number(let text), .string(let text): Int64(text)
        default: nil
        }
    }

    package var doubleValue: Double? {
        switch self {
        case .number(let text), .string(let text): Double(text)
        default: nil
        }
    }

    package var arrayValue: [JSONValue]? {
        guard case .array(let items) = self else { return nil }
        return items
    }

    package var objectValue: [JSONMember]? {
        guard case .object(let members) = self else { return nil }
        return members
    }

    package var isNull: Bool { self == .null }

    /// Appends the value as JSON text without insignificant spaces.
    package func write(to buffer: ByteBuffer) {
        switch self {
        case .null: buffer.append("null")
        case .bool(let flag): buffer.append(flag ? "true" : "false")
        case .number(let text): buffer.append(text)
        case .string(let text): buffer.appendJSONString(text)
        case .array(let items):
            buffer.append(UInt8(ascii: "["))
            for (index, item) in items.enumerated() {
                if index > 0 { buffer.append(UInt8(ascii: ",")) }
                item.write(to: buffer)
            }
            buffer.append(UInt8(ascii: "]"))
        case .object(let members):
            buffer.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { buffer.append(UInt8(ascii: ",")) }
                buffer.appendJSONString(member.name)
                buffer.append(UInt8(ascii: ":"))
                member.value.write(to: buffer)
            }
            buffer.append(UInt8(ascii: "}"))
        }
    }

    package var bytes: [UInt8] {
        let buffer = ByteBuffer()
        write(to: buffer)
        return buffer.array
    }

    package var text: String {
        let buffer = ByteBuffer()
        write(to: buffer)
        return buffer.string
    }
}

extension JSONReader {
    /// Parses one value into a tree.
    package mutating func readValue(depth: Int = 0) throws(JSONSyntaxError) -> JSONValue {
        guard depth < Self.maximumDepth else { throw JSONSyntaxError(.tooDeep, at: at) }
        switch try peek() {
        case UInt8(ascii: "\""):
            return .string(string(try readString()))
        case UInt8(ascii: "{"):
            var members: [JSONMember] = []
            guard try enterObject() else { return .object(members) }
            repeat {
                let name = string(try readKey())
                members.append(JSONMember(name, try readValue(depth: depth + 1)))
            } while try hasNextMember()
            return .object(members)
        case UInt8(ascii: "["):
            var items: [JSONValue] = []
            guard try enterArray() else { return .array(items) }
            repeat {
                items.append(try readValue(depth: depth + 1))
            } while try hasNextItem()
            return .array(items)
        case UInt8(ascii: "t"):
            try readLiteral("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try readLiteral("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try readLiteral("null")
            return .null
        default:
            return .number(String(decoding: raw(try readNumber(atEndOfText: depth == 0)), as: UTF8.self))
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(integerLiteral value: Int64) { self = .number(String(value)) }
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { JSONMember($0.0, $0.1) })
    }
    package init(nilLiteral: ()) { self = .null }
}
