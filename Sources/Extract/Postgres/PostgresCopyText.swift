/// Takes rows of COPY's text format apart: cells between tabs, `\N` for null, backslash sequences for what would be mistaken (PostgreSQL
/// manual, COPY, "Text Format").
enum PostgresCopyText {
    /// - Parameter row: one row with its line end.
    @inline(__always)
    static func append(row: UnsafePointer<UInt8>, count: Int, to chunk: SQLChunk) {
        let end = count > 0 && row[count - 1] == UInt8(ascii: "\n") ? count - 1 : count
        var at = 0
        while true {
            if at + 2 <= end, row[at] == UInt8(ascii: "\\"), row[at + 1] == UInt8(ascii: "N") {
                chunk.addNull()
                at += 2
            } else {
                let start = chunk.byteCount
                var pending = at
                while at < end, row[at] != UInt8(ascii: "\t") {
                    guard row[at] == UInt8(ascii: "\\"), at + 1 < end else {
                        at += 1
                        continue
                    }
                    chunk.append(row + pending, count: at - pending)
                    chunk.append(unescaped(row[at + 1]))
                    at += 2
                    pending = at
                }
                chunk.append(row + pending, count: at - pending)
                chunk.endCell(from: start)
            }
            guard at < end else { break }
            at += 1
            // A tab at the end stands before one more, empty cell.
            if at == end {
                chunk.endCell(from: chunk.byteCount)
                break
            }
        }
        chunk.endRow()
    }

    private static func unescaped(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        case UInt8(ascii: "v"): 0x0B
        default: byte
        }
    }
}
