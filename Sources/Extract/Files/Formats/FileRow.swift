internal import JSONBytes

/// One record of an object on its way into the page: gathers the selected fields, and the key's values whether selected or not.
///
/// Readers write a value's JSON into `values` and then say what it was with `take`.
final class FileRow {
    let page: PageBuilder
    /// Field numbers of the key's parts, in the order of `key:`.
    private let keyFields: [Int]
    /// The JSON of each part of the key in this record.
    private var keyParts: [Range<Int>?]
    private var mark: PageBuilder.Mark
    private(set) var firstSlot = 0
    private(set) var firstRescue = 0
    /// Whether values have no types of their own (CSV).
    var isUntyped = false

    var values: ByteBuffer { page.values }

    /// - Parameter key: field names; empty for records without a key.
    init(page: PageBuilder, key: [String]) {
        self.page = page
        keyFields = key.map { name in
            var name = name
            return name.withUTF8 { page.fields.number(of: UnsafeRawBufferPointer($0)) }
        }
        keyParts = [Range<Int>?](repeating: nil, count: keyFields.count)
        mark = page.mark
    }

    var hasKey: Bool { !keyFields.isEmpty }

    /// True if values of the field are needed at all.
    @inline(__always)
    func wants(_ field: Int) -> Bool {
        page.fields.fields[field].isSelected || (hasKey && keyFields.contains(field))
    }

    func begin() {
        mark = page.mark
        firstSlot = page.slots.count
        firstRescue = page.rescues.count
        for index in keyParts.indices { keyParts[index] = nil }
    }

    /// Drops what was gathered of this record.
    func drop() { page.goBack(to: mark) }

    /// Takes the value that was written from `start` on.
    @inline(__always)
    func take(_ field: Int, _ type: ValueType, from start: Int) {
        if page.fields.fields[field].isSelected { page.addSlot(field: field, type: type, from: start) }
        if hasKey, let part = keyFields.firstIndex(of: field) {
            keyParts[part] = type == .null ? nil : start..<page.values.count
        }
    }

    /// Writes the key's text as in `_id` and returns its place: one part as its text, several as a JSON array. Nil without a key, or for a
    /// record where a part of it is absent or null.
    func keyText() -> Range<Int>? {
        guard hasKey, !keyParts.contains(nil) else { return nil }
        let start = values.count
        if keyParts.count == 1, let part = keyParts[0] {
            values.reserve(part.count)
            let json = values.bytes(part)
            if json.first == UInt8(ascii: "\"") {
                let content = UnsafeRawBufferPointer(rebasing: json[1..<json.count - 1])
                // Decoding never makes a text longer, so that the bytes read from stay where they are.
                values.appendDecoded(content)
            } else {
                values.append(json)
            }
            return start..<values.count
        }
        values.reserve(keyParts.reduce(keyParts.count + 1) { $0 + ($1?.count ?? 0) })
        for (index, part) in keyParts.enumerated() {
            values.append(UInt8(ascii: index == 0 ? "[" : ","))
            if let part { values.append(values.bytes(part)) }
        }
        values.append(UInt8(ascii: "]"))
        return start..<values.count
    }
}

/// What a reader met next.
enum FileItem {
    /// A record; its fields are in the `FileRow`.
    case row
    /// A line that can't be parsed.
    case bad(BadLine)
    /// Nothing whole is left: feed more.
    case needsMore
    /// The object's end.
    case end
}

/// A line that can't be parsed.
struct BadLine {
    /// From 1, the header counted.
    var line: Int
    var reason: String
    /// The line without its end.
    var text: [UInt8]
}

/// Reads records out of an object's decoded bytes, which it is fed in chunks of any size.
protocol TextRecordReader: AnyObject {
    func feed(_ chunk: [UInt8])
    /// No more bytes will come.
    func finish()
    /// - Throws: `BrokenObject` where nothing that follows can be read.
    func next(into row: FileRow) throws -> FileItem
    /// Where the last item ended.
    var place: TextPlace { get }
    /// Goes on at a place that an earlier reader of the same object came to; forgets what it was fed.
    func resume(at place: TextPlace)
}

/// Where a reader stands between two records.
struct TextPlace: Equatable {
    /// Decoded bytes before it.
    var offset: Int64 = 0
    /// Lines before it.
    var line = 0
    /// Records before it, bad lines not counted.
    var row = 0
    /// Bad lines before it.
    var bad = 0
}

/// An object that can't be read on: what is wrong with it, and where.
struct BrokenObject: Error {
    var reason: String
}
