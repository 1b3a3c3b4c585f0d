extension SQLCompiler {
    private struct Output {
        var column: CompiledQuery.Column
        var sql: String
        /// The expression, for what `*` did not make.
        var expression: SQLExpression?
    }

    func compile(
        _ select: SQLSelect, ordering: [SQLOrdering], limits: String, in parent: SQLScope
    ) throws(APIError) -> CompiledQuery {
        let scope = SQLScope(parent: parent)
        var sql = ""
        if let from = select.from { sql += " FROM \(try compile(from, into: scope))" }
        try checkPartitionFilter(select)
        if let filter = select.filter { sql += " WHERE \(try boolean(filter, clause: "WHERE", in: scope))" }

        var aliases: [String: SQLExpression] = [:]
        for case .expression(let expression, let alias?) in select.items { aliases[alias.lowercased()] = expression }
        scope.allowsAggregates = true
        scope.allowsWindows = true
        let outputs = try self.outputs(select, in: scope)
        let grouping = try groupingExpressions(select, aliases)
        try checkGrouping(select, grouping, outputs, scope)
        scope.aliases = aliases
        scope.allowsWindows = false
        if !grouping.isEmpty {
            let keys = try grouping.map { key throws(APIError) in SQLCoercion.collated(try expression(key, in: scope)) }
            sql += " GROUP BY \(keys.joined(separator: ", "))"
        }
        if let having = select.having { sql += " HAVING \(try boolean(having, clause: "HAVING", in: scope))" }
        scope.allowsWindows = true
        scope.prefersAliases = true
        var list = outputs.enumerated().map { "\($1.sql) AS \"c\($0)\"" }
        let distinct = select.isDistinct ? "DISTINCT " : ""
        let columns = outputs.map(\.column)
        guard let qualify = select.qualify else {
            if !ordering.isEmpty {
                sql += " ORDER BY \(try self.ordering(ordering, columns: columns.count, in: scope))"
            }
            return CompiledQuery(
                sql: "SELECT \(distinct)\(list.joined(separator: ", "))\(sql)\(limits)", columns: columns)
        }
        scope.prefersAliases = false
        list.append("\(try boolean(qualify, clause: "QUALIFY", in: scope)) AS \"q\"")
        scope.prefersAliases = true
        var outerOrder: [String] = []
        for (index, item) in ordering.enumerated() {
            let key = try self.ordering([item], columns: columns.count, in: scope)
            // The direction stays outside; the value goes through as a column of its own.
            let words = key.split(separator: " ")
            let suffixCount = item.nullsFirst == nil ? 1 : 3
            let value = words.dropLast(suffixCount).joined(separator: " ")
            let position = Int(value)
            if position == nil { list.append("\(value) AS \"o\(index)\"") }
            let name = position.map { "\"c\($0 - 1)\"" } ?? "\"o\(index)\""
            outerOrder.append("\(name) \(words.suffix(suffixCount).joined(separator: " "))")
        }
        let names = columns.indices.map { "\"c\($0)\"" }.joined(separator: ", ")
        var outer = "SELECT \(distinct)\(names) FROM (SELECT \(list.joined(separator: ", "))\(sql)) WHERE \"q\""
        if !outerOrder.isEmpty { outer += " ORDER BY \(outerOrder.joined(separator: ", "))" }
        return CompiledQuery(sql: outer + limits, columns: columns)
    }

    /// A table may ask for a filter over its partition column (querying-partitioned-tables page).
    private func checkPartitionFilter(_ select: SQLSelect) throws(APIError) {
        guard case .table(let path, _, _, let position)? = select.from, path.count > 1 || catalog.defaultDataset != nil,
            let record = catalog.table(try tableKey(path, position)), record.requiresPartitionFilter,
            let field = record.partitionField
        else { return }
        if let filter = select.filter, SQLAggregates.mentions(field, in: filter) { return }
        throw .invalidQuery(
            "Cannot query over table '\(record.key)' without a filter over column(s) '\(field)' that can be used for partition elimination"
        )
    }

    // MARK: The SELECT list

    private func outputs(_ select: SQLSelect, in scope: SQLScope) throws(APIError) -> [Output] {
        var result: [Output] = []
        for item in select.items {
            switch item {
            case .expression(let expression, let alias):
                let compiled = try self.expression(expression, in: scope)
                let name = alias ?? Self.impliedName(expression)
                result.append(
                    Output(
                        column: CompiledQuery.Column(name: name, type: compiled.type), sql: compiled.sql,
                        expression: expression))
            case .star(let qualifier, let except, let replace, let position):
                result += try star(qualifier, except, replace, position, in: scope)
            }
        }
        return result
    }

    private static func impliedName(_ expression: SQLExpression) -> String {
        switch expression {
        case .name(let path, _): path.last ?? ""
        case .member(_, let name, _): name
        default: ""
        }
    }

    private func star(
        _ qualifier: String?, _ except: [String], _ replace: [SQLReplacement], _ position: SQLPosition,
        in scope: SQLScope
    ) throws(APIError) -> [Output] {
        var sources = scope.sources
        if let qualifier {
            guard let source = scope.source(qualifier) else {
                throw .invalidQuery("Unrecognized name: \(qualifier) at \(position)")
            }
            sources = [source]
        }
        guard !sources.isEmpty else { throw .invalidQuery("SELECT * must have a FROM clause at \(position)") }
        if sources.contains(where: isWide) {
            throw .invalidQuery(
                "The sandbox cannot show * of a table of more than \(TableLayout.maximumColumns) columns, at \(position)"
            )
        }
        var left = Set(except.map { $0.lowercased() })
        let replaced = Dictionary(
            replace.map { ($0.name.lowercased(), $0.expression) }, uniquingKeysWith: { first, _ in first })
        var result: [Output] = []
        for column in sources.flatMap(\.columns) {
            let name = column.name.lowercased()
            if except.contains(where: { $0.lowercased() == name }) {
                left.remove(name)
                continue
            }
            var output = Output(column: CompiledQuery.Column(name: column.name, type: column.type), sql: column.sql)
            if let expression = replaced[name] {
                let compiled = try self.expression(expression, in: scope)
                output.sql = compiled.sql
                output.column.type = compiled.type
            }
            result.append(output)
        }
        if let unknown = left.first {
            throw .invalidQuery("Column \(unknown) in SELECT * EXCEPT list does not exist at \(position)")
        }
        guard !result.isEmpty else {
            throw .invalidQuery("SELECT * expands to zero columns after applying EXCEPT at \(position)")
        }
        return result
    }

    // MARK: GROUP BY

    private func groupingExpressions(
        _ select: SQLSelect, _ aliases: [String: SQLExpression]
    ) throws(APIError) -> [SQLExpression] {
        try select.grouping.map { key throws(APIError) in
            switch key {
            case .integer(let text):
                guard let position = Int(text), (1...select.items.count).contains(position),
                    case .expression(let expression, _) = select.items[position - 1]
                else { throw .invalidQuery("GROUP BY is out of SELECT column number range: \(text)") }
                return expression
            case .name(let path, _) where path.count == 1: return aliases[path[0].lowercased()] ?? key
            default: return key
            }
        }
    }

    /// With grouping or aggregates, every column outside of an aggregate must be grouped.
    private func checkGrouping(
        _ select: SQLSelect, _ grouping: [SQLExpression], _ outputs: [Output], _ scope: SQLScope
    ) throws(APIError) {
        let isAggregated =
            outputs.contains { $0.expression.map(SQLAggregates.contains) ?? false }
            || select.having.map(SQLAggregates.contains) ?? false
        guard isAggregated || !grouping.isEmpty else { return }
        for output in outputs {
            guard let expression = output.expression else {
                throw .invalidQuery(
                    "Star expansion expression references column \(output.column.name) which is neither grouped nor aggregated at \(select.position)"
                )
            }
            if let (name, position) = SQLAggregates.ungrouped(expression, grouping), try isColumn(name, scope, position)
            {
                throw .invalidQuery(
                    "SELECT list expression references column \(name) which is neither grouped nor aggregated at \(position)"
                )
            }
        }
    }

    private func isColumn(_ name: String, _ scope: SQLScope, _ position: SQLPosition) throws(APIError) -> Bool {
        try scope.column(name, at: position) != nil || scope.source(name) != nil
    }
}
