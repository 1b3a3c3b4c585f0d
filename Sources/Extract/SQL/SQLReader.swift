internal import JSONBytes
internal import Spool

/// What the ways of reading a table share: the columns, the key, and how a row becomes a record of the page.
///
/// Not `Sendable`: it belongs to the run's task.
final class SQLReader {
    let run: RunContext
    let session: any SQLSession
    let table: SQLTable
    /// The columns that make up the key; empty without one.
    let key: [SQLColumn]
    /// What stands for them in a position, and is ordered by.
    let keyPositions: [SQLColumn]
    let watermark: SQLColumn?
    /// What is read, in the order of the columns' names, which is the order of a row.
    private let fetched: [SQLColumn]
    /// The page's number of each fetched column's field; -1 for one that is read for the key alone.
    private let fields: [Int]
    /// Their types once more: a column's names need not be counted references for every value.
    private let types: [SQLType]
    private let keyPlaces: [Int]
    /// Where the values of `keyPositions` stand.
    private let positionPlaces: [Int]
    private let watermarkPlace: Int?
    private let normalizer: SQLNormalizer
    private let scratch = ByteBuffer(capacity: 256)
    /// Of the range whose rows are handled.
    var lastKey = SQLLastKey()
    /// What a session is told before it sorts; nil for nothing.
    var sorting: String?
    private var invalidTexts = 0
    private let connect: () async throws -> any SQLSession
    /// Connections besides the first.
    private var others: [any SQLSession] = []

    init(
        run: RunContext, session: any SQLSession, table: SQLTable, connect: @escaping () async throws -> any SQLSession
    ) throws {
        self.run = run
        self.session = session
        self.table = table
        self.connect = connect
        let stream = run.stream
        let resolver = SQLColumnResolver(table: table, stream: stream)
        key = try (stream.key.isEmpty ? table.primaryKey : stream.key).map { try resolver.column($0, "key") }
        keyPositions = key.map(session.grammar.position)
        watermark =
            stream.mode == .incremental ? try stream.watermark.map { try resolver.column($0, "watermark") } : nil
        try resolver.checkSelection()
        var fetched: [(column: SQLColumn, field: Int)] = []
        let needed = Set(key.map(\.name.exact))
        for column in table.columns {
            let field = Array(column.name.utf8).withUnsafeBytes { run.page.fields.number(of: $0) }
            if column.name.exact == watermark?.name.exact { run.page.fields.select(field) }
            let isSelected = run.page.fields.fields[field].isSelected
            guard isSelected || needed.contains(column.name.exact) else { continue }
            fetched.append((column, isSelected ? field : -1))
        }
        fetched.sort {
            ColumnNaming.sanitized($0.column.name).utf8.lexicographicallyPrecedes(
                ColumnNaming.sanitized($1.column.name).utf8)
        }
        var columns = fetched.map(\.column)
        keyPlaces = key.compactMap { part in columns.firstIndex { $0.name.exact == part.name.exact } }
        var positionPlaces = keyPlaces
        for index in key.indices where key[index].expression != keyPositions[index].expression {
            positionPlaces[index] = columns.count
            columns.append(keyPositions[index])
            fetched.append((keyPositions[index], -1))
        }
        self.positionPlaces = positionPlaces
        self.fetched = columns
        fields = fetched.map(\.field)
        types = columns.map(\.type)
        watermarkPlace = watermark.flatMap { part in columns.firstIndex { $0.name.exact == part.name.exact } }
        normalizer = SQLNormalizer(nestsAsJSON: stream.nestsAsJSON)
    }

    var grammar: any SQLGrammar { session.grammar }
    var hasKey: Bool { !key.isEmpty }
    /// Cells in a row.
    var width: Int { fetched.count }
    var keyTerms: [String] { keyPositions.map { grammar.term($0, bytewise: false) } }

    /// The first of the three parts of an identity without a key.
    private var place: String { run.stream.from ?? run.stream.name }

    // MARK: Statements

    func select(where conditions: [String], order: [String]) -> String {
        select(fetched, where: conditions, order: order)
    }

    func select(_ columns: [SQLColumn], where conditions: [String], order: [String]) -> String {
        var text = "SELECT \(columns.map(\.expression).joined(separator: ", ")) FROM \(table.relation)"
        if !conditions.isEmpty { text += " WHERE " + conditions.map { "(\($0))" }.joined(separator: " AND ") }
        if !order.isEmpty { text += " ORDER BY " + order.joined(separator: ", ") }
        return text
    }

