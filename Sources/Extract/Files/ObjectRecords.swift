internal import JSONBytes
internal import Spool

/// Makes the records of one object: identity, version and metadata as contract section 5 has them for files.
struct ObjectRecords {
    let run: RunContext
    let row: FileRow
    let object: StoredObject
    let url: String
    let reading: ObjectReading
    /// In `full` mode rows have no history: equal rows with the same key are one.
    private let isSnapshot: Bool
    private let keepsVersions: Bool
    private var path: Range<Int>?
    private let page: PageBuilder
    private let values: ByteBuffer
    private let name: [UInt8]

    init(run: RunContext, row: FileRow, object: StoredObject, url: String, reading: ObjectReading) {
        self.run = run
        page = run.page
        values = run.page.values
        name = Array((object.name + "#").utf8)
        self.row = row
        self.object = object
        self.url = url
        self.reading = reading
        isSnapshot = run.stream.mode == .full
        keepsVersions = !isSnapshot
    }

    /// The page was emptied: what was kept in it is gone.
    mutating func pageWasEmptied() { path = nil }

    private mutating func keptPath() -> Range<Int> {
        if let path { return path }
        var text = url
        let kept = text.withUTF8 { page.keep(UnsafeRawBufferPointer($0)) }
        path = kept
        return kept
    }

    private func id(_ number: Int) -> Range<Int> {
        let start = values.count
        values.append(name)
        values.append(decimal: Int64(number))
        return start..<values.count
    }

    /// Adds the record gathered in the row.
    ///
    /// - Parameter number: of the row within the object, from 1.
    mutating func addRow(number: Int) {
        let slots = row.firstSlot..<page.slots.count
        let key = row.keyText()
        var record = record(slots: slots, identity: key)
        record.id = key ?? id(number)
        record.isUntyped = row.isUntyped
        if key != nil, keepsVersions {
            record.knownKey = key
        } else if key != nil {
            // One count over all objects of the run.
            record.object = ObjectReading(number: -run.state.number, reading: run.reading(0), holdsNoEquals: true)
        }
        run.countRecord()
        page.add(record)
    }

    /// Adds a line that can't be parsed as a row that is rejected at once.
    mutating func addBad(_ line: BadLine) {
        row.begin()
        let isText = String(validating: line.text, as: UTF8.self) != nil
        page.rescue(name: isText ? "_line" : "_line_base64") { json in
            if isText {
                line.text.withUnsafeBytes { json.appendJSONString($0) }
            } else {
                json.appendJSONString(Base64.encode(line.text))
            }
        }
        var record = record(slots: row.firstSlot..<page.slots.count, identity: nil)
        record.id = id(line.line)
        record.rejection = ("bad_line", "line \(line.line) of \(url): \(line.reason)")
        run.countRecord()
        page.add(record)
    }

    private mutating func record(slots: Range<Int>, identity: Range<Int>?) -> PageBuilder.Record {
        let path = keptPath()
        var record = PageBuilder.Record(slots: slots, path: path, version: 0..<0, identity: identity ?? path)
        record.rescues = row.firstRescue..<page.rescues.count
        record.hashesFields = true
        record.mayRepeat = run.usesTemporaryIndex
        if identity == nil {
            record.countScope = path
            record.object = reading
        }
        return record
    }
}

/// Standard base64 with padding (RFC 4648, section 4).
enum Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func append(_ bytes: UnsafeRawBufferPointer, to target: ByteBuffer) {
        var index = 0
        while index < bytes.count {
            let left = bytes.count - index
            let group =
                UInt32(bytes[index]) << 16 | (left > 1 ? UInt32(bytes[index + 1]) << 8 : 0)
                | (left > 2 ? UInt32(bytes[index + 2]) : 0)
            target.append(digits[Int(group >> 18)])
            target.append(digits[Int(group >> 12 & 63)])
            target.append(left > 1 ? digits[Int(group >> 6 & 63)] : UInt8(ascii: "="))
            target.append(left > 2 ? digits[Int(group & 63)] : UInt8(ascii: "="))
            index += 3
        }
    }

    static func encode(_ bytes: [UInt8]) -> String {
        let buffer = ByteBuffer(capacity: bytes.count * 4 / 3 + 4)
        bytes.withUnsafeBytes { append($0, to: buffer) }
        return buffer.string
    }
}
