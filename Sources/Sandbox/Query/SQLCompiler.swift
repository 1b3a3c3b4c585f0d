/// Turns a query of GoogleSQL into one of SQLite, checking names and types the way BigQuery does.
///
/// One compiler compiles one query; the values it binds are in `arguments`, referred to as `?1`, `?2` ...
final class SQLCompiler {
    /// What the compiler asks of the catalogue.
    struct Catalog {
        var table: (TableKey) -> TableRecord?
        var location: (DatasetKey) -> String?
        var project: String
        var defaultDataset: DatasetKey?
        /// Nil: taken from the first table.
        var wantedLocation: String?
    }

    let catalog: Catalog
    let parameters: [String: SQLParameter]
    /// Microseconds since 1970, the same for the whole query.
    let now: Int64
    var arguments: [SQLValue] = []
    /// Every table that is read, also through views.
    private(set) var tables: [TableRecord] = []
    private(set) var location: String?
    private var aliasCount = 0
    private var viewDepth = 0
    /// Inside a view names are completed with the view's project.
    private var project: String

    init(catalog: Catalog, parameters: [String: SQLParameter], now: Int64) {
        self.catalog = catalog
        self.parameters = parameters
        self.now = now
        project = catalog.project
        location = catalog.wantedLocation
    }

    func compile(_ text: String) throws(APIError) -> CompiledQuery {
        try compile(try SQLParser.parse(text), in: SQLScope(parent: nil))
    }

    func bind(_ value: SQLValue) -> String {
        arguments.append(value)
        return "?\(arguments.count)"
    }

    private func nextAlias() -> String {
        aliasCount += 1
        return "\"a\(aliasCount)\""
    }

    // MARK: Queries

    func compile(_ query: SQLQuery, in parent: SQLScope) throws(APIError) -> CompiledQuery {
        let scope = SQLScope(parent: parent)
        for (name, named) in query.named {
            let inner = SQLScope(parent: parent)
            inner.named = scope.named
            scope.named[name.lowercased()] = (named, inner)
        }
        let limits = try limits(query)
        switch query.body {
        case .select(let select):
            return try compile(select, ordering: query.ordering, limits: limits, in: scope)
        case .nested(let inner):
            return try order(try compile(inner, in: scope), query.ordering, limits, scope)
        case .combined(let left, let kind, let right, let position):
            let combined = try combine(
                try compile(left, in: scope), kind, try compile(right, in: scope), position)
            return try order(combined, query.ordering, limits, scope)
        }
    }

    private func limits(_ query: SQLQuery) throws(APIError) -> String {
        var result = ""
        for (word, value) in [("LIMIT", query.limit), ("OFFSET", query.offset)] {
            guard let value else { continue }
            let number: Int64?
            switch value {
            case .integer(let text): number = Int64(text)
            case .parameter(let name, let position):
                guard case .integer(let given) = try parameter(name, position).value else { fallthrough }
                number = given
            default: number = nil
            }
            guard let number, number >= 0 else {
                throw .invalidQuery("Syntax error: \(word) expects an integer literal or parameter.")
            }
            result += " \(word) \(number)"
        }
        return result
    }

    private func combine(
        _ left: CompiledQuery, _ kind: String, _ right: CompiledQuery, _ position: SQLPosition
    ) throws(APIError) -> CompiledQuery {
        guard left.columns.count == right.columns.count else {
            throw .invalidQuery(
                "Queries in \(kind) have mismatched column count; query 1 has \(left.columns.count) columns, query 2 has \(right.columns.count) columns at \(position)"
            )
        }
        var columns: [CompiledQuery.Column] = []
        for (index, pair) in zip(left.columns, right.columns).enumerated() {
            guard let type = SQLCoercion.common(pair.0.type, pair.1.type) else {
                throw .invalidQuery(
                    "Column \(index + 1) in \(kind) has incompatible types: \(pair.0.type.name), \(pair.1.type.name) at \(position)"
                )
            }
            columns.append(CompiledQuery.Column(name: pair.0.name, type: type))
        }
        return CompiledQuery(
            sql: "SELECT * FROM (\(left.sql)) \(kind) SELECT * FROM (\(right.sql))", columns: columns)
    }

