internal import JSONBytes

#if canImport(Glibc)
    internal import Glibc
#endif

/// Turns a database's text of a value into the JSON of a row (contract section 4).
///
/// Not `Sendable`: its memory is used again for every value.
final class SQLNormalizer {
    private let nestedType: ValueType
    private let compactor = CompactJSON()
    private let nested = ByteBuffer(capacity: 1 << 12)
    private let decoded = ByteBuffer(capacity: 1 << 12)
    /// Unescaped elements, one buffer for each level of nesting.
    private var scratch: [ByteBuffer] = []

    init(nestsAsJSON: Bool) { nestedType = nestsAsJSON ? .json : .jsonText }

    /// Appends a top-level value.
    ///
    /// - Returns: nil, with nothing appended, for a value that its type cannot hold: it is to be rescued.
    @inline(__always)
    func append(_ text: UnsafeRawBufferPointer, _ type: SQLType, to target: ByteBuffer) -> ValueType? {
        switch type {
        case .json, .array, .composite:
            nested.removeAll()
            guard appendNested(text, type, to: nested, depth: 0) else { return nil }
            target.appendJSONString(nested.bytes)
            return nestedType
        default: return appendScalar(text, type, to: target)
        }
    }

    // MARK: Scalars

    private func appendScalar(_ text: UnsafeRawBufferPointer, _ type: SQLType, to target: ByteBuffer) -> ValueType? {
        switch type {
        case .text:
            guard isValidUTF8(text) else { return nil }
            target.appendJSONString(text)
            return .string
        case .integer: return appendInteger(text, to: target)
        case .bool:
            guard text.count == 1, let byte = text.first else { return nil }
            if byte == UInt8(ascii: "t") || byte == UInt8(ascii: "1") {
                target.append("true")
            } else {
                target.append("false")
            }
            return .bool
        case .decimal(let fitsNumeric):
            let isShort = text.count <= 29 && isPlainDecimal(text)
            guard isShort || DecimalText.fitsBignumeric(text) else { return nil }
            appendQuoted(text, to: target)
            return fitsNumeric ? .numeric : .bignumeric
        case .unsigned:
            guard isPlainDecimal(text) else { return nil }
            appendQuoted(text, to: target)
            return .numeric
        case .float64:
            if DecimalText.appendShort(text, digits: DecimalText.doubleDigits, to: target) { return .float64 }
            return appendFloat(text, to: target) { strtod($0, nil).jsonText }
        case .float32:
            if DecimalText.appendShort(text, digits: DecimalText.floatDigits, to: target) { return .float64 }
            return appendFloat(text, to: target) { Float(strtod($0, nil)).jsonText }
        case .date:
            guard CivilText.isDate(text) else { return nil }
            appendQuoted(text, to: target)
            return .date
        case .time:
            guard let length = CivilText.lengthOfTime(text) else { return nil }
            appendQuoted(UnsafeRawBufferPointer(rebasing: text[..<length]), to: target)
            return .time
        case .datetime, .timestamp: return appendMoment(text, isUTC: type == .timestamp, to: target)
        case .hexadecimal:
            decoded.removeAll()
            guard text.count >= 2, text[0] == UInt8(ascii: "\\"), text[1] == UInt8(ascii: "x"),
                decoded.append(decodingHexadecimal: UnsafeRawBufferPointer(rebasing: text[2...]))
            else { return nil }
            target.append(UInt8(ascii: "\""))
            target.append(base64: decoded.bytes)
            target.append(UInt8(ascii: "\""))
            decoded.shrink(to: 1 << 20)
            return .bytes
        case .bytes(let skipped):
            guard text.count >= skipped else { return nil }
            target.append(UInt8(ascii: "\""))
            target.append(base64: UnsafeRawBufferPointer(rebasing: text[skipped...]))
            target.append(UInt8(ascii: "\""))
            return .bytes
        case .bits(let count): return appendBits(text, count, to: target)
        case .json, .array, .composite: return nil
        }
    }

    private func appendQuoted(_ text: UnsafeRawBufferPointer, to target: ByteBuffer) {
        target.append(UInt8(ascii: "\""))
        target.append(text)
        target.append(UInt8(ascii: "\""))
    }

    private func isPlainDecimal(_ text: UnsafeRawBufferPointer) -> Bool {
        DecimalText.Parts(text) != nil
    }

    private func appendInteger(_ text: UnsafeRawBufferPointer, to target: ByteBuffer) -> ValueType? {
        // Up to 15 digits are below 2^53 and need no look at their value; leading zeros (ZEROFILL) do.
        let digits = text.first == UInt8(ascii: "-") ? UnsafeRawBufferPointer(rebasing: text.dropFirst()) : text
        guard !digits.isEmpty, digits.allSatisfy({ $0 &- 0x30 < 10 }) else { return nil }
        if digits.count <= 15, digits.count == 1 || digits[0] != 0x30 {
            target.append(text)
            return .int64
        }
        guard let value = Int64(String(decoding: text, as: UTF8.self)) else { return nil }
        guard value.magnitude > 9_007_199_254_740_991 else {
            target.append(decimal: value)
            return .int64
        }
        target.append(UInt8(ascii: "\""))
        target.append(decimal: value)
        target.append(UInt8(ascii: "\""))
        return .largeInt64
    }

