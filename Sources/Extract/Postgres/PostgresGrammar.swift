/// PostgreSQL's spelling.
struct PostgresGrammar: SQLGrammar {
    let quote: Unicode.Scalar = "\""
    let now = "pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.now()), 'YYYY-MM-DD HH24:MI:SS.US')"

    /// As PQescapeLiteral writes it, right whatever `standard_conforming_strings` says, with the column's type.
    func literal(_ text: String, of column: SQLColumn) -> String {
        "CAST(\(Self.string(text)) AS \(column.typeName))"
    }

    static func string(_ text: String) -> String {
        var quoted = ""
        var isEscaped = false
        for character in text.unicodeScalars {
            switch character {
            case "'": quoted += "''"
            case "\\":
                quoted += "\\\\"
                isEscaped = true
            default: quoted.unicodeScalars.append(character)
            }
        }
        return (isEscaped ? " E'" : "'") + quoted + "'"
    }

    func term(_ column: SQLColumn, bytewise: Bool) -> String {
        quoted(column.name) + (bytewise && column.hasCollation ? " COLLATE \"C\"" : "")
    }

    func isAfter(_ terms: [String], _ literals: [String]) -> String { compare(terms, ">", literals) }

    func isUpTo(_ terms: [String], _ literals: [String]) -> String { compare(terms, "<=", literals) }

    private func compare(_ terms: [String], _ operation: String, _ literals: [String]) -> String {
        terms.count == 1
            ? "\(terms[0]) \(operation) \(literals[0])"
            : "(\(terms.joined(separator: ", "))) \(operation) (\(literals.joined(separator: ", ")))"
    }

    func latest(_ kind: SQLWatermarkClass) -> String? {
        // A column without zone may be written by a clock up to 14 hours ahead of UTC.
        let local = "(pg_catalog.timezone('UTC', pg_catalog.now()) + interval '14 hours')"
        switch kind {
        case .timestamp: return "pg_catalog.now()"
        case .datetime: return local
        case .date: return "CAST(\(local) AS date)"
        default: return nil
        }
    }

    func isBelowInfinity(_ term: String, _ column: SQLColumn) -> String? {
        switch column.type {
        // NaN sorts behind everything.
        case .float32, .float64: "\(term) < 'Infinity'"
        // Infinity came with PostgreSQL 14, whose word for it older servers refuse.
        case .decimal: "\(term) < 'NaN' AND \(term)::text <> 'Infinity'"
        default: nil
        }
    }
}
