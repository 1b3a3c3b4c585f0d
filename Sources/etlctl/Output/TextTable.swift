/// Columns in line, for people: a header, numbers to the right, texts to the left.
struct TextTable: Sendable {
    enum Cell: Sendable, Equatable {
        case text(String)
        case count(Int64)
        case bytes(Int64)
        case duration(Duration)
        /// Nothing to say: `-`.
        case none

        var isNumeric: Bool {
            switch self {
            case .count, .bytes, .duration: true
            case .text, .none: false
            }
        }

        /// Without control characters, whatever a row's id or a server's message holds.
        var shown: String {
            switch self {
            case .text(let text): Readable.plain(text)
            case .count(let value): Readable.count(value)
            case .bytes(let value): Readable.bytes(value)
            case .duration(let value): Readable.duration(value)
            case .none: "-"
            }
        }
    }

    let header: [String]
    private(set) var rows: [[Cell]] = []

    init(_ header: String...) { self.header = header }

    /// Adds a row; cells that are missing stay empty, and those beyond the header are left out.
    mutating func append(_ cells: Cell...) {
        rows.append(header.indices.map { $0 < cells.count ? cells[$0] : .none })
    }

    /// The lines, without one at the end; no spaces at the ends of lines. Widths are counted in characters.
    var text: String {
        let shown = rows.map { $0.map(\.shown) }
        let widths = header.indices.map { column in
            shown.reduce(header[column].count) { max($0, $1[column].count) }
        }
        let toTheRight = header.indices.map { column in rows.contains { $0[column].isNumeric } }
        return ([header] + shown).map { cells in
            var line = ""
            for (column, cell) in cells.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                line += (column > 0 ? "  " : "") + (toTheRight[column] ? padding + cell : cell + padding)
            }
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}

extension TextTable.Cell {
    /// A text, or `-` where there is none.
    static func text(_ value: String?) -> TextTable.Cell { value.map { .text($0) } ?? .none }

    static func count(_ value: Int) -> TextTable.Cell { .count(Int64(value)) }
}

extension TextTable.Cell: ExpressibleByStringLiteral {
    init(stringLiteral value: String) { self = .text(value) }
}
