internal import JSONBytes
internal import Spool

/// Reads the documents at or after the watermark less the lookback, in the order of (field, name), up to a bound fixed when the run began.
struct FirestoreIncrementalRead {
    let reader: FirestoreReader
    let field: String
    private var run: RunContext { reader.run }

    init(_ reader: FirestoreReader, field: String) {
        self.reader = reader
        self.field = field
    }

    /// Where the run stands, and its bounds.
    private struct Position: FirestorePosition {
        static let phase = "watermark"
        var bounds: WatermarkBounds
        var readTime: String
        /// Rows spooled before may lie further back than the spool's memory of recent rows reaches.
        var looksUp: Bool
        /// The last document stored, and its value.
        var value: String?
        var after: String?

        var json: JSONValue {
            func optional(_ text: String?) -> JSONValue { text.map(JSONValue.string) ?? .null }
            return .init([
                ("phase", .string(Self.phase)), ("class", .string(bounds.kind.rawValue)),
                ("readTime", .string(readTime)), ("lower", optional(bounds.lower)), ("upper", .string(bounds.upper)),
                ("looksUp", .bool(looksUp)), ("value", optional(value)), ("after", optional(after)),
            ])
        }

        init(bounds: WatermarkBounds, readTime: String, looksUp: Bool) {
            self.bounds = bounds
            self.readTime = readTime
            self.looksUp = looksUp
        }

        init?(_ json: JSONValue?) {
            guard let json, json["phase"]?.stringValue == Self.phase,
                let kind = json["class"]?.stringValue.flatMap(WatermarkClass.init(rawValue:)),
                let readTime = json["readTime"]?.stringValue, let upper = json["upper"]?.stringValue
            else { return nil }
            let bounds = WatermarkBounds(kind: kind, lower: json["lower"]?.stringValue, upper: upper)
            self.init(bounds: bounds, readTime: readTime, looksUp: json["looksUp"]?.boolValue ?? true)
            value = json["value"]?.stringValue
            after = json["after"]?.stringValue
        }

