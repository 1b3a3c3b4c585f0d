/// What a column's values are, by how their text becomes JSON; both servers' types come down to these.
enum SQLType: Sendable, Equatable {
    /// `t` or `f`.
    case bool
    /// An integer of at most 64 bits with a sign.
    case integer
    /// An integer that INT64 can't hold: NUMERIC, always a decimal string.
    case unsigned
    /// Bits as big-endian bytes: one of them a BOOL, up to 63 an INT64, 64 a NUMERIC.
    case bits(Int)
    case float32
    case float64
    /// `fitsNumeric`: precision and scale are declared and NUMERIC holds them; otherwise BIGNUMERIC.
    case decimal(fitsNumeric: Bool)
    case text
    /// `\x` and hexadecimal digits.
    case hexadecimal
    /// The bytes themselves, less so many at the front.
    case bytes(skipping: Int)
    case date
    case time
    /// Without zone: DATETIME.
    case datetime
    /// UTC: TIMESTAMP.
    case timestamp
    case json
    indirect case array(SQLType, delimiter: UInt8)
    /// In the order of its text.
    case composite([SQLAttribute])

    /// NUMERIC holds 29 digits before the point and 9 after it (data types page).
    static func decimal(precision: Int, scale: Int) -> SQLType {
        .decimal(fitsNumeric: scale <= 9 && precision - scale <= 29)
    }
}

/// One attribute of a composite type.
struct SQLAttribute: Sendable, Equatable {
    var name: String
    var type: SQLType
}

/// A column of what a stream reads.
struct SQLColumn: Sendable {
    var name: String
    var type: SQLType
    /// The server's word for the type, for messages and casts.
    var typeName: String
    /// What stands in the list of the SELECT; it ends up under the column's place.
    var expression: String
    /// True if its order is a collation's.
    var hasCollation = false
    /// The most bytes that the server may have to compare to sort by it; 0 for types whose values it always sorts whole.
    var mostSortedBytes = 0
}

/// What a stream reads, as the server knows it.
struct SQLTable: Sendable {
    /// What stands behind FROM.
    var relation: String
    /// For messages: the table's name or "the query".
    var subject: String
    var columns: [SQLColumn]
    /// Names of the primary key's columns; empty without one, and for a query.
    var primaryKey: [String]
    var isQuery = false
}
