internal import JSONBytes
internal import Spool

/// Turns the rows of a result into records of the page (contract section 4): BigQuery's types are kept, records and arrays become JSON text.
///
/// Not `Sendable`: its memory is used again for every row.
final class BigQueryNormalizer {
    /// What a row says besides its fields.
    struct RowParts {
        var slots: Range<Int>
        /// The watermark column's text, as BigQuery writes it, in `watermark`; false for null.
        var hasWatermark = false
        /// The key's text in the page; nil without a key, and for one that holds a null.
        var key: Range<Int>?
    }

    private let page: PageBuilder
    private let fields: [BigQueryField]
    private let numbers: [Int]
    private let keyPlaces: [Int]
    private let watermarkPlace: Int?
    private let nestedType: ValueType
    private let compactor = CompactJSON()
    private let decoded = ByteBuffer(capacity: 1 << 12)
    private let nested = ByteBuffer(capacity: 1 << 12)
    /// Members of a record before they are sorted, one buffer for each level.
    private var levels: [ByteBuffer] = []
    /// Where each key column's JSON stands in the page.
    private var keyValues: [Range<Int>]
    /// The watermark column's text of the row read last.
    let watermark = ByteBuffer(capacity: 64)

    /// - Parameters:
    ///   - key: the key's columns, each of them among `fields`.
    init(page: PageBuilder, fields: [BigQueryField], key: [String], watermark: String?, nestsAsJSON: Bool) {
        self.page = page
        self.fields = fields
        numbers = fields.map { Array($0.name.utf8).withUnsafeBytes(page.fields.number) }
        keyPlaces = key.compactMap { name in Self.place(of: name, in: fields) }
        keyValues = keyPlaces.map { _ in 0..<0 }
        watermarkPlace = watermark.flatMap { Self.place(of: $0, in: fields) }
        nestedType = nestsAsJSON ? .json : .jsonText
    }

    /// Column names don't differ in case alone (schemas page).
    static func place(of name: String, in fields: [BigQueryField]) -> Int? {
        fields.firstIndex { $0.name.exact == name.exact }
            ?? fields.firstIndex { $0.name.lowercased().exact == name.lowercased().exact }
    }

    // MARK: Rows

    /// Reads `{"f":[{"v":..},..]}` into the page.
    func readRow(_ reader: inout JSONReader) throws(JSONSyntaxError) -> RowParts {
        var parts = RowParts(slots: page.slots.count..<page.slots.count)
        try readCells(&reader, count: fields.count) { (place, reader) throws(JSONSyntaxError) in
            let start = page.values.count
            let field = fields[place]
            if place == watermarkPlace { parts.hasWatermark = try peekWatermark(reader) }
            let type = try appendTop(&reader, field)
            for (part, keyPlace) in keyPlaces.enumerated() where keyPlace == place {
                keyValues[part] = start..<page.values.count
            }
            if page.fields.fields[numbers[place]].isSelected {
                page.addSlot(field: numbers[place], type: type, from: start)
            }
        }
        parts.slots = parts.slots.lowerBound..<page.slots.count
        if !keyPlaces.isEmpty { parts.key = keyText() }
        return parts
    }

    /// One part: its text. Several: a JSON array as in nested JSON, so that no two keys have one text. Nil for nulls.
    private func keyText() -> Range<Int>? {
        guard keyValues.allSatisfy({ page.values.bytes($0).first != UInt8(ascii: "n") }) else { return nil }
        decoded.removeAll()
        let first = keyValues[0]
        if keyValues.count == 1 {
            let text = page.values.bytes(first)
            if text.first == UInt8(ascii: "\"") {
                decoded.appendDecoded(UnsafeRawBufferPointer(rebasing: text[1..<text.count - 1]))
            } else {
                decoded.append(text)
            }
            return page.keep(decoded.bytes)
        }
        for (index, value) in keyValues.enumerated() {
            decoded.append(UInt8(ascii: index == 0 ? "[" : ","))
            decoded.append(page.values.bytes(value))
        }
        decoded.append(UInt8(ascii: "]"))
        return page.keep(decoded.bytes)
    }

    private func peekWatermark(_ reader: JSONReader) throws(JSONSyntaxError) -> Bool {
        var copy = reader
        watermark.removeAll()
        switch try copy.peek() {
        case UInt8(ascii: "\""): watermark.append(text(try copy.readString(), copy))
        case UInt8(ascii: "n"): return false
        default: watermark.append(copy.raw(try copy.readNumber()))
        }
        return true
    }

