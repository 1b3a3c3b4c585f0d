/// The type of an expression.
struct SQLType: Sendable, Equatable {
    /// Nil for a bare NULL, which takes any type.
    var type: FieldType?
    var isArray = false
    /// The members of a RECORD.
    var fields: [FieldSchema] = []

    init(_ type: FieldType?, isArray: Bool = false, fields: [FieldSchema] = []) {
        self.type = type
        self.isArray = isArray
        self.fields = fields
    }

    init(_ field: FieldSchema) { self.init(field.type, isArray: field.mode == .repeated, fields: field.fields) }

    static let bool = SQLType(.boolean)
    static let int64 = SQLType(.integer)
    static let float64 = SQLType(.float)
    static let string = SQLType(.string)
    static let timestamp = SQLType(.timestamp)

    /// As in messages.
    var name: String {
        let element = type?.sqlName ?? "INT64"
        return isArray ? "ARRAY<\(element)>" : element
    }

    var isNumber: Bool { !isArray && (type == .integer || type == .float || isDecimal) }

    var isDecimal: Bool { !isArray && (type == .numeric || type == .bignumeric) }

    /// As a column of a result; a bare NULL becomes INT64, as in BigQuery.
    func field(named name: String) -> FieldSchema {
        var result = FieldSchema(name: name, type: type ?? .integer, mode: isArray ? .repeated : .nullable)
        result.fields = fields
        return result
    }
}

/// An expression in SQLite's SQL with its type in BigQuery's terms.
struct CompiledExpression: Sendable {
    var sql: String
    var type: SQLType
    /// The value of a literal or parameter: strings among them can become dates and times.
    var constant: SQLValue?

    init(_ sql: String, _ type: SQLType, constant: SQLValue? = nil) {
        self.sql = sql
        self.type = type
        self.constant = constant
    }
}

/// A query in SQLite's SQL; its columns are named `c0`, `c1` ...
struct CompiledQuery: Sendable {
    struct Column: Sendable {
        var name: String
        var type: SQLType
    }

    var sql: String
    var columns: [Column]

    /// The result's schema; columns without a name get `f0_`, `f1_` ...
    var fields: [FieldSchema] {
        var unnamed = 0
        return columns.map { column in
            guard column.name.isEmpty else { return column.type.field(named: column.name) }
            defer { unnamed += 1 }
            return column.type.field(named: "f\(unnamed)_")
        }
    }
}

/// A value given with a query for `@name`.
struct SQLParameter: Sendable {
    var type: SQLType
    var value: SQLValue
}
