internal import JSONBytes

/// Brings JSON text of a source into etlctl's form: no insignificant spaces, keys sorted bytewise, of repeated keys the last, numbers' text
/// kept (contract section 4). Checks every byte on the way.
///
/// Not `Sendable`: its memory is used again for every value.
final class JSONCompactor {
    /// What one level of nesting needs to sort its members.
    private final class Level {
        let text = ByteBuffer(capacity: 256)
        let keys = ByteBuffer(capacity: 64)
        var members: [(key: Range<Int>, text: Range<Int>)] = []
    }

    private var levels: [Level] = []
    private let decoded = ByteBuffer(capacity: 256)

    /// Appends the compacted text to `target`.
    ///
    /// - Throws: `JSONSyntaxError` for what is no JSON; `target` is then as it was.
    func append(_ json: UnsafeRawBufferPointer, to target: ByteBuffer) throws(JSONSyntaxError) {
        guard let start = json.baseAddress else { throw JSONSyntaxError(.endOfInput, at: 0) }
        var reader = JSONReader(start.assumingMemoryBound(to: UInt8.self), count: json.count)
        let before = target.count
        do throws(JSONSyntaxError) {
            try writeValue(&reader, to: target, depth: 0)
            try reader.finish()
        } catch {
            target.truncate(to: before)
            throw error
        }
    }

    private func writeValue(
        _ reader: inout JSONReader, to target: ByteBuffer, depth: Int
    ) throws(JSONSyntaxError) {
        guard depth < JSONReader.maximumDepth else { throw JSONSyntaxError(.tooDeep, at: reader.at) }
        switch try reader.peek() {
        case UInt8(ascii: "\""):
            let text = try reader.readString()
            target.appendNormalizedString(reader.raw(text), isPlain: text.isPlain, scratch: decoded)
        case UInt8(ascii: "{"): try writeObject(&reader, to: target, depth: depth)
        case UInt8(ascii: "["):
            target.append(UInt8(ascii: "["))
            if try reader.enterArray() {
                var isFirst = true
                repeat {
                    if !isFirst { target.append(UInt8(ascii: ",")) }
                    isFirst = false
                    try writeValue(&reader, to: target, depth: depth + 1)
                } while try reader.hasNextItem()
            }
            target.append(UInt8(ascii: "]"))
        case UInt8(ascii: "t"):
            try reader.readLiteral("true")
            target.append("true")
        case UInt8(ascii: "f"):
            try reader.readLiteral("false")
            target.append("false")
        case UInt8(ascii: "n"):
            try reader.readLiteral("null")
            target.append("null")
        default:
            target.append(reader.raw(try reader.readNumber(atEndOfText: depth == 0)))
        }
    }

    private func writeObject(
        _ reader: inout JSONReader, to target: ByteBuffer, depth: Int
    ) throws(JSONSyntaxError) {
        target.append(UInt8(ascii: "{"))
        defer { target.append(UInt8(ascii: "}")) }
        guard try reader.enterObject() else { return }
        while levels.count <= depth { levels.append(Level()) }
        let level = levels[depth]
        level.text.removeAll()
        level.keys.removeAll()
        level.members.removeAll(keepingCapacity: true)
        repeat {
            let key = try reader.readKey()
            let keyStart = level.keys.count
            if key.isPlain {
                level.keys.append(reader.raw(key))
            } else {
                level.keys.appendDecoded(reader.raw(key))
            }
            let keyRange = keyStart..<level.keys.count
            let start = level.text.count
            level.text.appendJSONString(level.keys.bytes(keyRange))
            level.text.append(UInt8(ascii: ":"))
            try writeValue(&reader, to: level.text, depth: depth + 1)
            insert((keyRange, start..<level.text.count), into: level)
        } while try reader.hasNextMember()
        for (index, member) in level.members.enumerated() {
            if index > 0 { target.append(UInt8(ascii: ",")) }
            target.append(level.text.bytes(member.text))
        }
        level.text.shrink(to: 1 << 20)
    }

    /// Keeps the members sorted; one with the same key takes the earlier one's place.
    private func insert(_ member: (key: Range<Int>, text: Range<Int>), into level: Level) {
        var low = 0
        var high = level.members.count
        while low < high {
            let middle = (low + high) / 2
            switch compare(level.keys.bytes(level.members[middle].key), level.keys.bytes(member.key)) {
            case 0:
                level.members[middle] = member
                return
            case ..<0: low = middle + 1
            default: high = middle
            }
        }
        level.members.insert(member, at: low)
    }

    private func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        let shared = min(left.count, right.count)
        for index in 0..<shared where left[index] != right[index] { return Int(left[index]) - Int(right[index]) }
        return left.count - right.count
    }
}
