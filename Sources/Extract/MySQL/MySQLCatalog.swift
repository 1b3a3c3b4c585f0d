internal import CMariaDB
internal import Spool

/// Looks up what a stream reads: columns with their types, the primary key.
struct MySQLCatalog {
    let connection: MySQLConnection
    private let grammar = MySQLGrammar()

    init(_ connection: MySQLConnection) { self.connection = connection }

    func describe(_ stream: ExtractRequest) throws -> SQLTable {
        var table: SQLTable
        var primaryKey: [String] = []
        if let query = stream.query {
            table = SQLTable(
                relation: "(\n\(Self.trimmed(query))\n) AS q", subject: "the query of stream \(stream.name)",
                columns: [], primaryKey: [], isQuery: true)
        } else {
            let from = stream.from ?? ""
            let name = try SQLName(parsing: from, quote: grammar.quote, stream: stream.name)
            let relation = (name.schema.map { grammar.quoted($0) + "." } ?? "") + grammar.quoted(name.table)
            table = SQLTable(relation: relation, subject: "the table \(from)", columns: [], primaryKey: [])
            primaryKey = try connection.rows(
                of: "SHOW KEYS FROM \(relation) WHERE Key_name = 'PRIMARY'", doing: "looking at the table \(from)"
            ).sorted { Int($0[3] ?? "") ?? 0 < Int($1[3] ?? "") ?? 0 }.compactMap { $0[4] }
        }
        let columns = try connection.columns(
            of: "SELECT * FROM \(table.relation) LIMIT 0", doing: "looking at \(table.subject)")
        var names: Set<ExactText> = []
        for column in columns {
            guard names.insert(column.name.exact).inserted else {
                throw ExtractError(
                    .configuration, "\(table.subject) has two columns named \(column.name)",
                    hint: "give one of them another name with AS")
            }
            table.columns.append(Self.column(column, grammar.quoted(column.name)))
        }
        table.primaryKey = primaryKey
        return table
    }

    /// A query stands in parentheses: a semicolon at its end must not.
    private static func trimmed(_ query: String) -> String {
        var text = Substring(query)
        while let last = text.last, last.isWhitespace || last == ";" { text = text.dropLast() }
        return String(text)
    }

    // Of mysql_com.h, whose macros hold casts or change from version to version.
    private static let unsigned: UInt32 = 32
    private static let enumeration: UInt32 = 256
    private static let set: UInt32 = 2048
    private static let binaryCharacterSet: UInt32 = 63

    private static func column(_ column: MySQLConnection.Description, _ quoted: String) -> SQLColumn {
        let isUnsigned = column.flags & unsigned != 0
        let isBinary = column.characterSet == binaryCharacterSet
        var expression = quoted
        let type: SQLType
        let name: String
        switch enum_field_types(rawValue: column.type) {
        case MYSQL_TYPE_TINY, MYSQL_TYPE_SHORT, MYSQL_TYPE_INT24, MYSQL_TYPE_LONG: (type, name) = (.integer, "integer")
        case MYSQL_TYPE_YEAR: (type, name) = (.integer, "year")
        case MYSQL_TYPE_LONGLONG: (type, name) = (isUnsigned ? .unsigned : .integer, "bigint")
        case MYSQL_TYPE_BIT: (type, name) = (.bits(column.length), "bit")
        case MYSQL_TYPE_FLOAT:
            // The server prints six digits of a float; as a double it prints all there are.
            expression = "(\(quoted) + 0e0)"
            (type, name) = (.float32, "float")
        case MYSQL_TYPE_DOUBLE: (type, name) = (.float64, "double")
        case MYSQL_TYPE_DECIMAL, MYSQL_TYPE_NEWDECIMAL:
            let precision = column.length - (column.decimals > 0 ? 1 : 0) - (isUnsigned ? 0 : 1)
            (type, name) = (.decimal(precision: precision, scale: column.decimals), "decimal")
        case MYSQL_TYPE_DATE, MYSQL_TYPE_NEWDATE: (type, name) = (.date, "date")
        case MYSQL_TYPE_TIME: (type, name) = (.time, "time")
        case MYSQL_TYPE_DATETIME: (type, name) = (.datetime, "datetime")
        case MYSQL_TYPE_TIMESTAMP: (type, name) = (.timestamp, "timestamp")
        case MYSQL_TYPE_JSON: (type, name) = (.json, "json")
        // Four bytes of the SRID stand in front of the WKB.
        case MYSQL_TYPE_GEOMETRY: (type, name) = (.bytes(skipping: 4), "geometry")
        default:
            type = isBinary ? .bytes(skipping: 0) : .text
            if column.flags & enumeration != 0 {
                name = "enum"
            } else if column.flags & set != 0 {
                name = "set"
            } else {
                name = isBinary ? "binary" : "text"
            }
        }
        var described = SQLColumn(
            name: column.name, type: type, typeName: name, expression: expression, hasCollation: type == .text)
        switch name {
        case "binary": described.mostSortedBytes = column.length
        // Four bytes a character, each of which may weigh as much as eighteen of a collation's two-byte weights.
        case "text": described.mostSortedBytes = column.length / 4 * 36
        default: break
        }
        return described
    }
}
