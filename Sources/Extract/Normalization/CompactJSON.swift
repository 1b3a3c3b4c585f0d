internal import JSONBytes

#if canImport(Glibc)
    internal import Glibc
#endif

/// Writes nested JSON as etlctl does (contract section 4): no insignificant spaces, members sorted bytewise, of repeated names the last,
/// numbers as they stand, strings escaped only where JSON asks for it. Checks every byte on the way.
///
/// Members that come sorted are written once; others are put in order at their object's end, O(n log n), so that no input makes it slow.
///
/// Not `Sendable`: one reader owns one, and its memory is used again for every value.
final class CompactJSON {
    /// A member that was written into the target.
    private struct Member {
        /// Of the decoded name, in the level's `names`.
        var name: Range<Int>
        var written: Range<Int>
    }

    /// What one level of nesting needs to sort its members.
    private final class Level {
        let names = ByteBuffer(capacity: 64)
        // Memory of its own, freed in deinit: an array's reference would be counted at every look.
        private var members = UnsafeMutableBufferPointer<Member>.allocate(capacity: 16)
        private var count = 0
        private var isSorted = true

        deinit { members.deallocate() }

        func removeAll() {
            // One object of many members must not hold its memory for ever.
            if members.count > 1 << 14 {
                members.deallocate()
                members = .allocate(capacity: 16)
            }
            names.removeAll()
            names.shrink(to: 1 << 20)
            count = 0
            isSorted = true
        }

        func append(_ member: Member) {
            if count == members.count {
                let grown = UnsafeMutableBufferPointer<Member>.allocate(capacity: count * 2)
                _ = grown.moveInitialize(fromContentsOf: members)
                members.deallocate()
                members = grown
            }
            if count > 0, isSorted, order(members[count - 1], member) >= 0 { isSorted = false }
            members.initializeElement(at: count, to: member)
            count += 1
        }

        private func order(_ left: Member, _ right: Member) -> Int {
            let (a, b) = (left.name, right.name)
            let order = memcmp(names.base + a.lowerBound, names.base + b.lowerBound, min(a.count, b.count))
            return order == 0 ? a.count - b.count : Int(order)
        }

        /// Puts the members behind `start` in order; of equal names the one written last stays.
        func sort(_ target: ByteBuffer, from start: Int, _ sorting: ByteBuffer) {
            guard !isSorted else { return }
            var filled = UnsafeMutableBufferPointer(rebasing: members[..<count])
            filled.sort { left, right in
                let order = order(left, right)
                return order == 0 ? left.written.lowerBound < right.written.lowerBound : order < 0
            }
            sorting.removeAll()
            for index in filled.indices {
                if index + 1 < count, order(filled[index], filled[index + 1]) == 0 { continue }
                if sorting.count > 0 { sorting.append(UInt8(ascii: ",")) }
                sorting.append(target.bytes(filled[index].written))
            }
            target.truncate(to: start)
            target.append(sorting)
            sorting.shrink(to: 1 << 20)
        }
    }

    private var levels: [Level] = []
    private let decoded = ByteBuffer(capacity: 256)
    private let sorting = ByteBuffer(capacity: 1 << 10)

    /// Appends a whole text's one value.
    ///
    /// - Throws: `JSONSyntaxError` for what is no JSON; `target` is then as it was.
    func append(_ json: UnsafeRawBufferPointer, to target: ByteBuffer) throws(JSONSyntaxError) {
        guard let start = json.baseAddress else { throw JSONSyntaxError(.endOfInput, at: 0) }
        var reader = JSONReader(start.assumingMemoryBound(to: UInt8.self), count: json.count)
        let before = target.count
        do throws(JSONSyntaxError) {
            try write(&reader, to: target, isWholeText: true)
            try reader.finish()
        } catch {
            target.truncate(to: before)
            throw error
        }
    }

    /// Consumes one value and appends it. What was written before an error is the caller's to take back.
    ///
    /// - Parameter isWholeText: the text ends behind the value.
    func write(
        _ reader: inout JSONReader, to target: ByteBuffer, isWholeText: Bool = false
    ) throws(JSONSyntaxError) {
        try writeValue(&reader, to: target, depth: 0, isWholeText)
    }

    private func writeValue(
        _ reader: inout JSONReader, to target: ByteBuffer, depth: Int, _ isWholeText: Bool = false
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
            target.append(reader.raw(try reader.readNumber(atEndOfText: isWholeText)))
        }
    }

    private func writeObject(
        _ reader: inout JSONReader, to target: ByteBuffer, depth: Int
    ) throws(JSONSyntaxError) {
        target.append(UInt8(ascii: "{"))
        if try reader.enterObject() {
            while levels.count <= depth { levels.append(Level()) }
            let level = levels[depth]
            level.removeAll()
            let first = target.count
            repeat {
                if target.count > first { target.append(UInt8(ascii: ",")) }
                let start = target.count
                let name = try writeName(&reader, to: target, level.names)
                target.append(UInt8(ascii: ":"))
                try writeValue(&reader, to: target, depth: depth + 1)
                level.append(Member(name: name, written: start..<target.count))
            } while try reader.hasNextMember()
            level.sort(target, from: first, sorting)
        }
        target.append(UInt8(ascii: "}"))
    }

    /// Returns where the decoded name lies in `names`.
    private func writeName(
        _ reader: inout JSONReader, to target: ByteBuffer, _ names: ByteBuffer
    ) throws(JSONSyntaxError) -> Range<Int> {
        let key = try reader.readKey()
        let start = names.count
        if key.isPlain { names.append(reader.raw(key)) } else { names.appendDecoded(reader.raw(key)) }
        target.appendJSONString(names.bytes(start..<names.count))
        return start..<names.count
    }
}
