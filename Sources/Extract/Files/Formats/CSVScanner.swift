#if canImport(Glibc)
    internal import Glibc
#endif

/// One value of a record, as it stands between its delimiters or quotes.
struct CSVCell {
    var start: Int
    var end: Int
    var isQuoted = false
    var hasDoubledQuotes = false
}

/// Finds the cells of one CSV record.
struct CSVScanner {
    /// Valid for `end` bytes as long as the scanner is used.
    let base: UnsafeMutablePointer<UInt8>
    let end: Int
    /// True if nothing comes behind `end`.
    let isFinished: Bool
    let delimiter: UInt8
    let quote: UInt8?

    enum Result {
        /// Where the record ends without its line end, where the next one begins, and how many lines it took.
        case record(end: Int, next: Int, lines: Int)
        case needsMore
        case unclosed
        case textAfterQuote
    }

    func scan(from start: Int, into cells: inout [CSVCell]) -> Result {
        cells.removeAll(keepingCapacity: true)
        var at = start
        var lines = 1
        while true {
            if let quote, at < end, base[at] == quote {
                var cell = CSVCell(start: at + 1, end: at + 1, isQuoted: true)
                guard let close = closingQuote(quote, &cell) else { return isFinished ? .unclosed : .needsMore }
                lines += newlines(cell.start, close)
                cell.end = close
                cells.append(cell)
                at = close + 1
                // Whether the quote closes or is doubled shows only in the byte behind it.
                if at == end, !isFinished { return .needsMore }
                if at < end, base[at] != delimiter, base[at] != 0x0A, base[at] != 0x0D { return .textAfterQuote }
            } else {
                let from = at
                while at < end {
                    let byte = base[at]
                    if byte == delimiter || byte == 0x0A || byte == 0x0D { break }
                    at += 1
                }
                if at == end, !isFinished { return .needsMore }
                cells.append(CSVCell(start: from, end: at))
            }
            guard at < end else { return .record(end: at, next: at, lines: lines) }
            if base[at] == delimiter {
                at += 1
                // A delimiter at the very end opens one more, empty value.
                if at == end, !isFinished { return .needsMore }
                continue
            }
            if base[at] == 0x0A { return .record(end: at, next: at + 1, lines: lines) }
            if at + 1 == end, !isFinished { return .needsMore }
            let isPair = at + 1 < end && base[at + 1] == 0x0A
            return .record(end: at, next: at + (isPair ? 2 : 1), lines: lines)
        }
    }

    private func closingQuote(_ quote: UInt8, _ cell: inout CSVCell) -> Int? {
        var at = cell.start
        while at < end, let found = memchr(base + at, CInt(quote), end - at) {
            let place = UnsafeRawPointer(base).distance(to: UnsafeRawPointer(found))
            guard place + 1 < end, base[place + 1] == quote else { return place }
            cell.hasDoubledQuotes = true
            at = place + 2
        }
        return nil
    }

    private func newlines(_ start: Int, _ close: Int) -> Int {
        var count = 0
        var at = start
        while at < close, let found = memchr(base + at, 0x0A, close - at) {
            count += 1
            at = UnsafeRawPointer(base).distance(to: UnsafeRawPointer(found)) + 1
        }
        // A file with CR alone has no LF to count.
        if count == 0 {
            for index in start..<close where base[index] == 0x0D { count += 1 }
        }
        return count
    }

    /// The end of the line at `start`, without and with its line end.
    static func lineEnd(_ base: UnsafeMutablePointer<UInt8>, from start: Int, to end: Int) -> (Int, Int) {
        var at = start
        while at < end {
            if base[at] == 0x0A { return (at, at + 1) }
            if base[at] == 0x0D { return (at, at + 1 < end && base[at + 1] == 0x0A ? at + 2 : at + 1) }
            at += 1
        }
        return (end, end)
    }
}
