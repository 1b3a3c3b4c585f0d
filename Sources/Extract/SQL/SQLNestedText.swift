internal import JSONBytes

/// Reads the text of a PostgreSQL array: `{1,NULL,"a \"b\""}`, nested by dimension, with `[0:2]=` in front where bounds are not the usual.
struct SQLArrayParser {
    private let text: UnsafeRawBufferPointer
    private let delimiter: UInt8
    private var at = 0

    init(_ text: UnsafeRawBufferPointer, delimiter: UInt8) {
        self.text = text
        self.delimiter = delimiter
    }

    /// Appends the array as JSON; false for text that is no array.
    mutating func parse(into normalizer: SQLNormalizer, element: SQLType, target: ByteBuffer, depth: Int) -> Bool {
        if text.first == UInt8(ascii: "[") {
            guard let equals = text.firstIndex(of: UInt8(ascii: "=")) else { return false }
            at = equals + 1
        }
        return parseLevel(normalizer, element, target, depth) && at == text.count
    }

    private mutating func parseLevel(
        _ normalizer: SQLNormalizer, _ element: SQLType, _ target: ByteBuffer, _ depth: Int
    ) -> Bool {
        guard at < text.count, text[at] == UInt8(ascii: "{") else { return false }
        at += 1
        target.append(UInt8(ascii: "["))
        if at < text.count, text[at] == UInt8(ascii: "}") {
            at += 1
            target.append(UInt8(ascii: "]"))
            return true
        }
        while at < text.count {
            if text[at] == UInt8(ascii: "{") {
                guard parseLevel(normalizer, element, target, depth) else { return false }
            } else {
                guard parseElement(normalizer, element, target, depth) else { return false }
            }
            guard at < text.count else { return false }
            let byte = text[at]
            at += 1
            if byte == UInt8(ascii: "}") {
                target.append(UInt8(ascii: "]"))
                return true
            }
            guard byte == delimiter else { return false }
            target.append(UInt8(ascii: ","))
        }
        return false
    }

    private mutating func parseElement(
        _ normalizer: SQLNormalizer, _ element: SQLType, _ target: ByteBuffer, _ depth: Int
    ) -> Bool {
        if text[at] != UInt8(ascii: "\"") {
            let start = at
            while at < text.count, text[at] != delimiter, text[at] != UInt8(ascii: "}") { at += 1 }
            let raw = UnsafeRawBufferPointer(rebasing: text[start..<at])
            if raw.elementsEqual("NULL".utf8) {
                target.append("null")
                return true
            }
            return normalizer.appendNested(raw, element, to: target, depth: depth + 1)
        }
        at += 1
        let content = normalizer.scratch(depth)
        content.removeAll()
        while at < text.count, text[at] != UInt8(ascii: "\"") {
            if text[at] == UInt8(ascii: "\\") { at += 1 }
            guard at < text.count else { return false }
            content.append(text[at])
            at += 1
        }
        guard at < text.count else { return false }
        at += 1
        return normalizer.appendNested(content.bytes, element, to: target, depth: depth + 1)
    }
}

/// Reads the text of a PostgreSQL composite: `(1,"a ""b""",)`; nothing between two commas is null.
enum SQLCompositeParser {
    /// The places of the fields' texts in `values`; nil for text that is no composite of so many attributes.
    static func fields(of text: UnsafeRawBufferPointer, count: Int, into values: ByteBuffer) -> [Range<Int>?]? {
        guard text.count >= 2, text.first == UInt8(ascii: "("), text.last == UInt8(ascii: ")") else { return nil }
        var fields: [Range<Int>?] = []
        var at = 1
        let end = text.count - 1
        if count == 0 { return at == end ? [] : nil }
        while true {
            let start = values.count
            var isNull = true
            var isQuoted = false
            while at < end, isQuoted || text[at] != UInt8(ascii: ",") {
                isNull = false
                if text[at] == UInt8(ascii: "\"") {
                    if isQuoted, at + 1 < end, text[at + 1] == UInt8(ascii: "\"") {
                        values.append(UInt8(ascii: "\""))
                        at += 1
                    } else {
                        isQuoted.toggle()
                    }
                } else if text[at] == UInt8(ascii: "\\"), at + 1 < end {
                    at += 1
                    values.append(text[at])
                } else {
                    values.append(text[at])
                }
                at += 1
            }
            fields.append(isNull ? nil : start..<values.count)
            guard at < end else { break }
            at += 1
        }
        return fields.count == count ? fields : nil
    }
}
