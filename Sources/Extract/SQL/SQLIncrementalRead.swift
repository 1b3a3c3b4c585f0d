internal import JSONBytes
internal import Spool

/// Reads the rows at or after the watermark less the lookback, by (watermark, key) up to a bound that is fixed when the run begins.
struct SQLIncrementalRead {
    let reader: SQLReader
    let column: SQLColumn
    let kind: SQLWatermarkClass
    private var run: RunContext { reader.run }
    private var term: String { reader.grammar.term(column, bytewise: true) }
    /// True for values that the watermark can follow; nil where all can be.
    private var follows: String? { reader.grammar.isBelowInfinity(term, column) }

    /// - Throws: `ExtractError` of kind `.configuration` for a column whose type has no order that a watermark can have, or another one than
    ///   the kept watermark's.
    init(_ reader: SQLReader, column: SQLColumn) throws {
        self.reader = reader
        self.column = column
        guard let kind = SQLWatermarkClass(column.type) else {
            throw ExtractError(
                .configuration,
                "the watermark \(column.name) of stream \(reader.run.stream.name) has the type \(column.typeName), which can't be one",
                at: .stream("watermark"),
                hint: "a watermark is a number, a date or time with date, or a text; mode: changes needs none")
        }
        self.kind = kind
        let run = reader.run
        if run.watermark != nil, let kept = run.note("class")?.stringValue, kept != kind.rawValue {
            throw ExtractError(
                .configuration,
                "the position of stream \(run.stream.name) belongs to something else: kept \"watermark type: \(kept)\", now \"watermark type: \(kind.rawValue)\"",
                hint: "etlctl watermark reset \(run.stream.name) begins anew")
        }
        switch (kind.isTime, run.stream.lookback) {
        case (_, nil), (true, .duration): break
        case (false, .number) where kind != .text: break
        case (_, .duration(let duration)) where duration == .zero: break
        case (_, .number(let number)) where number == 0: break
        default:
            throw ExtractError(
                .configuration,
                "the lookback of stream \(run.stream.name) does not fit its watermark: \(column.name) has the type \(column.typeName)",
                at: .stream("lookback"),
                hint: "lookback is a duration such as 5m for times, a plain number for numbers, and nothing else")
        }
    }

    private struct Position {
        static let phase = "window"
        var lower: String?
        var upper: String
        /// Watermark and key of the last row stored.
        var value: String?
        var key: [String] = []

