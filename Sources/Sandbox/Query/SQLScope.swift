/// What names mean at a place in a query.
final class SQLScope {
    struct Column {
        var name: String
        var sql: String
        var type: SQLType
    }

    struct Source {
        var alias: String?
        var columns: [Column]
    }

    var sources: [Source] = []
    /// Aliases of the SELECT list, where they may be used.
    var aliases: [String: SQLExpression] = [:]
    /// Whether an alias goes before a column of the same name: in GROUP BY and ORDER BY.
    var prefersAliases = false
    let parent: SQLScope?
    /// Queries named by WITH, by lower-case name, with the scope that their own names mean something in.
    var named: [String: (query: SQLQuery, scope: SQLScope)] = [:]
    /// Whether aggregate and window functions may be used here.
    var allowsAggregates = false
    var allowsWindows = false

    init(parent: SQLScope?) { self.parent = parent }

    func namedQuery(_ name: String) -> (query: SQLQuery, scope: SQLScope)? {
        named[name.lowercased()] ?? parent?.namedQuery(name)
    }

    func source(_ alias: String) -> Source? {
        sources.first { $0.alias?.lowercased() == alias.lowercased() }
    }

    /// - Throws: for a name that two sources have.
    func column(_ name: String, at position: SQLPosition) throws(APIError) -> Column? {
        let found = sources.flatMap(\.columns).filter { $0.name.lowercased() == name.lowercased() }
        if found.count > 1 { throw .invalidQuery("Column name \(name) is ambiguous at \(position)") }
        return found.first
    }
}