        func parsed(_ text: String?) -> WatermarkValue? {
            text.flatMap { WatermarkValue(text: $0, class: bounds.kind) }
        }
    }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        var position: Position
        if let kept = Position(run.position) {
            position = kept
            try await reader.checkClock(since: kept.readTime)
        } else {
            guard !run.isExhausted else { return false }
            let now = try await reader.freshReadTime()
            guard !now.isEmpty else {
                reader.warnNoDocuments()
                try await run.commit(RunContext.Progress())
                return true
            }
            switch try await FirestoreBounds(reader, field: field).fix(at: now.text) {
            case .outOfBudget:
                run.warn(
                    "max_reads_too_small",
                    "finding out where an incremental run begins and ends takes up to \(FirestoreBounds.mostReads) reads, and max_reads is \(run.stream.maximumReads)"
                )
                return false
            case .nothing:
                run.warn(
                    "watermark_empty",
                    "no document of \(reader.subject) has a value in \(field) that orders: a timestamp, a number or a string",
                    count: 0)
                try await run.commit(RunContext.Progress())
                try await FirestoreUnseen(reader, field: field).report(kind: nil, readTime: now.text)
                return true
            case .bounds(let bounds):
                position = Position(bounds: bounds, readTime: now.text, looksUp: reachesBehindMemory(bounds))
            }
            try await run.commit(RunContext.Progress(position: position.json))
        }
        if position.looksUp { try await run.lookUpSpooledRows() }
        let isComplete = try await reader.holdingTime(
            of: &position, rest: { _ in "the rest of the run" }, read: readRange)
        guard isComplete else { return false }
        let unseen = FirestoreUnseen(reader, field: field)
        if position.bounds.kind == .timestamp {
            try await unseen.reportFuture(after: position.bounds.upper, readTime: position.readTime)
        }
        try await unseen.report(kind: position.bounds.kind, readTime: position.readTime)
        return true
    }

    /// Rows at or below the old watermark may be in the spool; where the memory of recent rows does not reach, a temporary index serves.
    private func reachesBehindMemory(_ bounds: WatermarkBounds) -> Bool {
        guard let reach = run.state.recentFrom else { return true }
        guard let lower = bounds.lower.flatMap({ WatermarkValue(text: $0, class: bounds.kind) }) else { return true }
        return lower.sortKey.lexicographicallyPrecedes(reach)
    }

    // MARK: Documents

    private func readRange(_ position: inout Position) async throws -> Bool {
        let lane = FirestoreLane(FirestoreRange(after: position.after))
        let begun = position
        var last = begun.parsed(begun.value)
        func standing() -> Position {
            var standing = begun
            standing.value = last?.text
            standing.after = lane.after
            return standing
        }
        defer { position = standing() }
        // What lies beyond both was never spooled and is not looked up.
        let known = [run.state.watermark?.sortKey, run.spooledAhead].compactMap { $0 }
            .max { $0.lexicographicallyPrecedes($1) }
        let pump = FirestorePump(
            reader, lanes: [lane], readTime: position.readTime, mostPerQuery: run.options.documentsPerQuery,
            FirestorePump.Work(
                query: { query(begun, last, after: $0.after) },
                take: { document, path in last = try take(document, path, begun.bounds.kind, known: known) },
                passOver: { document in
                    if let watched = document.watched, begun.bounds.kind.includes(watched) {
                        last = WatermarkValue(watched)
                    }
                },
                isFull: { run.isPageFull },
                commit: { _ in try await commit(standing(), last) }))
        do {
            return try await pump.pump()
        } catch let error as ExtractError where error.kind == .configuration {
            // The values that the query begins and ends at may be longer than one can be asked for.
            let first = last.map { ($0.text, lane.after) } ?? (begun.bounds.lower ?? "", run.state.watermark?.key)
            for (text, document) in [first, (begun.bounds.upper, run.note("longest")?.stringValue)] {
                if let named = FirestoreBounds.tooLong(text, field: field, document: document) { throw named }
            }
            throw error
        }
    }

    private func query(_ position: Position, _ last: WatermarkValue?, after: String?) -> FirestoreQuery {
        var query = FirestoreQuery(reader.collection)
        query.fields = reader.projection
        let least = (last ?? position.parsed(position.bounds.lower))?.json ?? position.bounds.kind.least
        query.filter(field, "GREATER_THAN_OR_EQUAL", least)
        if let upper = position.parsed(position.bounds.upper) {
            query.filter(field, "LESS_THAN_OR_EQUAL", upper.json)
        }
        query.order(by: field)
        query.orderByName()
        if let last, let after { query.startAfter = [last.json, reader.reference(to: after)] }
        return query
    }

    private func take(
        _ document: FirestoreDocument, _ path: Range<Int>, _ kind: WatermarkClass, known: [UInt8]?
    ) throws -> WatermarkValue {
        guard let watched = document.watched, kind.includes(watched) else {
            throw ExtractError(
                .malformed, "\(reader.text(path)) came without a \(kind.rawValue) in \(field), which was asked for")
        }
        let value = WatermarkValue(watched)
        run.countRecord()
        var record = try reader.record(for: document, path: path)
        let sortKey = value.sortKey
        record.sortKey = sortKey.withUnsafeBytes(run.page.keep)
        record.mayRepeat = run.usesTemporaryIndex || known.map { !$0.lexicographicallyPrecedes(sortKey) } ?? false
        run.page.add(record)
        return value
    }

    private func commit(_ position: Position, _ last: WatermarkValue?) async throws {
        var progress = RunContext.Progress(position: position.json)
        if let last {
            // Inside the lookback window the watermark stays where it is.
            let isAhead = run.watermark.map { !last.sortKey.lexicographicallyPrecedes($0.sortKey) } ?? true
            if isAhead {
                progress.watermark = Watermark(value: last.text, key: position.after, sortKey: last.sortKey)
                progress.recentFloor = last.minus(run.stream.lookback).sortKey
            } else {
                progress.recentFloor = run.state.recentFrom
            }
        }
        try await run.commit(progress)
    }
}
