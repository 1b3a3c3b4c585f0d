#if canImport(Glibc)
    internal import Glibc
#endif

/// Takes rows of COPY's text format apart: cells between tabs, `\N` for null, backslash sequences for what would be mistaken (PostgreSQL
/// manual, COPY, "Text Format").
enum PostgresCopyText {
    /// - Parameter row: one row with its line end.
    static func append(row: UnsafePointer<UInt8>, count: Int, to chunk: SQLChunk) {
        let end = count > 0 && row[count - 1] == UInt8(ascii: "\n") ? count - 1 : count
        if memchr(row, 0x5C, end) == nil {
            appendPlain(row, end, to: chunk)
        } else {
            appendEscaped(row, end, to: chunk)
        }
        chunk.endRow()
    }

    /// A row without a backslash: its cells are what stands between the tabs.
    private static func appendPlain(_ row: UnsafePointer<UInt8>, _ end: Int, to chunk: SQLChunk) {
        let base = chunk.byteCount
        chunk.append(row, count: end)
        var at = 0
        while let tab = memchr(row + at, 0x09, end - at) {
            let place = UnsafeRawPointer(tab) - UnsafeRawPointer(row)
            chunk.addCell(base + at, base + place)
            at = place + 1
        }
        chunk.addCell(base + at, base + end)
    }

    private static func appendEscaped(_ row: UnsafePointer<UInt8>, _ end: Int, to chunk: SQLChunk) {
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
