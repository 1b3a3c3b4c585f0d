internal import JSONBytes

/// MySQL's spelling.
struct MySQLGrammar: SQLGrammar {
    let quote: Unicode.Scalar = "`"
    let now = "CAST(UTC_TIMESTAMP(6) AS CHAR)"

    /// Numbers as they are (checked), times in the server's own form, everything else as hexadecimal: whatever `sql_mode` says about quotes
    /// and backslashes, no value can change a statement.
    func literal(_ text: String, of column: SQLColumn) -> String {
        switch column.type {
        case .integer, .unsigned, .decimal:
            if Array(text.utf8).withUnsafeBytes({ DecimalText.Parts($0) != nil }) { return text }
        case .float32, .float64:
            if let value = Double(text), value.isFinite { return "\(value)" + (text.contains("e") ? "" : "e0") }
        case .datetime, .timestamp, .date, .time:
            var form = text.split(separator: "T", maxSplits: 1).joined(separator: " ")
            if form.hasSuffix("Z") { form.removeLast() }
            if form.utf8.allSatisfy({ (0x30...0x3A).contains($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x20 }) {
                return "'\(form)'"
            }
        case .bytes, .bits:
            // The position holds hexadecimal digits already.
            return column.type == .bits(64) || column.typeName == "bit"
                ? "(0x\(text.isEmpty ? "00" : text) + 0)" : "X'\(text)'"
        default: break
        }
        let buffer = ByteBuffer(capacity: 64)
        buffer.append(hexadecimal: Array(text.utf8))
        // A literal: the server compares it in the column's own character set and collation, which is what it sorts by.
        return "_utf8mb4 X'\(buffer.string)'"
    }

    func term(_ column: SQLColumn, bytewise: Bool) -> String {
        if bytewise, column.type == .text { return "CAST(CONVERT(\(quoted(column.name)) USING utf8mb4) AS BINARY)" }
        // Of `position(of:)`. An enum compares with a number as one, by an index if there is one; of a set that is not said to be exact.
        return column.typeName == "set" && column.type == .integer ? column.expression : quoted(column.name)
    }

    /// An enum and a set sort by the numbers of their members, not by their text.
    func position(of column: SQLColumn) -> SQLColumn {
        guard column.typeName == "enum" || column.typeName == "set" else { return column }
        var number = column
        number.type = .integer
        number.expression = "CAST(\(quoted(column.name)) AS UNSIGNED)"
        number.hasCollation = false
        return number
    }

    func isAfter(_ terms: [String], _ literals: [String]) -> String { compare(terms, ">", ">", literals) }

    func isUpTo(_ terms: [String], _ literals: [String]) -> String { compare(terms, "<", "<=", literals) }

    /// Written out: the server uses an index for this, but not for a comparison of rows.
    private func compare(_ terms: [String], _ operation: String, _ last: String, _ literals: [String]) -> String {
        terms.indices.map { index in
            let equal = (0..<index).map { "\(terms[$0]) = \(literals[$0])" }
            let sign = index == terms.count - 1 ? last : operation
            return "(" + (equal + ["\(terms[index]) \(sign) \(literals[index])"]).joined(separator: " AND ") + ")"
        }.joined(separator: " OR ")
    }

    func latest(_ kind: SQLWatermarkClass) -> String? {
        // A column without zone may be written by a clock up to 14 hours ahead of UTC.
        let local = "DATE_ADD(UTC_TIMESTAMP(6), INTERVAL 14 HOUR)"
        switch kind {
        case .timestamp: return "UTC_TIMESTAMP(6)"
        case .datetime: return local
        case .date: return "DATE(\(local))"
        default: return nil
        }
    }

    func sortedBytes(_ terms: [String], of relation: String) -> String? {
        let lengths = terms.flatMap { ["MAX(LENGTH(WEIGHT_STRING(\($0))))", "MAX(LENGTH(\($0)))"] }
        return "SELECT \(lengths.joined(separator: ", ")) FROM \(relation)"
    }

    func sorting(bytes: Int, terms: Int) -> String? {
        // The buffer must hold fifteen rows' sort keys.
        let buffer = 16 * terms * (bytes + 256)
        return
            "SET SESSION max_sort_length = GREATEST(@@max_sort_length, \(bytes)), SESSION sort_buffer_size = GREATEST(@@sort_buffer_size, \(buffer))"
    }

    func isBelowInfinity(_ term: String, _ column: SQLColumn) -> String? { nil }
}