    private func appendFloat(
        _ text: UnsafeRawBufferPointer, to target: ByteBuffer, _ print: (UnsafePointer<CChar>) -> String
    ) -> ValueType? {
        guard text.count < 512, !text.isEmpty else { return nil }
        // strtod wants a zero at the end, and knows NaN and Infinity as PostgreSQL prints them.
        let printed = withUnsafeTemporaryAllocation(of: CChar.self, capacity: text.count + 1) { buffer -> String in
            for (index, byte) in text.enumerated() { buffer[index] = CChar(bitPattern: byte) }
            buffer[text.count] = 0
            return buffer.baseAddress.map { print($0) } ?? ""
        }
        target.append(printed)
        return .float64
    }

    private func appendMoment(_ text: UnsafeRawBufferPointer, isUTC: Bool, to target: ByteBuffer) -> ValueType? {
        var text = text
        if isUTC, text.count > 3, text[text.count - 3] == UInt8(ascii: "+") {
            // The session runs in UTC, so this is always +00.
            text = UnsafeRawBufferPointer(rebasing: text[..<(text.count - 3)])
        }
        let start = target.count
        target.append(UInt8(ascii: "\""))
        guard CivilText.appendDateTime(text, to: target) else {
            target.truncate(to: start)
            return nil
        }
        if isUTC { target.append(UInt8(ascii: "Z")) }
        target.append(UInt8(ascii: "\""))
        return isUTC ? .timestamp : .datetime
    }

    private func appendBits(_ bytes: UnsafeRawBufferPointer, _ count: Int, to target: ByteBuffer) -> ValueType? {
        guard bytes.count <= 8 else { return nil }
        let value = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        switch count {
        case 1:
            target.append(value == 0 ? "false" : "true")
            return .bool
        case ..<64:
            let isLarge = value > 9_007_199_254_740_991
            if isLarge { target.append(UInt8(ascii: "\"")) }
            target.append(decimal: Int64(bitPattern: value))
            if isLarge { target.append(UInt8(ascii: "\"")) }
            return isLarge ? .largeInt64 : .int64
        default:
            target.append(UInt8(ascii: "\""))
            target.append(String(value))
            target.append(UInt8(ascii: "\""))
            return .numeric
        }
    }

    // MARK: Nested values

    /// Appends a value inside of JSON text. A scalar that its type cannot hold is the source's own text there.
    ///
    /// - Returns: false, with nothing appended, for text that can't be read.
    func appendNested(_ text: UnsafeRawBufferPointer, _ type: SQLType, to target: ByteBuffer, depth: Int) -> Bool {
        switch type {
        case .json: return (try? compactor.append(text, to: target)) != nil
        case .array(let element, let delimiter):
            let start = target.count
            var parser = SQLArrayParser(text, delimiter: delimiter)
            if parser.parse(into: self, element: element, target: target, depth: depth) { return true }
            target.truncate(to: start)
            return false
        case .composite(let attributes):
            let start = target.count
            if appendComposite(text, attributes, to: target, depth: depth) { return true }
            target.truncate(to: start)
            return false
        default:
            if appendScalar(text, type, to: target) != nil { return true }
            guard isValidUTF8(text) else { return false }
            target.appendJSONString(text)
            return true
        }
    }

    /// A buffer for one level; deeper levels use others.
    func scratch(_ depth: Int) -> ByteBuffer {
        while scratch.count <= depth { scratch.append(ByteBuffer(capacity: 256)) }
        return scratch[depth]
    }

    private func appendComposite(
        _ text: UnsafeRawBufferPointer, _ attributes: [SQLAttribute], to target: ByteBuffer, depth: Int
    ) -> Bool {
        let values = scratch(depth)
        values.removeAll()
        guard let fields = SQLCompositeParser.fields(of: text, count: attributes.count, into: values) else {
            return false
        }
        let order = attributes.indices.sorted {
            attributes[$0].name.utf8.lexicographicallyPrecedes(attributes[$1].name.utf8)
        }
        target.append(UInt8(ascii: "{"))
        for (place, index) in order.enumerated() {
            if place > 0 { target.append(UInt8(ascii: ",")) }
            target.appendJSONString(attributes[index].name)
            target.append(UInt8(ascii: ":"))
            guard let range = fields[index] else {
                target.append("null")
                continue
            }
            guard appendNested(values.bytes(range), attributes[index].type, to: target, depth: depth + 1) else {
                return false
            }
        }
        target.append(UInt8(ascii: "}"))
        return true
    }
}

extension BinaryFloatingPoint where Self: CustomStringConvertible {
    /// The shortest text that gives the same value; what JSON has no number for as a string.
    fileprivate var jsonText: String {
        if isNaN { return "\"NaN\"" }
        if isInfinite { return self < 0 ? "\"-Infinity\"" : "\"Infinity\"" }
        return description
    }
}
