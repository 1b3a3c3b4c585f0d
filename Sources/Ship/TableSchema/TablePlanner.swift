/// Decides which columns a table needs for what is spooled, and how the rows of each shape get into it. Pure.
struct TablePlanner: Sendable {
    /// BigQuery's limit of columns, nested ones counted (quotas page).
    static let maximumColumns = 10_000

    var shapes: [ShapeDefinition]
    /// The table's columns; nil: there is no table yet.
    var existing: [ColumnSchema]?
    /// Pinned types by final column name.
    var pins: [String: ColumnType] = [:]
    var evolves = true
    /// Source fields by column name, for descriptions.
    var fields: [String: String] = [:]
    /// Names of the metadata columns where they are not the canonical ones.
    var renamedMetadata: [String: String] = [:]

    func name(of column: MetadataColumn) -> String {
        for shape in shapes.reversed() {
            if let known = shape.columns.first(where: { $0.role == column }) { return known.name }
        }
        return renamedMetadata[column.rawValue] ?? column.rawValue
    }

    /// What gives a metadata column's value of every row, in SQL. A column that was renamed is there under all its names, each with the rows of
    /// its time.
    ///
    /// - Parameter columns: those of the table, in lower case.
    func expression(of column: MetadataColumn, among columns: Set<String>) -> String {
        var names = [name(of: column)]
        for shape in shapes.reversed() {
            guard let known = shape.columns.first(where: { $0.role == column })?.name.lowercased(),
                columns.contains(known), !names.contains(where: { $0.lowercased() == known })
            else { continue }
            names.append(known)
        }
        let quoted = names.map { "`\($0)`" }
        return quoted.count == 1 ? quoted[0] : "COALESCE(\(quoted.joined(separator: ", ")))"
    }

    func plan() -> TablePlan {
        var plan = TablePlan()
        for column in MetadataColumn.allCases { plan.metadataNames[column] = name(of: column) }
        let present = Dictionary(
            (existing ?? []).map { ($0.name.lowercased(), $0) }, uniquingKeysWith: { first, _ in first })
        plan.newColumns = missingColumns(present, &plan)
        var columns = present
        for column in plan.newColumns { columns[column.name.lowercased()] = column }
        let required = columns.values.filter { $0.mode == .required }
        for shape in shapes { plan.encodings[shape.number] = encoding(of: shape, columns, required: required) }
        plan.problem = metadataProblem(columns)
        for column in [MetadataColumn.extractedAt, .insertID] {
            plan.metadataExpressions[column] = expression(of: column, among: Set(columns.keys))
        }
        return plan
    }

    // MARK: Columns