    /// The condition for rows behind the one with these values.
    func isAfter(_ values: [String], of columns: [SQLColumn], bytewiseFirst: Bool = false) -> String {
        let terms = columns.enumerated().map { grammar.term($1, bytewise: bytewiseFirst && $0 == 0) }
        return grammar.isAfter(terms, zip(values, columns).map { grammar.literal($0, of: $1) })
    }

    /// The condition for rows of a range that have not been read.
    func isWithin(_ range: SQLRange) -> [String] {
        var conditions: [String] = []
        if let after = range.after { conditions.append(isAfter(after, of: keyPositions)) }
        if let through = range.through {
            conditions.append(grammar.isUpTo(keyTerms, zip(through, keyPositions).map { grammar.literal($0, of: $1) }))
        }
        return conditions
    }

    /// The first row of a query for these columns; nil without one.
    func firstRow(of query: String, _ columns: [SQLColumn]) async throws -> [String]? {
        let chunk = SQLChunk(width: columns.count)
        try await session.open(query, width: columns.count)
        try await session.fetch(into: chunk)
        guard chunk.rows > 0 else { return nil }
        let texts = columns.indices.map { place in
            chunk.cell(0, place).map { keyText($0, columns[place].type) } ?? "NULL"
        }
        while chunk.rows > 0 { try await session.fetch(into: chunk) }
        return texts
    }

    // MARK: Connections

    /// Begins one snapshot for so many readers, this one's connection among them; of fewer where the server can't give several the same.
    func beginSnapshot(readers: Int) async throws -> [any SQLSession] {
        while others.count + 1 < readers {
            let other = try await connect()
            others.append(other)
            if let sorting { _ = try await other.firstRow(of: sorting) }
        }
        if try await session.beginSnapshot(with: others, of: table) { return [session] + others }
        run.warn(
            "one_reader",
            "parallel: \(readers) needs one moment for all readers, which \(table.subject) can't be read at: one reader read it"
        )
        await closeOthers()
        return [session]
    }

    func endSnapshot() async throws {
        for session in [session] + others { try await session.endSnapshot() }
        await closeOthers()
    }

    func close() async {
        await closeOthers()
        await session.close()
    }

    private func closeOthers() async {
        for session in others { await session.close() }
        others.removeAll()
    }

    // MARK: Rows

    /// Makes a record of a row, its identity and values; the caller completes and adds it.
    ///
    /// - Throws: `ExtractError` of kind `.configuration` for a key that is null, or the same as the row's before.
    func record(_ chunk: SQLChunk, _ row: Int, scope: [UInt8] = []) throws -> PageBuilder.Record {
        let page = run.page
        let firstSlot = page.slots.count
        let firstRescue = page.rescues.count
        let values = page.values
        for place in fields.indices {
            let field = fields[place]
            guard field >= 0 else { continue }
            let start = values.count
            guard let text = chunk.cell(row, place) else {
                values.append("null")
                page.addSlot(field: field, type: .null, from: start)
                continue
            }
            if let type = normalizer.append(text, types[place], to: values) {
                page.addSlot(field: field, type: type, from: start)
            } else {
                values.append("null")
                page.addSlot(field: field, type: .null, from: start)
                rescue(text, place, chunk, row)
            }
        }
        run.countRecord()
        var record = PageBuilder.Record(
            slots: firstSlot..<page.slots.count, version: 0..<0, identity: try identity(chunk, row))
        record.rescues = firstRescue..<page.rescues.count
        record.hashesFields = true
        if hasKey {
            record.id = record.identity
        } else {
            record.countScope = scope.withUnsafeBytes(page.keep)
        }
        return record
    }

    private func rescue(_ text: UnsafeRawBufferPointer, _ place: Int, _ chunk: SQLChunk, _ row: Int) {
        if isValidUTF8(text) { return run.page.rescue(field: fields[place], text: text) }
        scratch.removeAll()
        appendHexadecimal(text, to: scratch)
        run.page.rescue(field: fields[place], text: scratch.bytes)
        guard fetched[place].type.isText else { return }
        invalidTexts += 1
        guard invalidTexts == 1 else {
            return run.warn("invalid_text", firstInvalid + "; they are in _rescued as hexadecimal", count: invalidTexts)
        }
        let key =
            hasKey ? keyPlaces.map { cellText(chunk, row, $0) }.joined(separator: ", ") : "unknown (no key)"
        firstInvalid =
            "texts of \(table.subject) are no valid UTF-8, first \(fetched[place].name) of the row with the key \(key)"
        run.warn("invalid_text", firstInvalid + "; they are in _rescued as hexadecimal", count: 1)
    }