    /// Hands out the place of each cell, with the reader at its value.
    private func readCells(
        _ reader: inout JSONReader, count: Int,
        _ body: (Int, inout JSONReader) throws(JSONSyntaxError) -> Void
    ) throws(JSONSyntaxError) {
        guard try reader.enterObject() else { throw JSONSyntaxError(.unexpectedByte, at: reader.at) }
        repeat {
            let key = try reader.readKey()
            guard reader.matches(key, "f") else {
                try reader.skipValue(depth: 1)
                continue
            }
            var place = 0
            guard try reader.enterArray() else { break }
            repeat {
                guard place < count else { throw JSONSyntaxError(.unexpectedByte, at: reader.at) }
                try readCell(&reader) { (reader) throws(JSONSyntaxError) in try body(place, &reader) }
                place += 1
            } while try reader.hasNextItem()
            guard place == count else { throw JSONSyntaxError(.unexpectedByte, at: reader.at) }
        } while try reader.hasNextMember()
    }

    /// `{"v":..}`
    private func readCell(
        _ reader: inout JSONReader, _ body: (inout JSONReader) throws(JSONSyntaxError) -> Void
    ) throws(JSONSyntaxError) {
        guard try reader.enterObject() else { throw JSONSyntaxError(.unexpectedByte, at: reader.at) }
        repeat {
            let key = try reader.readKey()
            if reader.matches(key, "v") { try body(&reader) } else { try reader.skipValue(depth: 1) }
        } while try reader.hasNextMember()
    }

    // MARK: Values

    private func appendTop(_ reader: inout JSONReader, _ field: BigQueryField) throws(JSONSyntaxError) -> ValueType {
        guard try reader.peek() != UInt8(ascii: "n") else {
            try reader.readLiteral("null")
            page.values.append("null")
            return .null
        }
        guard field.isRepeated || field.kind == .record || field.kind == .json else {
            return try appendScalar(&reader, field.kind, to: page.values)
        }
        nested.removeAll()
        try appendNested(&reader, field, isElement: false, depth: 0)
        page.values.appendJSONString(nested.bytes)
        nested.shrink(to: 1 << 20)
        return field.kind == .json && !field.isRepeated ? .json : nestedType
    }

    /// Appends to `nested`.
    private func appendNested(
        _ reader: inout JSONReader, _ field: BigQueryField, isElement: Bool, depth: Int
    ) throws(JSONSyntaxError) {
        guard depth < JSONReader.maximumDepth else { throw JSONSyntaxError(.tooDeep, at: reader.at) }
        if try reader.peek() == UInt8(ascii: "n") {
            try reader.readLiteral("null")
            nested.append("null")
        } else if field.isRepeated, !isElement {
            nested.append(UInt8(ascii: "["))
            if try reader.enterArray() {
                var isFirst = true
                repeat {
                    if !isFirst { nested.append(UInt8(ascii: ",")) }
                    isFirst = false
                    try readCell(&reader) { (reader) throws(JSONSyntaxError) in
                        try appendNested(&reader, field, isElement: true, depth: depth + 1)
                    }
                } while try reader.hasNextItem()
            }
            nested.append(UInt8(ascii: "]"))
        } else if field.kind == .record {
            try appendRecord(&reader, field, depth: depth)
        } else if field.kind == .json {
            let token = try reader.readString()
            try compactor.append(text(token, reader), to: nested)
        } else {
            _ = try appendScalar(&reader, field.kind, to: nested)
        }
    }

    /// Members come in the schema's order and are written in the order of their names.
    private func appendRecord(
        _ reader: inout JSONReader, _ field: BigQueryField, depth: Int
    ) throws(JSONSyntaxError) {
        let start = nested.count
        var members = [Range<Int>](repeating: 0..<0, count: field.fields.count)
        try readCells(&reader, count: field.fields.count) { (place, reader) throws(JSONSyntaxError) in
            let memberStart = nested.count
            nested.appendJSONString(field.fields[place].name)
            nested.append(UInt8(ascii: ":"))
            try appendNested(&reader, field.fields[place], isElement: false, depth: depth + 1)
            members[place] = memberStart..<nested.count
        }
        while levels.count <= depth { levels.append(ByteBuffer(capacity: 256)) }
        let sorted = levels[depth]
        sorted.removeAll()
        sorted.append(UInt8(ascii: "{"))
        for place in field.sorted where !members[place].isEmpty {
            if sorted.count > 1 { sorted.append(UInt8(ascii: ",")) }
            sorted.append(nested.bytes(members[place]))
        }
        sorted.append(UInt8(ascii: "}"))
        nested.truncate(to: start)
        nested.append(sorted)
        sorted.shrink(to: 1 << 20)
    }