    /// Metadata first, in their order, then fields sorted by name.
    private func missingColumns(_ present: [String: ColumnSchema], _ plan: inout TablePlan) -> [ColumnSchema] {
        guard evolves || existing == nil else { return [] }
        var new: [ColumnSchema] = []
        let used = Set(shapes.lazy.flatMap(\.columns).compactMap(\.role))
        let always: Set<MetadataColumn> = [.id, .extractedAt, .runID, .operation, .insertID, .rescued]
        for column in MetadataColumn.allCases where used.contains(column) || always.contains(column) {
            let name = name(of: column)
            guard present[name.lowercased()] == nil else { continue }
            new.append(ColumnSchema(name, column.type, description: column.description))
        }
        var room = Self.maximumColumns - present.values.reduce(0) { $0 + $1.width } - new.count
        var taken = Set(new.map { $0.name.lowercased() })
        let wanted = chosenTypes()
        for name in wanted.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
            guard let type = wanted[name], present[name.lowercased()] == nil, !taken.contains(name.lowercased()) else {
                continue
            }
            guard room > 0 else {
                plan.columnsWithoutRoom.append(name)
                continue
            }
            room -= 1
            taken.insert(name.lowercased())
            new.append(ColumnSchema(name, type, description: fields[name] ?? name))
        }
        return new
    }

    /// The type of every field's column, as it would be made now.
    func chosenTypes() -> [String: ColumnType] {
        var votes: [String: TypeChoice.Votes] = [:]
        for shape in shapes {
            for column in shape.columns where column.role == nil {
                votes[column.name, default: TypeChoice.Votes()].add(column, rows: max(shape.rows, 1))
            }
        }
        var types: [String: ColumnType] = [:]
        for (name, votes) in votes { types[name] = pins[name] ?? TypeChoice.choose(votes) }
        for (name, type) in pins where types[name] == nil {
            // A pin of a metadata column's name is none of a field's.
            guard !MetadataColumn.allCases.contains(where: { self.name(of: $0) == name }) else { continue }
            types[name] = type
        }
        return types
    }

    /// Without these columns, in these types, nothing could be told apart or asked for later.
    private func metadataProblem(_ columns: [String: ColumnSchema]) -> String? {
        let needed: [(MetadataColumn, Set<ColumnType>)] = [
            (.extractedAt, [.timestamp]), (.insertID, [.string]), (.rescued, [.string, .json]),
        ]
        for (column, types) in needed {
            let name = name(of: column)
            guard let found = columns[name.lowercased()] else {
                return "it has no column \(name), which etlctl needs, and with schema: freeze none is added"
            }
            guard types.contains(found.type), found.mode != .repeated else {
                return
                    "its column \(name) is \(found.mode.rawValue) \(found.type.rawValue), but etlctl needs \(column.type.rawValue)"
            }
        }
        let texts: [MetadataColumn] = [.id, .path, .operation, .runID]
        for column in texts where shapes.contains(where: { $0.columns.contains { $0.role == column } }) {
            let name = name(of: column)
            // A field's own column, perhaps, that metadata were renamed onto: keys would not fit, and rows could not be told apart.
            guard let found = columns[name.lowercased()], found.type != .string || found.mode == .repeated else {
                continue
            }
            return
                "its column \(name) is \(found.mode.rawValue) \(found.type.rawValue), but etlctl keeps \(column.rawValue) in it, which is STRING"
        }
        return nil
    }

    // MARK: Rows

    private func encoding(
        of shape: ShapeDefinition, _ columns: [String: ColumnSchema], required: [ColumnSchema]
    ) -> ShapeEncoding {
        var members: [MemberEncoding] = []
        var isVerbatim = true
        var filled: Set<String> = []
        for column in shape.columns {
            let found = columns[column.name.lowercased()]
            let action = action(for: column, found)
            if case .impossible(let message) = action { return .impossible(message: message) }
            guard case .member(let action) = action else { continue }
            if case .omit = action {} else { filled.insert(column.name.lowercased()) }
            let isSameName = found.map { $0.name == column.name } ?? false
            if !(action == .copy || action == .ownRescued) || !isSameName { isVerbatim = false }
            members.append(
                MemberEncoding(
                    name: Array(column.name.utf8), target: RowEncoder.target(found?.name ?? column.name),
                    action: action))
        }
        for column in required where !filled.contains(column.name.lowercased()) {
            return .impossible(message: "column \(column.name) is REQUIRED and the row has no value for it")
        }
        return isVerbatim ? .verbatim : .members(members)
    }

    private enum Decision {
        case member(MemberEncoding.Action)
        case impossible(String)
    }

    private func action(for column: ShapeColumn, _ found: ColumnSchema?) -> Decision {
        if column.role == .rescued { return .member(.ownRescued) }
        guard let found else {
            // A field that has only been null has no column; freeze and the limit of columns leave fields without one.
            return .member(column.type == .null ? .omit : .rescue(writesNull: false))
        }
        if column.type == .null {
            switch found.mode {
            case .nullable: return .member(.copy)
            case .repeated: return .member(.omit)
            case .required:
                return .impossible("column \(found.name) is REQUIRED and the row's value is null")
            }
        }
        switch ColumnConversion.fit(column.type, into: found) {
        case .always: return .member(.copy)
        case .sometimes: return .member(.convert(column.type, found))
        case .never where found.mode == .required:
            return .impossible(
                "column \(found.name) is REQUIRED \(found.type.rawValue) and the row's value is \(column.type.rawValue)"
            )
        case .never: return .member(.rescue(writesNull: found.mode == .nullable))
        }
    }
}

/// What `TablePlanner` decided.
struct TablePlan: Sendable {
    var newColumns: [ColumnSchema] = []
    /// Fields that BigQuery's limit of columns leaves without one.
    var columnsWithoutRoom: [String] = []
    var encodings: [Int64: ShapeEncoding] = [:]
    var metadataNames: [MetadataColumn: String] = [:]
    /// As `TablePlanner.expression` gives them, of the columns that are asked for.
    var metadataExpressions: [MetadataColumn: String] = [:]
    /// Why the table can't be used at all.
    var problem: String?

    func name(of column: MetadataColumn) -> String { metadataNames[column] ?? column.rawValue }

    func expression(of column: MetadataColumn) -> String { metadataExpressions[column] ?? "`\(name(of: column))`" }
}