    private var firstInvalid = ""

    private func appendHexadecimal(_ bytes: UnsafeRawBufferPointer, to target: ByteBuffer) {
        target.append("\\x")
        target.append(hexadecimal: bytes)
    }

    /// The key's text as in `_id`: one part's text, several as a JSON array; without a key the place of the rows.
    private func identity(_ chunk: SQLChunk, _ row: Int) throws -> Range<Int> {
        let values = run.page.values
        let start = values.count
        guard hasKey else {
            values.append(place)
            return start..<values.count
        }
        if keyPlaces.count > 1 { values.append(UInt8(ascii: "[")) }
        for (index, place) in keyPlaces.enumerated() {
            guard let text = chunk.cell(row, place) else {
                throw ExtractError(
                    .configuration,
                    "the key of stream \(run.stream.name) is not unique: a row of \(table.subject) has no value in \(fetched[place].name)",
                    at: .stream("key"), hint: "set key: to columns without nulls")
            }
            let type = fetched[place].type
            guard keyPlaces.count > 1 else {
                appendPlain(text, type, to: values)
                break
            }
            if index > 0 { values.append(UInt8(ascii: ",")) }
            if !normalizer.appendNested(text, type, to: values, depth: 0) {
                scratch.removeAll()
                appendHexadecimal(text, to: scratch)
                values.appendJSONString(scratch.bytes)
            }
        }
        if keyPlaces.count > 1 { values.append(UInt8(ascii: "]")) }
        try checkUnique(start..<values.count)
        return start..<values.count
    }

    /// The value's text: of a JSON string what it holds, else the JSON itself.
    private func appendPlain(_ text: UnsafeRawBufferPointer, _ type: SQLType, to values: ByteBuffer) {
        if type.isText {
            if isValidUTF8(text) { values.append(text) } else { appendHexadecimal(text, to: values) }
            return
        }
        scratch.removeAll()
        guard normalizer.append(text, type, to: scratch) != nil else {
            if isValidUTF8(text) { values.append(text) } else { appendHexadecimal(text, to: values) }
            return
        }
        if scratch.base[0] == UInt8(ascii: "\"") {
            values.appendDecoded(scratch.bytes(1..<scratch.count - 1))
        } else {
            values.append(scratch)
        }
    }

    private func checkUnique(_ identity: Range<Int>) throws {
        let bytes = run.page.values.bytes(identity)
        guard !lastKey.isNew(bytes) else { return }
        throw ExtractError.repeatedKey(String(decoding: bytes, as: UTF8.self), stream: run.stream)
    }

    /// A row's place in the order of the key: the server's texts of `keyPositions`.
    func keyValues(_ chunk: SQLChunk, _ row: Int) -> [String] { positionPlaces.map { cellText(chunk, row, $0) } }

    private func cellText(_ chunk: SQLChunk, _ row: Int, _ place: Int) -> String {
        chunk.cell(row, place).map { keyText($0, fetched[place].type) } ?? ""
    }

    /// Raw bytes stand in a position as hexadecimal.
    private func keyText(_ text: UnsafeRawBufferPointer, _ type: SQLType) -> String {
        if type.isRawBytes {
            scratch.removeAll()
            scratch.append(hexadecimal: text)
            return scratch.string
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The watermark of a row; nil for null.
    func watermarkText(_ chunk: SQLChunk, _ row: Int) -> UnsafeRawBufferPointer? {
        watermarkPlace.flatMap { chunk.cell(row, $0) }
    }

    // MARK: Commit

    /// Stores the page; while rows are left to read, beside the reading. While the spool is full, no transaction is left open on the
    /// server: the connections are given up.
    ///
    /// - Throws: `SQLPause` after the page is stored, if the connections were given up.
    func commit(_ progress: RunContext.Progress, isLast: Bool) async throws {
        if isLast { return try await run.commit(progress) }
        var isPaused = false
        try await run.commitBeside(progress) {
            isPaused = true
            await self.close()
        }
        guard isPaused else { return }
        try await run.settleCommits()
        throw SQLPause()
    }
}

/// Reading goes on with a new connection.
struct SQLPause: Error {}

extension SQLType {
    var isText: Bool { self == .text }

    /// Cells are bytes, not text.
    var isRawBytes: Bool {
        switch self {
        case .bytes, .bits: true
        default: false
        }
    }
}
