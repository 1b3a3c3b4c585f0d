/// An expression of GoogleSQL, as far as the sandbox knows the language.
indirect enum SQLExpression: Sendable, Equatable {
    case null
    case integer(String)
    case float(String)
    case string(String)
    case bytes([UInt8])
    case boolean(Bool)
    /// `TIMESTAMP '...'`, `DATE '...'`, `NUMERIC '...'` ...
    case typed(FieldType, String, SQLPosition)
    case name([String], SQLPosition)
    case parameter(String, SQLPosition)
    case unary(String, SQLExpression)
    case binary(String, SQLExpression, SQLExpression, SQLPosition)
    case between(SQLExpression, SQLExpression, SQLExpression, SQLPosition)
    case inList(SQLExpression, [SQLExpression], SQLPosition)
    case inUnnest(SQLExpression, SQLExpression, SQLPosition)
    case inQuery(SQLExpression, SQLQuery, SQLPosition)
    case isNull(SQLExpression)
    case isBoolean(SQLExpression, Bool)
    case like(SQLExpression, SQLExpression, SQLPosition)
    case branches(operand: SQLExpression?, [SQLBranch], otherwise: SQLExpression?, SQLPosition)
    case cast(SQLExpression, FieldType, isSafe: Bool, SQLPosition)
    case call(SQLCall)
    case interval(SQLExpression, unit: String)
    case array([SQLExpression])
    case scalar(SQLQuery, SQLPosition)
    case exists(SQLQuery)
    /// A member of a RECORD or an element of an array: only member access is known.
    case member(SQLExpression, String, SQLPosition)
}

struct SQLBranch: Sendable, Equatable {
    var condition: SQLExpression
    var result: SQLExpression
}

struct SQLCall: Sendable, Equatable {
    /// Upper case.
    var name: String
    var arguments: [SQLExpression]
    var isDistinct = false
    /// `COUNT(*)`.
    var isStar = false
    var ordering: [SQLOrdering] = []
    var limit: SQLExpression?
    var window: SQLWindow?
    var position: SQLPosition
}

struct SQLWindow: Sendable, Equatable {
    var partition: [SQLExpression]
    var ordering: [SQLOrdering]
}

struct SQLOrdering: Sendable, Equatable {
    var expression: SQLExpression
    var isDescending = false
    /// `NULLS FIRST` or `NULLS LAST`, if given.
    var nullsFirst: Bool?
}

final class SQLQuery: Sendable, Equatable {
    enum Body: Sendable, Equatable {
        case select(SQLSelect)
        /// `UNION ALL`, `UNION DISTINCT`, `INTERSECT DISTINCT`, `EXCEPT DISTINCT`.
        case combined(SQLQuery, String, SQLQuery, SQLPosition)
        case nested(SQLQuery)
    }

    let named: [(name: String, query: SQLQuery)]
    let body: Body
    let ordering: [SQLOrdering]
    let limit: SQLExpression?
    let offset: SQLExpression?

    init(
        named: [(name: String, query: SQLQuery)] = [], body: Body, ordering: [SQLOrdering] = [],
        limit: SQLExpression? = nil, offset: SQLExpression? = nil
    ) {
        self.named = named
        self.body = body
        self.ordering = ordering
        self.limit = limit
        self.offset = offset
    }

    static func == (left: SQLQuery, right: SQLQuery) -> Bool { left === right }
}

struct SQLSelect: Sendable, Equatable {
    enum Item: Sendable, Equatable {
        case expression(SQLExpression, alias: String?)
        /// `*` or `source.*`.
        case star(qualifier: String?, except: [String], replace: [SQLReplacement], SQLPosition)
    }

    var isDistinct = false
    var items: [Item] = []
    var from: SQLSource?
    var filter: SQLExpression?
    var grouping: [SQLExpression] = []
    var having: SQLExpression?
    var qualify: SQLExpression?
    var position: SQLPosition
}

struct SQLReplacement: Sendable, Equatable {
    var name: String
    var expression: SQLExpression
}

indirect enum SQLSource: Sendable, Equatable {
    case table([String], alias: String?, asOf: SQLExpression?, SQLPosition)
    case query(SQLQuery, alias: String?)
    case unnest(SQLExpression, alias: String?, SQLPosition)
    /// `JOIN`, `LEFT JOIN` or `CROSS JOIN`.
    case join(SQLSource, String, SQLSource, on: SQLExpression?, using: [String], SQLPosition)
}
