internal import JSONBytes
internal import Spool

#if canImport(Glibc)
    internal import Glibc
#endif

/// JSON lines: one object a line, strictly parsed (RFC 8259). Blank lines are skipped.
final class JSONLinesReader: TextRecordReader {
    /// No row is near this size; a longer line is another kind of file.
    static let maximumLine = 32 << 20
    /// Ten times what a table of BigQuery may have. Each takes memory as long as the stream is read.
    static let maximumFields = 100_000

    private let buffer = ByteBuffer(capacity: 1 << 16)
    private let nested = ByteBuffer(capacity: 1 << 12)
    private let decoded = ByteBuffer(capacity: 1 << 10)
    private let compact = CompactJSON()
    private let nestedType: ValueType
    private var cursor = 0
    /// How far the buffer is known to hold no line end.
    private var searched = 0
    private var isFinished = false
    private(set) var place = TextPlace()

    /// Which record met each field last; a field met twice in one record is looked at again.
    private var metBy: [Int] = []
    private var serial = 0
    private var hasTooManyFields = false

    init(nestsAsJSON: Bool) {
        nestedType = nestsAsJSON ? .json : .jsonText
    }

    func feed(_ chunk: [UInt8]) {
        if cursor > 0 {
            buffer.removeFirst(cursor)
            searched -= cursor
            cursor = 0
        }
        buffer.shrink(to: 1 << 20)
        buffer.append(chunk)
    }

    func finish() { isFinished = true }

    func resume(at place: TextPlace) {
        buffer.removeAll()
        cursor = 0
        searched = 0
        self.place = place
    }

    func next(into row: FileRow) throws -> FileItem {
        while true {
            guard let (end, next) = try lineEnd() else { return isFinished ? .end : .needsMore }
            let start = cursor
            let length = next - start
            cursor = next
            searched = next
            place.offset += Int64(length)
            place.line += 1
            var lineStart = start
            if place.line == 1, end - start >= 3, buffer.bytes(start..<start + 3).elementsEqual([0xEF, 0xBB, 0xBF]) {
                lineStart += 3
            }
            let item = read(lineStart..<end, into: row)
            guard !hasTooManyFields else {
                throw BrokenObject(
                    reason: "up to line \(place.line) it has more than \(Self.maximumFields) different members")
            }
            if let item { return item }
        }
    }

    /// Where the line at the cursor ends, without and with its line end.
    private func lineEnd() throws -> (Int, Int)? {
        let from = max(cursor, searched)
        if from < buffer.count, let found = memchr(buffer.base + from, 0x0A, buffer.count - from) {
            let at = UnsafeRawPointer(buffer.base).distance(to: UnsafeRawPointer(found))
            let hasReturn = at > cursor && buffer.base[at - 1] == 0x0D
            return (hasReturn ? at - 1 : at, at + 1)
        }
        searched = buffer.count
        guard buffer.count - cursor <= Self.maximumLine else {
            throw BrokenObject(reason: "line \(place.line + 1) is longer than \(Self.maximumLine >> 20) MiB")
        }
        guard isFinished, cursor < buffer.count else { return nil }
        let hasReturn = buffer.base[buffer.count - 1] == 0x0D
        return (hasReturn ? buffer.count - 1 : buffer.count, buffer.count)
    }

    private func read(_ line: Range<Int>, into row: FileRow) -> FileItem? {
        var reader = JSONReader(buffer.base, count: line.upperBound, at: line.lowerBound)
        reader.skipWhitespace()
        guard !reader.isAtEnd else { return nil }
        row.begin()
        do throws(JSONSyntaxError) {
            if try reader.peek() != UInt8(ascii: "{") { return bad(line, "the line is no JSON object") }
            var isPlain = try readObject(&reader, into: row, only: nil)
            try reader.finish()
            if !isPlain {
                row.drop()
                row.begin()
                reader.at = line.lowerBound
                let last = try lastMembers(reader)
                isPlain = try readObject(&reader, into: row, only: last)
            }
            place.row += 1
            return .row
        } catch {
            row.drop()
            let here = JSONSyntaxError(error.kind, at: max(0, error.offset - line.lowerBound))
            return bad(line, here.description)
        }
    }

    private func bad(_ line: Range<Int>, _ reason: String) -> FileItem {
        place.bad += 1
        return .bad(BadLine(line: place.line, reason: reason, text: [UInt8](buffer.bytes(line))))
    }

    // MARK: Objects

    /// Where the last member of each name begins.
    private func lastMembers(_ start: JSONReader) throws(JSONSyntaxError) -> Set<Int> {
        var reader = start
        var last: [ExactText: Int] = [:]
        if try reader.enterObject() {
            repeat {
                reader.skipWhitespace()
                let at = reader.at
                let name = ExactText(reader.string(try reader.readKey()))
                last[name] = at
                try reader.skipValue()
            } while try reader.hasNextMember()
        }
        return Set(last.values)
    }

    /// Returns false if a name occurs twice; of those only the last counts, which `only` then names.
    private func readObject(
        _ reader: inout JSONReader, into row: FileRow, only: Set<Int>?
    ) throws(JSONSyntaxError) -> Bool {
        serial += 1
        var isPlain = true
        guard try reader.enterObject() else { return true }
        repeat {
            reader.skipWhitespace()
            let at = reader.at
            let key = try reader.readKey()
            let field: Int
            if key.isPlain {
                field = row.page.fields.number(of: reader.raw(key))
            } else {
                decoded.removeAll()
                decoded.appendDecoded(reader.raw(key))
                field = row.page.fields.number(of: decoded.bytes)
            }
            while metBy.count <= field { metBy.append(0) }
            if field >= Self.maximumFields {
                hasTooManyFields = true
                return true
            }
            if metBy[field] == serial { isPlain = false }
            metBy[field] = serial
            guard row.wants(field), only?.contains(at) ?? true else {
                try reader.skipValue()
                continue
            }
            let start = row.values.count
            if let number = try readValue(&reader, field: field, from: start, into: row) {
                row.page.rescue(field: field, text: number)
            }
        } while try reader.hasNextMember()
        return only != nil || isPlain
    }

    /// Takes one value. Returns a number's text if its column can't hold all of it.
    private func readValue(
        _ reader: inout JSONReader, field: Int, from start: Int, into row: FileRow
    ) throws(JSONSyntaxError) -> UnsafeRawBufferPointer? {
        let values = row.values
        var type = ValueType.string
        switch try reader.peek() {
        case UInt8(ascii: "\""):
            let text = try reader.readString()
            values.appendNormalizedString(reader.raw(text), isPlain: text.isPlain, scratch: decoded)
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            nested.removeAll()
            try compact.write(&reader, to: nested)
            values.appendJSONString(nested.bytes)
            nested.shrink(to: 1 << 20)
            type = nestedType
        case UInt8(ascii: "t"):
            try reader.readLiteral("true")
            values.append("true")
            type = .bool
        case UInt8(ascii: "f"):
            try reader.readLiteral("false")
            values.append("false")
            type = .bool
        case UInt8(ascii: "n"):
            try reader.readLiteral("null")
            values.append("null")
            type = .null
        default:
            let number = try reader.readNumber()
            let written = JSONNumber.write(reader.raw(number), isInteger: number.isInteger, to: values)
            row.take(field, written.type, from: start)
            return written.loses && row.page.fields.fields[field].isSelected ? reader.raw(number) : nil
        }
        row.take(field, type, from: start)
        return nil
    }
}