        var json: JSONValue {
            .init([
                ("phase", .string(Self.phase)), ("lower", lower.map(JSONValue.string) ?? .null),
                ("upper", .string(upper)), ("value", value.map(JSONValue.string) ?? .null),
                ("key", .array(key.map(JSONValue.string))),
            ])
        }
    }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        guard !run.isExhausted else { return false }
        var position: Position
        if let kept = run.position, kept["phase"]?.stringValue == Position.phase,
            let upper = kept["upper"]?.stringValue
        {
            position = Position(
                lower: kept["lower"]?.stringValue, upper: upper, value: kept["value"]?.stringValue,
                key: kept["key"]?.arrayValue?.compactMap(\.stringValue) ?? [])
        } else {
            guard let begun = try await begin() else { return true }
            position = begun
        }
        try await prepareLookups(position)
        guard try await readRows(&position) else { return false }
        try await finish()
        return true
    }

    // MARK: Bounds

    private func begin() async throws -> Position? {
        var conditions = ["\(term) IS NOT NULL"]
        // A date in the far future must not end the stream: such rows wait for their time.
        if let latest = reader.grammar.latest(kind) { conditions.append("\(term) <= \(latest)") }
        if let follows { conditions.append(follows) }
        let largest = try await reader.session.firstRow(
            of:
                "SELECT \(column.expression) FROM \(reader.table.relation) WHERE \(conditions.joined(separator: " AND ")) ORDER BY \(term) DESC LIMIT 1"
        )
        guard let text = largest?.first ?? nil else {
            run.warn("watermark_empty", "no row of \(reader.table.subject) has a value in \(column.name)", count: 0)
            try await run.commit(RunContext.Progress())
            try await finish()
            return nil
        }
        try await run.keepNote("class", .string(kind.rawValue))
        var position = Position(upper: SQLWatermarkValue.form(text, kind))
        if let kept = run.state.watermark {
            guard let value = SQLWatermarkValue(kept.value, kind) else {
                throw ExtractError(
                    .configuration,
                    "the kept watermark \"\(kept.value)\" of stream \(run.stream.name) is no value that \(column.name) (\(column.typeName)) can have",
                    hint: "etlctl watermark reset \(run.stream.name) begins anew")
            }
            position.lower = value.minus(run.stream.lookback).text
        }
        try await run.commit(RunContext.Progress(position: position.json))
        return position
    }

    /// Rows at or below the old watermark may be in the spool; where the memory of recent rows does not reach, a temporary index serves.
    private func prepareLookups(_ position: Position) async throws {
        if let value = position.value.flatMap({ SQLWatermarkValue($0, kind) }), !reader.hasKey {
            // Without a key the last value is read again whole, so its rows are counted again.
            try await run.store.forgetEqualRows(stream: run.state.number, from: value.sortKey)
        }
        let from = position.value ?? position.lower
        let lower = from.flatMap { SQLWatermarkValue($0, kind) }?.sortKey ?? []
        if let reach = run.state.recentFrom, !lower.lexicographicallyPrecedes(reach) { return }
        try await run.lookUpSpooledRows()
    }

    // MARK: Rows

    private func readRows(_ position: inout Position) async throws -> Bool {
        if position.value != nil { try await reader.checkKey() }
        let place = Place(position, repeatsTo: run.spooledUpTo)
        defer { position = place.position }
        let pump = SQLPump(
            reader, sessions: [reader.session], ranges: [SQLRange()],
            SQLPump.Work(
                query: { _ in query(place.position) }, add: { try add($0, $1, place) },
                commit: { _, isLast in
                    note(place)
                    try await commit(place, isLast: isLast)
                }))
        return try await pump.pump()
    }

    private final class Place {
        var position: Position
        /// Rows up to here may have been spooled before.
        let repeatsTo: [UInt8]?
        var value: SQLWatermarkValue?
        var rawValue: [UInt8] = []
        var last: (chunk: SQLChunk, row: Int)?

        init(_ position: Position, repeatsTo: [UInt8]?) {
            self.position = position
            self.repeatsTo = repeatsTo
        }
    }

    private func query(_ position: Position) -> String {
        let columns = [column] + reader.keyPositions
        var conditions: [String] = []
        func literal(_ text: String) -> String { reader.grammar.literal(text, of: column) }
        if let value = position.value {
            conditions.append("\(term) >= \(literal(value))")
            if reader.hasKey, !position.key.isEmpty {
                conditions.append(reader.isAfter([value] + position.key, of: columns, bytewiseFirst: true))
            }
        } else if let lower = position.lower {
            conditions.append("\(term) >= \(literal(lower))")
        }
        conditions.append("\(term) <= \(literal(position.upper))")
        return reader.select(where: conditions, order: [term] + reader.keyTerms)
    }

    private func add(_ chunk: SQLChunk, _ row: Int, _ place: Place) throws {
        guard let text = reader.watermarkText(chunk, row) else { return }
        if place.value == nil || !text.elementsEqual(place.rawValue) {
            place.rawValue = [UInt8](text)
            let form = SQLWatermarkValue.form(String(decoding: text, as: UTF8.self), kind)
            guard let value = SQLWatermarkValue(form, kind) else {
                throw ExtractError(
                    .malformed, "\(column.name) of \(reader.table.subject) has a value that can't be read: \(form)")
            }
            place.value = value
        }
        guard let value = place.value else { return }
        var record = try reader.record(chunk, row, scope: value.sortKey)
        record.sortKey = value.sortKey.withUnsafeBytes(run.page.keep)
        let wasReached = place.repeatsTo.map { !$0.lexicographicallyPrecedes(value.sortKey) } ?? false
        record.mayRepeat = run.usesTemporaryIndex || wasReached
        run.page.add(record)
        place.last = (chunk, row)
    }

    private func note(_ place: Place) {
        guard let value = place.value, let last = place.last, last.row < last.chunk.rows else { return }
        place.position.value = value.text
        place.position.key = reader.keyValues(last.chunk, last.row)
    }

    private func commit(_ place: Place, isLast: Bool) async throws {
        var progress = RunContext.Progress(position: place.position.json)
        if let value = place.position.value.flatMap({ SQLWatermarkValue($0, kind) }) {
            // Inside the lookback window the watermark stays where it is.
            let isAhead = run.watermark.map { !value.sortKey.lexicographicallyPrecedes($0.sortKey) } ?? true
            if isAhead {
                progress.watermark = Watermark(
                    value: value.text,
                    key: place.position.key.isEmpty ? nil : place.position.key.joined(separator: ", "),
                    sortKey: value.sortKey)
                progress.recentFloor = value.minus(run.stream.lookback).sortKey
            } else {
                progress.recentFloor = run.state.recentFrom
            }
        }
        try await reader.commit(progress, isLast: isLast)
    }

    // MARK: What the watermark can't see

    private func finish() async throws {
        if let latest = reader.grammar.latest(kind), let future = try await count("\(term) > \(latest)"), future > 0 {
            run.warn(
                "watermark_future", "\(future) rows have a \(column.name) later than now; they wait for their time",
                count: future)
        }
        try await countUnseen()
    }

    /// Counts at most once a day; repeats the last figure otherwise.
    private func countUnseen() async throws {
        let now = run.options.clock()
        var unseen = run.note("unseen")?.intValue.map(Int.init)
        let countedAt = run.note("unseen_at")?.intValue.map(Timestamp.init(microseconds:))
        let isDue = countedAt.map { now.since($0) >= .seconds(86_400) || now < $0 } ?? true
        let isUnseen = "\(term) IS NULL" + (follows.map { " OR NOT (\($0))" } ?? "")
        if isDue, let counted = try await count(isUnseen) {
            unseen = counted
            try await run.keepNote("unseen", .number(String(counted)))
            try await run.keepNote("unseen_at", .number(String(now.microseconds)))
        }
        guard let unseen, unseen > 0 else { return }
        let lack = follows == nil ? "no \(column.name)" : "no \(column.name), or NaN or infinity in it,"
        run.warn(
            "watermark_unseen",
            "\(unseen) rows of \(reader.table.subject) have \(lack) and are never read by this stream; mode: changes reads every row",
            count: unseen)
    }

    /// Nil, with a warning, when counting fails: a count never fails a run.
    private func count(_ condition: String) async throws -> Int? {
        do {
            let row = try await reader.session.firstRow(
                of: "SELECT count(*) FROM \(reader.table.relation) WHERE \(condition)")
            return row?.first?.flatMap { Int($0) }
        } catch let error as ExtractError {
            run.warn("count_failed", "rows could not be counted: \(error)")
            return nil
        }
    }
}
