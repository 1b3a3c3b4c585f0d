import JSONBytes
import Spool

@testable import Extract

/// Reads text through a reader and says what came out.
enum TextReaderFixture {
    /// The records' fields as JSON, and bad lines as `line: reason`.
    static func read(
        _ text: [UInt8], chunks: [Int] = [], key: [String] = [], _ reader: any TextRecordReader
    ) throws -> [String] {
        let fixture = PageFixture()
        let row = FileRow(page: fixture.page, key: key)
        var items: [(bad: String?, id: String?)] = []
        var at = 0
        var sizes = chunks[...]
        while true {
            switch try reader.next(into: row) {
            case .row:
                let slots = row.firstSlot..<fixture.page.slots.count
                let key = row.keyText()
                var record = PageBuilder.Record(
                    slots: slots, id: key, version: 0..<0,
                    identity: fixture.page.keep(UnsafeRawBufferPointer(start: nil, count: 0)))
                record.rescues = row.firstRescue..<fixture.page.rescues.count
                record.hashesFields = true
                fixture.page.add(record)
                items.append((nil, key.map { String(decoding: fixture.page.values.bytes($0), as: UTF8.self) }))
            case .bad(let bad):
                items.append(("\(bad.line): \(bad.reason): \(String(decoding: bad.text, as: UTF8.self))", nil))
            case .needsMore:
                guard at < text.count else {
                    reader.finish()
                    continue
                }
                let size = min(sizes.popFirst() ?? text.count, text.count - at)
                reader.feed(Array(text[at..<at + size]))
                at += size
            case .end:
                var rows = try fixture.rows().map(\.withoutMetadata)[...]
                return items.map { item in
                    item.bad ?? (item.id.map { $0 + " " } ?? "") + (rows.popFirst() ?? "missing")
                }
            }
        }
    }

    static func csv(_ text: String, chunks: [Int] = [], _ change: (inout CSVOptions) -> Void = { _ in }) throws
        -> [String]
    {
        var options = CSVOptions()
        change(&options)
        return try read(Array(text.utf8), chunks: chunks, CSVReader(options))
    }

    static func json(_ text: String, chunks: [Int] = [], key: [String] = []) throws -> [String] {
        try read(Array(text.utf8), chunks: chunks, key: key, JSONLinesReader(nestsAsJSON: false))
    }
}

extension JSONValue {
    fileprivate var withoutMetadata: String {
        let metadata: Set = ["_id", "_path", "_extracted_at", "_run_id", "_op", "_insert_id"]
        return JSONValue.object((objectValue ?? []).filter { !metadata.contains($0.name) }).text
    }
}
