/// Reads a query of GoogleSQL: SELECT with its clauses, WITH, set operations, joins, UNNEST. What it does not know is refused by name.
struct SQLParser {
    private let tokens: [SQLToken]
    var at = 0
    /// How deep expressions and queries are nested at the moment.
    private var depth = 0

    /// Far beyond any query that people write, and well within a thread's stack.
    static let maximumDepth = 150
    static let maximumChain = 900

    private init(_ text: String) throws(APIError) { tokens = try SQLLexer.tokens(text) }

    static func parse(_ text: String) throws(APIError) -> SQLQuery {
        var parser = try SQLParser(text)
        if case .identifier(let word) = parser.current.kind,
            !["SELECT", "WITH"].contains(word.uppercased())
        {
            throw .invalidQuery(
                "The sandbox runs only queries (SELECT and WITH), not \(word.uppercased()) statements, at \(parser.current.position)"
            )
        }
        let query = try parser.query()
        _ = parser.consume(symbol: ";")
        guard parser.current.kind == .end else { throw parser.unexpected() }
        return query
    }

    // MARK: Tokens

    var current: SQLToken { tokens[at] }

    func following(_ offset: Int) -> SQLToken { tokens[min(at + offset, tokens.count - 1)] }

    func unexpected() -> APIError {
        .invalidQuery("Syntax error: Unexpected \(current.text) at \(current.position)")
    }

    func expected(_ what: String) -> APIError {
        .invalidQuery("Syntax error: Expected \(what) but got \(current.text) at \(current.position)")
    }

    func isKeyword(_ word: String, at offset: Int = 0) -> Bool {
        guard case .identifier(let name) = following(offset).kind else { return false }
        return name.uppercased() == word
    }

    func isSymbol(_ symbol: String, at offset: Int = 0) -> Bool { following(offset).kind == .symbol(symbol) }

    /// Consumes the words if all of them come next.
    mutating func consume(_ words: String...) -> Bool {
        guard words.enumerated().allSatisfy({ isKeyword($1, at: $0) }) else { return false }
        at += words.count
        return true
    }

    mutating func consume(symbol: String) -> Bool {
        guard isSymbol(symbol) else { return false }
        at += 1
        return true
    }

    mutating func expect(_ word: String) throws(APIError) {
        guard consume(word) else { throw expected("keyword \(word)") }
    }

    mutating func expect(symbol: String) throws(APIError) {
        guard consume(symbol: symbol) else { throw expected("\"\(symbol)\"") }
    }

    /// Words that cannot be an alias or a column without back-quotes (lexical-structure page).
    static let reserved: Set<String> = [
        "ALL", "AND", "ANY", "ARRAY", "AS", "ASC", "BETWEEN", "BY", "CASE", "CAST", "CROSS", "CURRENT", "DEFAULT",
        "DESC", "DISTINCT", "ELSE", "END", "EXCEPT", "EXISTS", "EXTRACT", "FALSE", "FOR", "FROM", "FULL", "GROUP",
        "HAVING", "IF", "IGNORE", "IN", "INNER", "INTERSECT", "INTERVAL", "IS", "JOIN", "LEFT", "LIKE", "LIMIT",
        "NATURAL", "NOT", "NULL", "NULLS", "ON", "OR", "ORDER", "OUTER", "OVER", "PARTITION", "QUALIFY", "RESPECT",
        "RIGHT", "ROLLUP", "ROWS", "SELECT", "SET", "SOME", "STRUCT", "TABLESAMPLE", "THEN", "TO", "TRUE",
        "UNION", "UNNEST", "USING", "WHEN", "WHERE", "WINDOW", "WITH",
    ]

    mutating func name() throws(APIError) -> String {
        switch current.kind {
        case .identifier(let name) where !Self.reserved.contains(name.uppercased()), .quoted(let name):
            at += 1
            return name
        default: throw unexpected()
        }
    }

    /// After `.` any word is a name.
    mutating func memberName() throws(APIError) -> String {
        switch current.kind {
        case .identifier(let name), .quoted(let name):
            at += 1
            return name
        default: throw unexpected()
        }
    }

    mutating func alias() throws(APIError) -> String? {
        if consume("AS") { return try name() }
        switch current.kind {
        case .identifier(let name) where !Self.reserved.contains(name.uppercased()), .quoted(let name):
            at += 1
            return name
        default: return nil
        }
    }

    /// Reads something that may hold itself again.
    ///
    /// - Throws: when it does so too often.
    mutating func nested<Element>(
        _ element: (inout SQLParser) throws(APIError) -> Element
    ) throws(APIError) -> Element {
        guard depth < Self.maximumDepth else {
            throw .invalidQuery("The query is nested too deeply at \(current.position)")
        }
        depth += 1
        defer { depth -= 1 }
        return try element(&self)
    }

    /// Reads operands between operators that associate to the left.
    mutating func chain(
        _ operand: (inout SQLParser) throws(APIError) -> SQLExpression,
        _ sign: (inout SQLParser) -> String?
    ) throws(APIError) -> SQLExpression {
        var left = try operand(&self)
        for _ in 0..<Self.maximumChain {
            let position = current.position
            guard let sign = sign(&self) else { return left }
            left = .binary(sign, left, try operand(&self), position)
        }
        throw .invalidQuery("The expression is too long at \(current.position)")
    }

    mutating func list<Element>(
        _ element: (inout SQLParser) throws(APIError) -> Element
    ) throws(APIError) -> [Element] {
        var result = [try element(&self)]
        while consume(symbol: ",") { result.append(try element(&self)) }
        return result
    }

    mutating func ordering() throws(APIError) -> [SQLOrdering] {
        try list { parser throws(APIError) in
            var item = SQLOrdering(expression: try parser.expression())
            if parser.consume("DESC") { item.isDescending = true } else { _ = parser.consume("ASC") }
            if parser.consume("NULLS", "FIRST") { item.nullsFirst = true }
            if parser.consume("NULLS", "LAST") { item.nullsFirst = false }
            return item
        }
    }
}