    /// Orders and limits a whole query by its own columns.
    private func order(
        _ query: CompiledQuery, _ ordering: [SQLOrdering], _ limits: String, _ parent: SQLScope
    ) throws(APIError) -> CompiledQuery {
        guard !ordering.isEmpty || !limits.isEmpty else { return query }
        let scope = SQLScope(parent: parent)
        let alias = nextAlias()
        scope.sources = [source(of: query, alias: nil, sqlAlias: alias)]
        var sql = "SELECT * FROM (\(query.sql)) AS \(alias)"
        if !ordering.isEmpty {
            sql += " ORDER BY \(try self.ordering(ordering, columns: query.columns.count, in: scope))"
        }
        return CompiledQuery(sql: sql + limits, columns: query.columns)
    }

    private func source(of query: CompiledQuery, alias: String?, sqlAlias: String) -> SQLScope.Source {
        SQLScope.Source(
            alias: alias,
            columns: query.columns.enumerated().map {
                SQLScope.Column(name: $1.name, sql: "\(sqlAlias).\"c\($0)\"", type: $1.type)
            })
    }

    /// An ORDER BY list; whole numbers are positions in the SELECT list.
    func ordering(_ items: [SQLOrdering], columns: Int, in scope: SQLScope) throws(APIError) -> String {
        var parts: [String] = []
        for item in items {
            var sql: String
            if case .integer(let text) = item.expression {
                guard let position = Int(text), (1...columns).contains(position) else {
                    throw .invalidQuery("ORDER BY is out of SELECT column number range: \(text)")
                }
                sql = text
            } else {
                let compiled = try expression(item.expression, in: scope)
                guard SQLCoercion.isOrderable(compiled.type) else {
                    throw .invalidQuery("ORDER BY does not support expressions of type \(compiled.type.name)")
                }
                sql = SQLCoercion.collated(compiled)
            }
            sql += item.isDescending ? " DESC" : " ASC"
            if let nullsFirst = item.nullsFirst { sql += nullsFirst ? " NULLS FIRST" : " NULLS LAST" }
            parts.append(sql)
        }
        return parts.joined(separator: ", ")
    }

    // MARK: FROM

    /// The SQL of a source; its columns are added to the scope.
    func compile(_ source: SQLSource, into scope: SQLScope) throws(APIError) -> String {
        switch source {
        case .table(let path, let alias, let asOf, let position):
            return try compileTable(path, alias, asOf, position, into: scope)
        case .query(let query, let alias):
            return add(try compile(query, in: scope.parent ?? scope), alias: alias, to: scope)
        case .unnest(let array, let alias, let position):
            let compiled = try expression(array, in: scope)
            guard compiled.type.isArray else {
                throw .invalidQuery(
                    "Values referenced in UNNEST must be arrays. UNNEST contains expression of type \(compiled.type.name) at \(position)"
                )
            }
            let sqlAlias = nextAlias()
            let type = SQLType(compiled.type.type, fields: compiled.type.fields)
            scope.sources.append(
                SQLScope.Source(
                    alias: nil,
                    columns: [SQLScope.Column(name: alias ?? "", sql: "\(sqlAlias).value", type: type)]))
            return "json_each(\(compiled.sql)) AS \(sqlAlias)"
        case .join(let left, let kind, let right, let condition, let using, let position):
            let leftSQL = try compile(left, into: scope)
            let before = scope.sources.count
            let rightSQL = try compile(right, into: scope)
            var sql = "\(leftSQL) \(kind) \(rightSQL)"
            if let condition {
                let compiled = try boolean(condition, clause: "ON", in: scope)
                sql += " ON \(compiled)"
            } else if !using.isEmpty {
                sql += " ON \(try joinColumns(using, before: before, in: scope, position))"
            }
            return sql
        }
    }

    private func add(_ query: CompiledQuery, alias: String?, to scope: SQLScope) -> String {
        let sqlAlias = nextAlias()
        scope.sources.append(source(of: query, alias: alias, sqlAlias: sqlAlias))
        return "(\(query.sql)) AS \(sqlAlias)"
    }

