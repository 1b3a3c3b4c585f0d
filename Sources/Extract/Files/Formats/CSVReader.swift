internal import JSONBytes
internal import Spool

#if canImport(Glibc)
    internal import Glibc
#endif

/// CSV by RFC 4180 and as people write it: any delimiter, LF, CRLF or CR, blank lines (skipped), quotes inside of unquoted text (kept), rows
/// that are short (absent fields) or long (`_extra`). What is no CSV (text behind a closing quote, a quote that is never closed, bytes that
/// are not UTF-8) is a bad line; reading goes on at the next one.
final class CSVReader: TextRecordReader {
    /// A record may not be longer: a quote that is never closed must not take the rest of the object into memory.
    static let maximumRecord = 16 << 20
    /// Ten times what a table of BigQuery may have: with more, each row takes longer than it is worth.
    static let maximumColumns = 100_000

    private let options: CSVOptions
    private let nulls: [[UInt8]]
    private let buffer = ByteBuffer(capacity: 1 << 16)
    private let scratch = ByteBuffer(capacity: 1 << 10)
    private var cells: [CSVCell] = []
    private var cursor = 0
    private var isFinished = false
    /// Field numbers of the columns, in their order; nil until the header has been read.
    private var columns: [Int]?
    private(set) var place = TextPlace()

    init(_ options: CSVOptions) {
        self.options = options
        nulls = options.nulls.map { Array($0.utf8) }
        if !options.hasHeader { columns = [] }
    }

    /// True once the header is known, so that reading may go on anywhere.
    var knowsColumns: Bool { columns != nil }
    /// The header's names; empty before it is known, and without one.
    private(set) var columnNames: [String] = []

    /// Goes on at a place that an earlier reader of the same object came to.
    func resume(at place: TextPlace) {
        buffer.removeAll()
        cursor = 0
        self.place = place
    }

    func feed(_ chunk: [UInt8]) {
        buffer.removeFirst(cursor)
        cursor = 0
        buffer.shrink(to: 1 << 20)
        buffer.append(chunk)
    }

    func finish() { isFinished = true }

    /// Reads the header, if it is still to come and whole. Its fields are those of the page.
    func readHeader(_ row: FileRow) throws {
        guard columns == nil else { return }
        skipByteOrderMark()
        while columns == nil {
            switch scanRecord() {
            case .needsMore, .end: return
            case .blank: continue
            case .bad(let bad): throw BrokenObject(reason: "the header, line \(bad.line), can't be read: \(bad.reason)")
            case .record:
                guard cells.count <= Self.maximumColumns else {
                    throw BrokenObject(
                        reason: "its header names \(cells.count) columns; the most is \(Self.maximumColumns)")
                }
                columnNames = names()
                columns = columnNames.map { number(of: $0, row) }
            }
        }
    }

    func next(into row: FileRow) throws -> FileItem {
        if columns == nil {
            try readHeader(row)
            guard columns != nil else { return isFinished && cursor >= buffer.count ? .end : .needsMore }
        } else if place.offset == 0 {
            skipByteOrderMark()
        }
        while true {
            switch scanRecord() {
            case .needsMore: return .needsMore
            case .end: return .end
            case .blank: continue
            case .bad(let bad):
                place.bad += 1
                return .bad(bad)
            case .record:
                row.begin()
                write(into: row)
                place.row += 1
                return .row
            }
        }
    }

    private func skipByteOrderMark() {
        guard place.offset == 0, buffer.count - cursor >= 3,
            buffer.bytes(cursor..<cursor + 3).elementsEqual([0xEF, 0xBB, 0xBF])
        else { return }
        cursor += 3
        place.offset += 3
    }

    // MARK: Records

    private enum Scanned {
        case record
        case blank
        case bad(BadLine)
        case needsMore
        case end
    }