    /// A string's content with its escapes decoded; valid until the next call.
    private func text(_ token: JSONStringToken, _ reader: JSONReader) -> UnsafeRawBufferPointer {
        if token.isPlain { return reader.raw(token) }
        decoded.removeAll()
        decoded.appendDecoded(reader.raw(token))
        return decoded.bytes
    }

    private func appendScalar(
        _ reader: inout JSONReader, _ kind: BigQueryField.Kind, to target: ByteBuffer
    ) throws(JSONSyntaxError) -> ValueType {
        let at = reader.at
        // Every value is a string on the wire; numbers and booleans as such are taken too.
        let isString = try reader.peek() == UInt8(ascii: "\"")
        if kind == .string || kind == .other || kind == .geography, isString {
            let token = try reader.readString()
            target.appendNormalizedString(reader.raw(token), isPlain: token.isPlain, scratch: decoded)
            return kind == .geography ? .geography : .string
        }
        let content: UnsafeRawBufferPointer
        if isString {
            content = text(try reader.readString(), reader)
        } else {
            let start = reader.at
            try reader.skipValue(depth: 1)
            content = UnsafeRawBufferPointer(start: reader.base + start, count: reader.at - start)
        }
        guard let type = append(content, kind, to: target) else { throw JSONSyntaxError(.unexpectedByte, at: at) }
        return type
    }

    /// Nil, with nothing appended, for text that is no value of the type.
    private func append(
        _ text: UnsafeRawBufferPointer, _ kind: BigQueryField.Kind, to target: ByteBuffer
    ) -> ValueType? {
        switch kind {
        case .int64:
            guard let value = Int64(String(decoding: text, as: UTF8.self)) else { return nil }
            let isLarge = value.magnitude > 9_007_199_254_740_991
            if isLarge { target.append(UInt8(ascii: "\"")) }
            target.append(decimal: value)
            if isLarge { target.append(UInt8(ascii: "\"")) }
            return isLarge ? .largeInt64 : .int64
        case .float64:
            guard let value = Double(String(decoding: text, as: UTF8.self)) else { return nil }
            if value.isFinite {
                target.append(value.description)
            } else {
                target.append(value.isNaN ? "\"NaN\"" : value < 0 ? "\"-Infinity\"" : "\"Infinity\"")
            }
            return .float64
        case .bool:
            if text.elementsEqual("true".utf8) {
                target.append("true")
            } else if text.elementsEqual("false".utf8) {
                target.append("false")
            } else {
                return nil
            }
            return .bool
        case .timestamp:
            guard let value = Int64(String(decoding: text, as: UTF8.self)) else { return nil }
            target.append(UInt8(ascii: "\""))
            target.append(Timestamp(microseconds: value))
            target.append(UInt8(ascii: "\""))
            return .timestamp
        case .time, .datetime:
            appendQuoted(Self.withoutTrailingZeros(text), to: target)
            return kind == .time ? .time : .datetime
        case .numeric, .bignumeric, .date, .bytes:
            appendQuoted(text, to: target)
            return switch kind {
            case .numeric: .numeric
            case .bignumeric: .bignumeric
            case .date: .date
            default: .bytes
            }
        default:
            target.appendJSONString(text)
            return .string
        }
    }

    private func appendQuoted(_ text: UnsafeRawBufferPointer, to target: ByteBuffer) {
        target.appendJSONString(text)
    }

    /// Of a fraction of a second.
    static func withoutTrailingZeros(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard text.contains(UInt8(ascii: ".")) else { return text }
        var end = text.count
        while end > 0, text[end - 1] == 0x30 { end -= 1 }
        if end > 0, text[end - 1] == UInt8(ascii: ".") { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: text[..<end])
    }
}