    /// `USING (a)`: equal columns of both sides become one.
    private func joinColumns(
        _ names: [String], before: Int, in scope: SQLScope, _ position: SQLPosition
    ) throws(APIError) -> String {
        var parts: [String] = []
        for name in names {
            func find(_ sources: ArraySlice<SQLScope.Source>) -> SQLScope.Column? {
                sources.flatMap(\.columns).first { $0.name.lowercased() == name.lowercased() }
            }
            guard let left = find(scope.sources[..<before]), let right = find(scope.sources[before...]) else {
                throw .invalidQuery("Column \(name) in USING clause not found at \(position)")
            }
            parts.append(
                try compare(
                    "=", CompiledExpression(left.sql, left.type), CompiledExpression(right.sql, right.type), position
                ).sql)
            for index in before..<scope.sources.count {
                scope.sources[index].columns.removeAll { $0.name.lowercased() == name.lowercased() }
            }
        }
        return parts.joined(separator: " AND ")
    }

    private func compileTable(
        _ path: [String], _ alias: String?, _ asOf: SQLExpression?, _ position: SQLPosition, into scope: SQLScope
    ) throws(APIError) -> String {
        if path.count == 1, let named = scope.namedQuery(path[0]) {
            return add(try compile(named.query, in: named.scope), alias: alias ?? path[0], to: scope)
        }
        let key = try tableKey(path, position)
        let record = try record(key)
        let name = alias ?? key.table
        if let viewQuery = record.viewQuery {
            viewDepth += 1
            defer { viewDepth -= 1 }
            guard viewDepth <= 16 else { throw .invalidQuery("Views are nested too deeply: the limit is 16.") }
            let outside = project
            project = key.project
            defer { project = outside }
            let compiled = try compile(try SQLParser.parse(viewQuery), in: SQLScope(parent: nil))
            return add(compiled, alias: name, to: scope)
        }
        tables.append(record)
        return try addTable(record, name: name, asOf: asOf, to: scope)
    }

    private func addTable(
        _ record: TableRecord, name: String, asOf: SQLExpression?, to scope: SQLScope
    ) throws(APIError) -> String {
        let sqlAlias = nextAlias()
        // Columns beyond SQLite's limit cannot be named here: `*` of such a table is refused, other columns work.
        let columns = record.layout.directFields.map {
            SQLScope.Column(name: $0.name, sql: "\(sqlAlias).\(TableLayout.quoted($0.name))", type: SQLType($0))
        }
        scope.sources.append(SQLScope.Source(alias: name, columns: columns))
        guard let asOf else { return "\(record.layout.quotedName) AS \(sqlAlias)" }
        let moment = try expression(asOf, in: SQLScope(parent: nil))
        let time = try coerce(moment, to: .timestamp)
        return "(SELECT * FROM \(record.layout.quotedName) WHERE \"$time\" <= \(time.sql)) AS \(sqlAlias)"
    }

    func tableKey(_ path: [String], _ position: SQLPosition) throws(APIError) -> TableKey {
        if path.contains(where: { $0.uppercased() == "INFORMATION_SCHEMA" }) {
            throw .invalidQuery("INFORMATION_SCHEMA is not supported by the sandbox, at \(position)")
        }
        switch path.count {
        case 3: return TableKey(project: path[0], dataset: path[1], table: path[2])
        case 2: return TableKey(project: project, dataset: path[0], table: path[1])
        case 1:
            guard let dataset = catalog.defaultDataset, viewDepth == 0 else {
                throw .invalidQuery("Table \"\(path[0])\" must be qualified with a dataset (e.g. dataset.table).")
            }
            return TableKey(project: dataset.project, dataset: dataset.dataset, table: path[0])
        default: throw .invalidQuery("Invalid table name: \(path.joined(separator: ".")) at \(position)")
        }
    }

    private func record(_ key: TableKey) throws(APIError) -> TableRecord {
        guard let found = catalog.location(key.datasetKey), found == location ?? found else {
            throw APIError(
                404, "notFound",
                "Not found: Dataset \(key.datasetKey.legacyName) was not found in location \(location ?? "US")")
        }
        location = found
        guard let record = catalog.table(key) else {
            throw APIError(404, "notFound", "Not found: Table \(key.legacyName) was not found in location \(found)")
        }
        return record
    }

    func isWide(_ source: SQLScope.Source) -> Bool {
        source.columns.count >= TableLayout.maximumColumns
            && tables.contains { $0.fields.count > TableLayout.maximumColumns }
    }

    func parameter(_ name: String, _ position: SQLPosition) throws(APIError) -> SQLParameter {
        guard let found = parameters[name.lowercased()] else {
            throw .invalidQuery("Query parameter '\(name)' not found at \(position)")
        }
        return found
    }
}
