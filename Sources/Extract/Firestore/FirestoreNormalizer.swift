internal import JSONBytes
internal import Spool

#if canImport(Glibc)
    internal import Glibc
#endif

/// Turns Firestore's typed values into the JSON of a row in one pass over the answer's bytes (contract section 4; protocol facts: A.3).
///
/// Throws `JSONSyntaxError` for malformed JSON and `MalformedValue` for JSON that is no Firestore value.
final class FirestoreNormalizer {
    struct MalformedValue: Error {
        var reason: String
        var offset: Int
    }

    private let page: PageBuilder
    private let nestedType: ValueType
    /// `projects/p/databases/d/documents/` of the database that is read.
    private let root: [UInt8]
    let nested = ByteBuffer(capacity: 1 << 16)
    let decoded = ByteBuffer(capacity: 1 << 12)
    private let name = ByteBuffer(capacity: 256)
    let sorting = ByteBuffer(capacity: 1 << 12)
    private let values: ByteBuffer
    /// Members of the maps that are open, the innermost's last.
    var members: [Member] = []

    /// A member of the map that is being written.
    struct Member {
        /// The decoded name where it differs from the written one.
        var name: [UInt8]?
        var nameRange: Range<Int>
        var end: Int
        var isVectorValue: Bool
        /// Where the name's quote stands.
        var start: Int { nameRange.lowerBound - 1 }
    }

    /// The field whose value is wanted beside the row (the watermark's), if any, and what was found.
    private let watchedField: [UInt8]?
    private(set) var watched: WatchedValue?

    /// A value of the watermark field.
    enum WatchedValue: Equatable {
        case timestamp(Timestamp)
        case integer(Int64)
        case double(Double)
        case string([UInt8])
        case other
    }

    init(page: PageBuilder, root: String, nestsAsJSON: Bool, watching field: String?) {
        self.page = page
        values = page.values
        self.root = Array(root.utf8)
        nestedType = nestsAsJSON ? .json : .jsonText
        watchedField = field.map { Array($0.utf8) }
    }

    /// Reads the object behind `"fields":`; adds a slot for every selected field.
    func readFields(_ reader: inout JSONReader) throws {
        watched = nil
        guard try reader.enterObject() else { return }
        repeat {
            let key = try reader.readKey()
            let bytes = unescaped(reader.raw(key), isPlain: key.isPlain, in: name)
            let field = page.fields.number(of: bytes)
            let isWatched = watchedField.map { page.fields.matches(field, $0) } ?? false
            if isWatched { watched = try peekWatched(reader) }
            guard page.fields.fields[field].isSelected else {
                try reader.skipValue()
                continue
            }
            let start = values.count
            let type = try readTopLevel(&reader)
            page.addSlot(field: field, type: type, from: start)
        } while try reader.hasNextMember()
    }

    // MARK: Top level

    private func readTopLevel(_ reader: inout JSONReader) throws -> ValueType {
        guard try reader.enterObject() else { throw MalformedValue(reason: "a value without type", offset: reader.at) }
        let key = try reader.readKey()
        let type = try readTopLevel(kind: key, &reader)
        guard try !reader.hasNextMember() else {
            throw MalformedValue(reason: "a value with two types", offset: reader.at)
        }
        return type
    }

    private func readTopLevel(kind token: JSONStringToken, _ reader: inout JSONReader) throws -> ValueType {
        switch FirestoreValueKind(token, reader) {
        case .array:
            nested.removeAll()
            try writeArray(&reader, depth: 0)
            values.appendJSONString(nested.bytes)
            return nestedType
        case .map:
            nested.removeAll()
            try writeMap(&reader, depth: 0)
            values.appendJSONString(nested.bytes)
            return nestedType
        case .geoPoint:
            let point = try readGeoPoint(&reader)
            values.append("\"POINT(")
            values.append(point.longitude.description)
            values.append(UInt8(ascii: " "))
            values.append(point.latitude.description)
            values.append(")\"")
            return .geography
        case let kind: return try writeScalar(kind, token, &reader, to: values)
        }
    }

    // MARK: Scalars

    func writeScalar(
        _ kind: FirestoreValueKind?, _ token: JSONStringToken, _ reader: inout JSONReader, to target: ByteBuffer
    ) throws -> ValueType {
        switch kind {
        case .string:
            try writeText(&reader, to: target)
            return .string
        case .integer: return try writeInteger(&reader, to: target)
        case .timestamp:
            try writeTimestamp(&reader, to: target)
            return .timestamp
        case .boolean:
            if try reader.peek() == UInt8(ascii: "t") {
                try reader.readLiteral("true")
                target.append("true")
            } else {
                try reader.readLiteral("false")
                target.append("false")
            }
            return .bool
        case .double:
            try writeDouble(&reader, to: target)
            return .float64
        case .null:
            // Google's JSON mapping writes null; its older form is the enum's name.
            if try reader.peek() == UInt8(ascii: "n") {
                try reader.readLiteral("null")
            } else {
                _ = try reader.readString()
            }
            target.append("null")
            return .null
        case .reference:
            try writeReference(&reader, to: target)
            return .string
        case .bytes:
            try writeText(&reader, to: target)
            return .bytes
        case .array, .map, .geoPoint, nil:
            throw MalformedValue(reason: "a value of the unknown type \(reader.string(token))", offset: token.start)
        }
    }

    private func writeText(_ reader: inout JSONReader, to target: ByteBuffer) throws {
        let text = try reader.readString()
        target.appendNormalizedString(reader.raw(text), isPlain: text.isPlain, scratch: decoded)
    }

