/// A JSON value that keeps the order of its members, for what commands print.
///
/// Small on purpose: it only writes. Rows have a transformer of their own.
indirect enum JSONValue: Sendable, Equatable {
    struct Member: Sendable, Equatable {
        var name: String
        var value: JSONValue
    }

    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])
    /// Text that is JSON already and is printed as it stands, such as a row's payload.
    case raw(String)

    /// The value of a member of an object; nil for other values and for a name that is not there.
    subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// This object with a member added at the end, or changed in place; anything but an object is returned as it is.
    func with(_ name: String, _ value: JSONValue) -> JSONValue {
        guard case .object(var members) = self else { return self }
        if let index = members.firstIndex(where: { $0.name == name }) {
            members[index].value = value
        } else {
            members.append(Member(name: name, value: value))
        }
        return .object(members)
    }

    /// The value as JSON text on one line, without insignificant spaces.
    var text: String {
        var output = ""
        write(to: &output)
        return output
    }

    private func write(to output: inout String) {
        switch self {
        case .null: output += "null"
        case .bool(let value): output += value ? "true" : "false"
        case .int(let value): output += String(value)
        // JSON has no word for these.
        case .double(let value): output += value.isFinite ? value.description : "null"
        case .string(let value): Self.write(value, to: &output)
        case .raw(let value): output += value
        case .array(let values):
            output += "["
            for (index, value) in values.enumerated() {
                if index > 0 { output += "," }
                value.write(to: &output)
            }
            output += "]"
        case .object(let members):
            output += "{"
            for (index, member) in members.enumerated() {
                if index > 0 { output += "," }
                Self.write(member.name, to: &output)
                output += ":"
                member.value.write(to: &output)
            }
            output += "}"
        }
    }

    /// Escapes what JSON requires and nothing more: the short form where one exists, else `\u00xx` in lower case.
    private static func write(_ text: String, to output: inout String) {
        let hexDigits = Array("0123456789abcdef".unicodeScalars)
        var scalars = String.UnicodeScalarView()
        scalars.append("\"")
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": scalars.append(contentsOf: "\\\"".unicodeScalars)
            case "\\": scalars.append(contentsOf: "\\\\".unicodeScalars)
            case "\n": scalars.append(contentsOf: "\\n".unicodeScalars)
            case "\r": scalars.append(contentsOf: "\\r".unicodeScalars)
            case "\t": scalars.append(contentsOf: "\\t".unicodeScalars)
            case "\u{8}": scalars.append(contentsOf: "\\b".unicodeScalars)
            case "\u{c}": scalars.append(contentsOf: "\\f".unicodeScalars)
            case _ where scalar.value < 0x20:
                scalars.append(contentsOf: "\\u00".unicodeScalars)
                scalars.append(hexDigits[Int(scalar.value >> 4)])
                scalars.append(hexDigits[Int(scalar.value & 0xf)])
            default: scalars.append(scalar)
            }
        }
        scalars.append("\"")
        output.unicodeScalars.append(contentsOf: scalars)
    }
}

extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral, ExpressibleByStringLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral
{
    init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { Member(name: $0.0, value: $0.1) })
    }

    init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

    init(stringLiteral value: String) { self = .string(value) }

    init(integerLiteral value: Int64) { self = .int(value) }

    init(booleanLiteral value: Bool) { self = .bool(value) }

    init(nilLiteral: ()) { self = .null }
}

extension JSONValue {
    /// Text, or null where there is none.
    static func string(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }

    /// A number, or null where there is none.
    static func int(_ value: Int64?) -> JSONValue { value.map { .int($0) } ?? .null }

    static func int(_ value: Int) -> JSONValue { .int(Int64(value)) }
}
