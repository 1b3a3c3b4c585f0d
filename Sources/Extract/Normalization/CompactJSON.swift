internal import JSONBytes

/// Writes nested JSON as etlctl does: no insignificant spaces, members sorted bytewise, of repeated names the last, numbers as they stand,
/// strings escaped only where JSON asks for it.
///
/// Not `Sendable`: one reader owns one, and its memory is reused.
final class CompactJSON {
    private let decoded = ByteBuffer(capacity: 1 << 10)
    private let sorting = ByteBuffer(capacity: 1 << 12)

    private struct Member {
        /// The decoded name.
        var name: [UInt8]
        var written: Range<Int>
    }

    /// Consumes one value and appends it. What was written before an error is the caller's to take back.
    func write(_ reader: inout JSONReader, to target: ByteBuffer, depth: Int = 0) throws(JSONSyntaxError) {
        guard depth < JSONReader.maximumDepth else { throw JSONSyntaxError(.tooDeep, at: reader.at) }
        switch try reader.peek() {
        case UInt8(ascii: "\""):
            let text = try reader.readString()
            target.appendNormalizedString(reader.raw(text), isPlain: text.isPlain, scratch: decoded)
        case UInt8(ascii: "{"):
            try writeObject(&reader, to: target, depth: depth)
        case UInt8(ascii: "["):
            target.append(UInt8(ascii: "["))
            if try reader.enterArray() {
                var isFirst = true
                repeat {
                    if !isFirst { target.append(UInt8(ascii: ",")) }
                    isFirst = false
                    try write(&reader, to: target, depth: depth + 1)
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
        let start = target.count
        target.append(UInt8(ascii: "{"))
        var members: [Member] = []
        var isSorted = true
        if try reader.enterObject() {
            repeat {
                let key = try reader.readKey()
                if !members.isEmpty { target.append(UInt8(ascii: ",")) }
                let memberStart = target.count
                target.appendNormalizedString(reader.raw(key), isPlain: key.isPlain, scratch: decoded)
                let name = key.isPlain ? [UInt8](reader.raw(key)) : decoded.array
                target.append(UInt8(ascii: ":"))
                try write(&reader, to: target, depth: depth + 1)
                if isSorted, let last = members.last, !last.name.lexicographicallyPrecedes(name) { isSorted = false }
                members.append(Member(name: name, written: memberStart..<target.count))
            } while try reader.hasNextMember()
        }
        if !isSorted { sort(members, in: target, from: start + 1) }
        target.append(UInt8(ascii: "}"))
    }

    private func sort(_ members: [Member], in target: ByteBuffer, from start: Int) {
        // Of equal names the last written comes last.
        let ordered = members.sorted {
            $0.name == $1.name
                ? $0.written.lowerBound < $1.written.lowerBound : $0.name.lexicographicallyPrecedes($1.name)
        }
        sorting.removeAll()
        for (index, member) in ordered.enumerated() {
            if index + 1 < ordered.count, ordered[index + 1].name == member.name { continue }
            if sorting.count > 0 { sorting.append(UInt8(ascii: ",")) }
            sorting.append(target.bytes(member.written))
        }
        target.truncate(to: start)
        target.append(sorting)
        sorting.shrink(to: 1 << 20)
    }
}