    private func writeInteger(_ reader: inout JSONReader, to target: ByteBuffer) throws -> ValueType {
        let value = try readInteger(&reader)
        guard value.magnitude > 9_007_199_254_740_991 else {
            target.append(decimal: value)
            return .int64
        }
        target.append(UInt8(ascii: "\""))
        target.append(decimal: value)
        target.append(UInt8(ascii: "\""))
        return .largeInt64
    }

    private func readInteger(_ reader: inout JSONReader) throws -> Int64 {
        let digits: UnsafeRawBufferPointer
        let offset = reader.at
        if try reader.peek() == UInt8(ascii: "\"") {
            digits = reader.raw(try reader.readString())
        } else {
            digits = reader.raw(try reader.readNumber())
        }
        guard let value = Int64(decimal: digits) else {
            throw MalformedValue(reason: "an integerValue that is no 64-bit integer", offset: offset)
        }
        return value
    }

    private func readDouble(_ reader: inout JSONReader) throws -> Double {
        let offset = reader.at
        if try reader.peek() == UInt8(ascii: "\"") {
            let text = try reader.readString()
            if reader.matches(text, "NaN") { return .nan }
            if reader.matches(text, "Infinity") { return .infinity }
            if reader.matches(text, "-Infinity") { return -.infinity }
            throw MalformedValue(reason: "a doubleValue that is no number", offset: offset)
        }
        let number = try reader.readNumber()
        // The number is followed by at least one more byte of the answer that ends it, so strtod stays inside.
        let value = strtod(
            UnsafeRawPointer(reader.base + number.start).assumingMemoryBound(to: CChar.self), nil)
        guard value.isFinite else { throw MalformedValue(reason: "a doubleValue beyond 64 bits", offset: offset) }
        return value
    }

    private func writeDouble(_ reader: inout JSONReader, to target: ByteBuffer) throws {
        if try reader.peek() != UInt8(ascii: "\"") {
            var ahead = reader
            let number = ahead.raw(try ahead.readNumber())
            if DecimalText.appendShort(number, digits: DecimalText.doubleDigits, to: target) {
                reader = ahead
                return
            }
        }
        let value = try readDouble(&reader)
        if value.isFinite {
            target.append(value.description)
        } else if value.isNaN {
            target.append("\"NaN\"")
        } else {
            target.append(value < 0 ? "\"-Infinity\"" : "\"Infinity\"")
        }
    }

    func readTimestamp(_ reader: inout JSONReader) throws -> Timestamp {
        try readTimestamp(try reader.readString(), reader)
    }

    private func writeTimestamp(_ reader: inout JSONReader, to target: ByteBuffer) throws {
        let token = try reader.readString()
        let moment = try readTimestamp(token, reader)
        let text = reader.raw(token)
        target.append(UInt8(ascii: "\""))
        if Timestamp.isCanonical(text) {
            target.append(text)
        } else {
            target.append(moment)
        }
        target.append(UInt8(ascii: "\""))
    }

    private func readTimestamp(_ text: JSONStringToken, _ reader: JSONReader) throws -> Timestamp {
        // Firestore keeps microseconds; its JSON mapping may print nine digits.
        guard text.isPlain, let moment = Timestamp(rfc3339: reader.raw(text), maximumFractionDigits: 9) else {
            throw MalformedValue(reason: "a timestamp that can't be read", offset: text.start)
        }
        return moment
    }

    private func writeReference(_ reader: inout JSONReader, to target: ByteBuffer) throws {
        let text = try reader.readString()
        let full = unescaped(reader.raw(text), isPlain: text.isPlain, in: decoded)
        let isOurs = full.count > root.count && full.starts(with: root)
        target.appendJSONString(isOurs ? UnsafeRawBufferPointer(rebasing: full[root.count...]) : full)
    }

    func readGeoPoint(_ reader: inout JSONReader) throws -> (latitude: Double, longitude: Double) {
        var point = (latitude: 0.0, longitude: 0.0)
        guard try reader.enterObject() else { return point }
        repeat {
            let key = try reader.readKey()
            if reader.matches(key, "latitude") {
                point.latitude = try readDouble(&reader)
            } else if reader.matches(key, "longitude") {
                point.longitude = try readDouble(&reader)
            } else {
                throw MalformedValue(reason: "a geo point with an unknown member", offset: key.start)
            }
        } while try reader.hasNextMember()
        return point
    }

    // MARK: Helpers

    @inline(__always)
    private func unescaped(
        _ raw: UnsafeRawBufferPointer, isPlain: Bool, in buffer: ByteBuffer
    ) -> UnsafeRawBufferPointer {
        if isPlain { return raw }
        buffer.removeAll()
        buffer.appendDecoded(raw)
        return buffer.bytes
    }

    /// The value ahead as a watermark, without consuming it.
    private func peekWatched(_ reader: JSONReader) throws -> WatchedValue {
        var ahead = reader
        guard try ahead.enterObject() else { return .other }
        let kind = try ahead.readKey()
        if ahead.matches(kind, "timestampValue") { return .timestamp(try readTimestamp(&ahead)) }
        if ahead.matches(kind, "integerValue") { return .integer(try readInteger(&ahead)) }
        if ahead.matches(kind, "doubleValue") { return .double(try readDouble(&ahead)) }
        if ahead.matches(kind, "stringValue") {
            let text = try ahead.readString()
            return .string(Array(unescaped(ahead.raw(text), isPlain: text.isPlain, in: decoded)))
        }
        return .other
    }
}
