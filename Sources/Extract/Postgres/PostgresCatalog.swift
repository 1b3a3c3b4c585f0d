internal import Spool

/// Looks up what a stream reads in the server's catalogues: columns, their types down to the last attribute, the primary key.
struct PostgresCatalog {
    let connection: PostgresConnection
    private let grammar = PostgresGrammar()

    init(_ connection: PostgresConnection) { self.connection = connection }

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
            try checkExists(relation, name, from)
            primaryKey = try self.primaryKey(of: relation)
        }
        let columns = try connection.columns(
            of: "SELECT * FROM \(table.relation)", doing: "looking at \(table.subject)")
        let types = try types(of: Set(columns.map(\.type)))
        var names: Set<ExactText> = []
        for column in columns {
            guard names.insert(column.name.exact).inserted else {
                throw ExtractError(
                    .configuration, "\(table.subject) has two columns named \(column.name)",
                    hint: "give one of them another name with AS")
            }
            table.columns.append(
                SQLColumn(
                    name: column.name, type: type(column.type, modifier: column.modifier, types),
                    typeName: castName(column.type, types), expression: grammar.quoted(column.name),
                    hasCollation: types[column.type]?.hasCollation ?? false))
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

    private func checkExists(_ relation: String, _ name: SQLName, _ from: String) throws {
        let found = try connection.rows(
            of: "SELECT pg_catalog.to_regclass(\(PostgresGrammar.string(relation)))", doing: "looking for \(from)")
        if found.first?.first ?? nil != nil { return }
        let near = try connection.rows(
            of: """
                SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c
                JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
                    AND pg_catalog.lower(c.relname) = pg_catalog.lower(\(PostgresGrammar.string(name.table)))
                ORDER BY n.nspname LIMIT 3
                """, doing: "looking for \(from)")
        let names = near.compactMap { $0.first ?? nil }
        throw ExtractError(
            .configuration, "the table \(from) does not exist, or the user may not use its schema",
            at: .stream("from"),
            hint: names.isEmpty
                ? "check from: of the stream; names are taken as they are, in upper and lower case"
                : "did you mean \(names.joined(separator: " or "))? names are taken as they are, in upper and lower case"
        )
    }

    private func primaryKey(of relation: String) throws -> [String] {
        try connection.rows(
            of: """
                SELECT a.attname FROM pg_catalog.pg_index i
                CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                WHERE i.indrelid = \(PostgresGrammar.string(relation))::regclass AND i.indisprimary ORDER BY k.place
                """, doing: "looking up the primary key of \(relation)"
        ).compactMap { $0.first ?? nil }
    }

    // MARK: Types

    private struct TypeRecord {
        var name: String
        var kind: String
        var base: UInt32
        var baseModifier: Int32
        var element: UInt32
        var relation: UInt32
        var delimiter: UInt8
        var isArray: Bool
        /// As it can be cast to.
        var castName: String
        var hasCollation: Bool
        var attributes: [(name: String, type: UInt32, modifier: Int32)] = []
    }

    /// The types and all they are made of.
    private func types(of wanted: Set<UInt32>) throws -> [UInt32: TypeRecord] {
        var known: [UInt32: TypeRecord] = [:]
        var missing = wanted
        while !missing.isEmpty {
            let list = missing.map(String.init).joined(separator: ",")
            let rows = try connection.rows(
                of: """
                    SELECT t.oid, t.typname, t.typtype, t.typbasetype, t.typtypmod, t.typelem, t.typrelid, t.typdelim,
                        t.typlen = -1 AND t.typelem <> 0 AND t.typinput = 'pg_catalog.array_in'::pg_catalog.regproc,
                        pg_catalog.format_type(t.oid, -1), t.typcollation <> 0
                    FROM pg_catalog.pg_type t WHERE t.oid IN (\(list))
                    """, doing: "looking up types")
            missing = []
            for row in rows {
                guard row.count == 11, let oid = row[0].flatMap({ UInt32($0) }) else { continue }
                var record = TypeRecord(
                    name: row[1] ?? "", kind: row[2] ?? "", base: row[3].flatMap { UInt32($0) } ?? 0,
                    baseModifier: row[4].flatMap { Int32($0) } ?? -1, element: row[5].flatMap { UInt32($0) } ?? 0,
                    relation: row[6].flatMap { UInt32($0) } ?? 0, delimiter: row[7]?.utf8.first ?? UInt8(ascii: ","),
                    isArray: row[8] == "t", castName: row[9] ?? "text", hasCollation: row[10] == "t")
                if record.kind == "c" { record.attributes = try attributes(of: record.relation) }
                known[oid] = record
                if record.base != 0 { missing.insert(record.base) }
                if record.isArray { missing.insert(record.element) }
                missing.formUnion(record.attributes.map(\.type))
            }
            missing.subtract(known.keys)
            missing.remove(0)
        }
        return known
    }

    private func attributes(of relation: UInt32) throws -> [(name: String, type: UInt32, modifier: Int32)] {
        try connection.rows(
            of: """
                SELECT attname, atttypid, atttypmod FROM pg_catalog.pg_attribute
                WHERE attrelid = \(relation) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
                """, doing: "looking up the attributes of a type"
        ).compactMap { row in
            guard row.count == 3, let name = row[0], let type = row[1].flatMap({ UInt32($0) }) else { return nil }
            return (name, type, row[2].flatMap { Int32($0) } ?? -1)
        }
    }

    /// A domain's values are cast to what it is made of.
    private func castName(_ oid: UInt32, _ types: [UInt32: TypeRecord]) -> String {
        guard let record = types[oid] else { return "text" }
        return record.kind == "d" ? castName(record.base, types) : record.castName
    }

    private func type(
        _ oid: UInt32, modifier: Int32, _ types: [UInt32: TypeRecord], depth: Int = 0
    ) -> SQLType {
        guard let record = types[oid], depth < 32 else { return .text }
        if record.kind == "d" {
            return type(
                record.base, modifier: record.baseModifier >= 0 ? record.baseModifier : modifier, types,
                depth: depth + 1)
        }
        if record.isArray {
            let element = type(record.element, modifier: modifier, types, depth: depth + 1)
            return .array(element, delimiter: types[record.element]?.delimiter ?? UInt8(ascii: ","))
        }
        if record.kind == "c" {
            return .composite(
                record.attributes.map {
                    SQLAttribute(
                        name: $0.name, type: type($0.type, modifier: $0.modifier, types, depth: depth + 1))
                })
        }
        // Numbers of the built-in types are the same on every server (pg_type.dat).
        switch oid {
        case 16: return .bool
        case 20, 21, 23: return .integer
        case 700: return .float32
        case 701: return .float64
        case 1700: return Self.numeric(modifier)
        case 17: return .hexadecimal
        case 1082: return .date
        case 1083: return .time
        case 1114: return .datetime
        case 1184: return .timestamp
        case 114, 3802: return .json
        default: return .text
        }
    }

    /// Precision and scale are packed into the modifier (numeric.c: `((typmod - 4) >> 16) & 0xffff`, scale as 11 bits with a sign).
    private static func numeric(_ modifier: Int32) -> SQLType {
        guard modifier >= 4 else { return .decimal(fitsNumeric: false) }
        let packed = modifier - 4
        let scale = Int((packed & 0x7FF) ^ 1024) - 1024
        return .decimal(precision: Int(packed >> 16 & 0xFFFF), scale: scale)
    }
}