    /// Splits the record at the cursor into cells and steps behind it.
    private func scanRecord() -> Scanned {
        guard cursor < buffer.count else { return isFinished ? .end : .needsMore }
        let scanner = CSVScanner(
            base: buffer.base, end: buffer.count, isFinished: isFinished, delimiter: options.delimiter,
            quote: options.quote)
        switch scanner.scan(from: cursor, into: &cells) {
        case .record(let end, let next, let lines):
            let start = cursor
            let firstLine = place.line + 1
            guard next - start <= Self.maximumRecord else { return badLine("it is longer than 16 MiB") }
            step(to: next, lines: lines)
            if end == start { return .blank }
            guard isValidUTF8(buffer.bytes(start..<end)) else {
                return .bad(
                    BadLine(line: firstLine, reason: "it is not UTF-8", text: [UInt8](buffer.bytes(start..<end))))
            }
            return .record
        case .needsMore:
            // A finished scan always comes to an end.
            guard buffer.count - cursor > Self.maximumRecord else { return .needsMore }
            return badLine("a quote is not closed within 16 MiB")
        case .unclosed: return badLine("a quote is never closed")
        case .textAfterQuote: return badLine("text stands behind a closing quote")
        }
    }

    private func step(to next: Int, lines: Int) {
        place.offset += Int64(next - cursor)
        place.line += lines
        cursor = next
    }

    /// Takes the one line at the cursor as bad, whatever its quotes say, and steps behind it, once all of it is there.
    private func badLine(_ reason: String) -> Scanned {
        let (end, next) = CSVScanner.lineEnd(buffer.base, from: cursor, to: buffer.count)
        if next == buffer.count, !isFinished, next - cursor < Self.maximumRecord, buffer.base[next - 1] != 0x0A {
            return .needsMore
        }
        let text = [UInt8](buffer.bytes(cursor..<end))
        step(to: next, lines: 1)
        return .bad(BadLine(line: place.line, reason: reason, text: text))
    }

    // MARK: Columns

    /// The header's names; a name that occurs again gets a number.
    private func names() -> [String] {
        var taken: Set<ExactText> = []
        let plain = cells.map { ExactText(String(decoding: text($0), as: UTF8.self)) }
        let given = Set(plain)
        var numbers: [ExactText: Int] = [:]
        return plain.map { name in
            var number = numbers[name] ?? 1
            var candidate = number > 1 ? ExactText("\(name)_\(number)") : name
            while taken.contains(candidate) || (number > 1 && given.contains(candidate)) {
                number += 1
                candidate = ExactText("\(name)_\(number)")
            }
            taken.insert(candidate)
            if number > 1 { numbers[name] = number }
            return candidate.string
        }
    }

    private func number(of name: String, _ row: FileRow) -> Int {
        var name = name
        return name.withUTF8 { row.page.fields.number(of: UnsafeRawBufferPointer($0)) }
    }

    private func column(_ index: Int, _ row: FileRow) -> Int? {
        if let columns, index < columns.count { return columns[index] }
        guard !options.hasHeader, index < Self.maximumColumns else { return nil }
        let field = number(of: "c\(index + 1)", row)
        columns?.append(field)
        return field
    }

    // MARK: Cells

    private func write(into row: FileRow) {
        var extra = cells.count
        for (index, cell) in cells.enumerated() {
            guard let field = column(index, row) else {
                extra = index
                break
            }
            guard row.wants(field) else { continue }
            let start = row.values.count
            row.take(field, write(cell, to: row.values), from: start)
        }
        guard extra < cells.count else { return }
        row.page.rescue(name: "_extra") { json in
            for (index, cell) in cells[extra...].enumerated() {
                json.append(UInt8(ascii: index == 0 ? "[" : ","))
                json.appendJSONString(text(cell))
            }
            json.append(UInt8(ascii: "]"))
        }
    }

    @inline(__always)
    private func write(_ cell: CSVCell, to values: ByteBuffer) -> ValueType {
        let text = text(cell)
        if !cell.isQuoted, isNull(text) {
            values.append("null")
            return .null
        }
        return CSVValue.write(text, to: values)
    }

    private func isNull(_ text: UnsafeRawBufferPointer) -> Bool {
        for null in nulls where null.count == text.count {
            guard let start = text.baseAddress, !null.isEmpty else { return true }
            if memcmp(null, start, null.count) == 0 { return true }
        }
        return false
    }

    /// A cell's text with doubled quotes made single; valid until the next call.
    private func text(_ cell: CSVCell) -> UnsafeRawBufferPointer {
        let raw = buffer.bytes(cell.start..<cell.end)
        guard cell.hasDoubledQuotes, let quote = options.quote else { return raw }
        scratch.removeAll()
        var isSecond = false
        for byte in raw {
            isSecond = byte == quote && !isSecond
            if byte == quote, !isSecond { continue }
            scratch.append(byte)
        }
        return scratch.bytes
    }
}
