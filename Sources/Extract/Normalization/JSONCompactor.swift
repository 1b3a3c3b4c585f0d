internal import JSONBytes

#if canImport(Glibc)
    internal import Glibc
#endif

/// Brings JSON text of a source into etlctl's form: no insignificant spaces, keys sorted bytewise, of repeated keys the last, numbers' text
/// kept (contract section 4). Checks every byte on the way.
///
/// Not `Sendable`: its memory is used again for every value.
final class JSONCompactor {
    private struct Member {
        var key: Range<Int>
        var text: Range<Int>
    }

    /// What one level of nesting needs to sort its members.
    private final class Level {
        let text = ByteBuffer(capacity: 256)
        let keys = ByteBuffer(capacity: 64)
        // Memory of its own, freed in deinit: an array's reference would be counted at every look.
        private(set) var members = UnsafeMutablePointer<Member>.allocate(capacity: 16)
        private var capacity = 16
        private(set) var count = 0

        deinit { members.deallocate() }

        func removeAll() {
            text.removeAll()
            keys.removeAll()
            count = 0
        }

        func insert(_ member: Member, at place: Int) {
            if count == capacity {
                let grown = UnsafeMutablePointer<Member>.allocate(capacity: capacity * 2)
                grown.moveInitialize(from: members, count: count)
                members.deallocate()
                members = grown
                capacity *= 2
            }
            (members + place + 1).update(from: members + place, count: count - place)
            members[place] = member
            count += 1
        }
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
        let (text, keys) = (level.text, level.keys)
        level.removeAll()
        repeat {
            let key = try reader.readKey()
            let keyStart = keys.count
            if key.isPlain {
                keys.append(reader.raw(key))
            } else {
                keys.appendDecoded(reader.raw(key))
            }
            let keyRange = keyStart..<keys.count
            let start = text.count
            text.appendJSONString(keys.bytes(keyRange))
            text.append(UInt8(ascii: ":"))
            try writeValue(&reader, to: text, depth: depth + 1)
            insert(Member(key: keyRange, text: start..<text.count), into: level)
        } while try reader.hasNextMember()
        let members = level.members
        for index in 0..<level.count {
            if index > 0 { target.append(UInt8(ascii: ",")) }
            target.append(text.bytes(members[index].text))
        }
        text.shrink(to: 1 << 20)
    }

    /// Keeps the members sorted; one with the same key takes the earlier one's place.
    private func insert(_ member: Member, into level: Level) {
        let (keys, members) = (level.keys.base, level.members)
        var low = 0
        var high = level.count
        while low < high {
            let middle = (low + high) / 2
            switch compare(keys, members[middle].key, member.key) {
            case 0:
                members[middle] = member
                return
            case ..<0: low = middle + 1
            default: high = middle
            }
        }
        level.insert(member, at: low)
    }

    private func compare(_ bytes: UnsafePointer<UInt8>, _ left: Range<Int>, _ right: Range<Int>) -> Int {
        let order = memcmp(bytes + left.lowerBound, bytes + right.lowerBound, min(left.count, right.count))
        return order == 0 ? left.count - right.count : Int(order)
    }
}
