internal import JSONBytes
internal import Spool
internal import Transport

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
    private struct Position {
        static let phase = "watermark"
        var kind: WatermarkClass
        var readTime: String
        var lower: String?
        var upper: String
        var value: String?
        var after: String?

        var json: JSONValue {
            func optional(_ text: String?) -> JSONValue { text.map(JSONValue.string) ?? .null }
            return .init([
                ("phase", .string(Self.phase)), ("class", .string(kind.rawValue)), ("readTime", .string(readTime)),
                ("lower", optional(lower)), ("upper", .string(upper)), ("value", optional(value)),
                ("after", optional(after)),
            ])
        }
    }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        guard !run.isExhausted || run.position != nil else { return false }
        var position: Position
        if let kept = parse(run.position) {
            position = kept
        } else {
            let now = try await reader.freshReadTime()
            guard !now.isEmpty else {
                run.warn("no_documents", "\(reader.subject) holds no documents; is the name right?", count: 0)
                try await run.commit(RunContext.Progress())
                return true
            }
            guard let begun = try await begin(at: now.text) else {
                run.warn(
                    "watermark_empty", "no document of \(reader.subject) has a value in \(field) that orders", count: 0)
                try await run.commit(RunContext.Progress())
                try await countUnseen(readTime: now.text, kind: nil)
                return true
            }
            position = begun
            try await run.commit(RunContext.Progress(position: position.json))
        }
        try await prepareLookups(position)
        while true {
            do {
                guard try await readPages(&position) else { return false }
                break
            } catch let error as ExtractError where error.isExpiredReadTime {
                position.readTime = try await reader.freshReadTime().text
                reader.warnReadTimeExpired()
                try await run.commit(RunContext.Progress(position: position.json))
            }
        }
        try await finish(position)
        return true
    }

    private func parse(_ json: JSONValue?) -> Position? {
        guard let json, json["phase"]?.stringValue == Position.phase,
            let kind = json["class"]?.stringValue.flatMap(WatermarkClass.init(rawValue:)),
            let readTime = json["readTime"]?.stringValue, let upper = json["upper"]?.stringValue
        else { return nil }
        return Position(
            kind: kind, readTime: readTime, lower: json["lower"]?.stringValue, upper: upper,
            value: json["value"]?.stringValue, after: json["after"]?.stringValue)
    }

    // MARK: Bounds

    /// Fixes the run's bounds; nil if no document has a value that orders.
    private func begin(at readTime: String) async throws -> Position? {
        guard let kind = try await watermarkClass(readTime: readTime) else { return nil }
        let upper: String
        switch kind {
        case .timestamp:
            // A date in the far future must not end the stream: such documents wait for their time.
            upper = readTime
        case .number, .string:
            guard let largest = try await largest(kind, readTime: readTime) else { return nil }
            upper = largest.text
        }
        var lower: String?
        if let kept = run.state.watermark {
            guard let value = WatermarkValue(text: kept.value, class: kind) else {
                throw ExtractError(
                    .configuration,
                    "the kept watermark \"\(kept.value)\" of stream \(run.stream.name) is no \(kind.rawValue), but \(field) is",
                    hint: "etlctl watermark reset \(run.stream.name) begins anew")
            }
            lower = value.minus(run.stream.lookback).text
        }
        return Position(kind: kind, readTime: readTime, lower: lower, upper: upper)
    }

    /// The pinned type's class, else the kept one, else timestamp if any document has one, else number, else string.
    private func watermarkClass(readTime: String) async throws -> WatermarkClass? {
        let column = run.stream.rename[ColumnNaming.sanitized(field)] ?? ColumnNaming.sanitized(field)
        let kept = note("class")?.stringValue.flatMap(WatermarkClass.init(rawValue:))
        if let type = run.stream.types[column] {
            guard let pinned = WatermarkClass(pinned: type) else {
                throw ExtractError(
                    .configuration,
                    "the watermark \(field) of stream \(run.stream.name) is pinned to \(type), which does not order in Firestore",
                    hint: "pin it to TIMESTAMP, INT64, FLOAT64 or STRING, or use mode: changes")
            }
            if let kept, kept != pinned, run.state.watermark != nil {
                throw ExtractError(
                    .configuration,
                    "the position of stream \(run.stream.name) belongs to something else: kept \"watermark type: \(kept.rawValue)\", configured \"watermark type: \(pinned.rawValue)\"",
                    hint: "etlctl watermark reset \(run.stream.name) begins anew")
            }
            try await keep("class", .string(pinned.rawValue))
            return pinned
        }
        if let kept { return kept }
        for kind in [WatermarkClass.timestamp, .number, .string] {
            var query = FirestoreQuery(reader.collection)
            query.isKeysOnly = true
            query.filter(field, "GREATER_THAN_OR_EQUAL", kind.least)
            query.order(by: field)
            query.limit = 1
            let found = try await reader.client.elements(of: query, readTime: readTime)
            run.countReads(1)
            if found.contains(where: { $0["document"] != nil }) {
                try await keep("class", .string(kind.rawValue))
                return kind
            }
        }
        return nil
    }

    private func largest(_ kind: WatermarkClass, readTime: String) async throws -> WatermarkValue? {
        var query = FirestoreQuery(reader.collection)
        query.fields = [field]
        query.filter(field, "GREATER_THAN_OR_EQUAL", kind.least)
        query.order(by: field, descending: true)
        query.limit = 1
        let found = try await reader.client.elements(of: query, readTime: readTime)
        run.countReads(1)
        guard let document = found.compactMap({ $0["document"] }).first,
            let member = document["fields"]?[field]?.objectValue?.first
        else { return nil }
        let text = member.value.stringValue
        switch member.name {
        case "integerValue": return text.flatMap(Int64.init).map { WatermarkValue(.integer($0)) }
        case "doubleValue":
            guard let double = member.value.doubleValue else { return nil }
            return WatermarkValue(.double(double))
        case "stringValue": return text.map { WatermarkValue(.string(Array($0.utf8))) }
        default: return nil
        }
    }

    /// Rows at or below the old watermark may be in the spool; where the memory of recent rows does not reach, a temporary index serves.
    private func prepareLookups(_ position: Position) async throws {
        let reach = run.state.recentFrom
        let lower = position.lower.flatMap { WatermarkValue(text: $0, class: position.kind) }?.sortKey ?? []
        if let reach, !lower.lexicographicallyPrecedes(reach) { return }
        try await run.lookUpSpooledRows()
    }

    // MARK: Pages

    private func readPages(_ position: inout Position) async throws -> Bool {
        guard var wanted = limit() else { return false }
        let client = reader.client
        var response = try await client.runQuery(query(position, limit: wanted), readTime: position.readTime)
        while true {
            let received = try await readAnswer(response, &position)
            let isLast = received < wanted
            let next = isLast ? nil : limit()
            note(&position)
            guard let next else {
                try await commit(&position)
                return isLast
            }
            wanted = next
            let (query, readTime) = (query(position, limit: next), position.readTime)
            async let following = client.runQuery(query, readTime: readTime)
            try await commit(&position)
            response = try await following
        }
    }

    private func limit() -> Int? {
        guard let remaining = run.remainingReads else { return FirestoreReader.documentsPerQuery }
        return remaining > 0 ? min(remaining, FirestoreReader.documentsPerQuery) : nil
    }

    private func query(_ position: Position, limit: Int) -> FirestoreQuery {
        var query = FirestoreQuery(reader.collection)
        query.fields = reader.projection
        let lower = position.value ?? position.lower
        let least = lower.flatMap { WatermarkValue(text: $0, class: position.kind)?.json } ?? position.kind.least
        query.filter(field, "GREATER_THAN_OR_EQUAL", least)
        if let upper = WatermarkValue(text: position.upper, class: position.kind) {
            query.filter(field, "LESS_THAN_OR_EQUAL", upper.json)
        }
        query.order(by: field)
        query.orderByName()
        if let value = position.value.flatMap({ WatermarkValue(text: $0, class: position.kind) }),
            let after = position.after
        {
            query.startAfter = [
                value.json, .init([("referenceValue", .string(reader.client.root + "/" + after))]),
            ]
        }
        query.limit = limit
        return query
    }

    private func readAnswer(_ response: HTTPStreamedResponse, _ position: inout Position) async throws -> Int {
        let place = Place(position.value.flatMap { WatermarkValue(text: $0, class: position.kind) })
        defer { if let value = place.value { position.value = value.text } }
        do {
            return try await reader.read(response) { document in
                let path = try reader.path(of: document.name)
                guard let watched = document.watched, watched != .other else {
                    throw ExtractError(.malformed, "\(reader.text(path)) came without a value in \(field) that orders")
                }
                let value = WatermarkValue(watched)
                if reader.belongs(path) { try add(document, path, value, position.kind) }
                reader.passed(path)
                place.value = value
                if run.isPageFull {
                    position.value = value.text
                    try await commit(&position)
                }
            }
        } catch {
            if (error as? ExtractError)?.isTransient ?? false {
                if let value = place.value { position.value = value.text }
                try await commit(&position)
            }
            throw error
        }
    }

    private final class Place {
        var value: WatermarkValue?
        init(_ value: WatermarkValue?) { self.value = value }
    }

    private func note(_ position: inout Position) {
        if let last = reader.lastPath { position.after = last }
    }

    private func add(
        _ document: FirestoreDocument, _ path: Range<Int>, _ value: WatermarkValue, _ kind: WatermarkClass
    ) throws {
        run.countRecord()
        var record = try reader.record(for: document, path: path)
        let sortKey = value.sortKey
        record.sortKey = sortKey.withUnsafeBytes(run.page.keep)
        if run.usesTemporaryIndex {
            record.mayRepeat = true
        } else if let kept = run.state.watermark {
            record.mayRepeat = !kept.sortKey.lexicographicallyPrecedes(sortKey)
        }
        run.page.add(record)
    }

    private func commit(_ position: inout Position) async throws {
        note(&position)
        var progress = RunContext.Progress(position: position.json)
        if let value = position.value.flatMap({ WatermarkValue(text: $0, class: position.kind) }) {
            // Inside the lookback window the watermark stays where it is.
            let isAhead = run.watermark.map { !value.sortKey.lexicographicallyPrecedes($0.sortKey) } ?? true
            if isAhead {
                progress.watermark = Watermark(value: value.text, key: position.after, sortKey: value.sortKey)
                progress.recentFloor = value.minus(run.stream.lookback).sortKey
            } else {
                progress.recentFloor = run.state.recentFrom
            }
        }
        try await run.commit(progress)
    }

    // MARK: What the watermark can't see

    private func finish(_ position: Position) async throws {
        if position.kind == .timestamp {
            var query = FirestoreQuery(reader.collection)
            query.filter(field, "GREATER_THAN", .init([("timestampValue", .string(position.upper))]))
            if let future = try await count(query, readTime: position.readTime), future > 0 {
                run.warn(
                    "watermark_future",
                    "\(future) documents have a \(field) later than now; they wait for their time", count: future)
            }
        }
        try await countUnseen(readTime: position.readTime, kind: position.kind)
    }

    /// Counts at most once a day; repeats the last figure otherwise.
    private func countUnseen(readTime: String, kind: WatermarkClass?) async throws {
        let now = run.options.clock()
        var unseen = note("unseen")?.intValue.map(Int.init)
        let countedAt = note("unseen_at")?.intValue.map(Timestamp.init(microseconds:))
        let isDue = countedAt.map { now.since($0) >= .seconds(86_400) || now < $0 } ?? true
        if isDue, let total = try await count(FirestoreQuery(reader.collection), readTime: readTime) {
            var visible: Int? = 0
            if let kind {
                var query = FirestoreQuery(reader.collection)
                query.filter(field, "GREATER_THAN_OR_EQUAL", kind.least)
                visible = try await count(query, readTime: readTime)
            }
            if let visible {
                unseen = max(0, total - visible)
                try await keep("unseen", .number(String(max(0, total - visible))))
                try await keep("unseen_at", .number(String(now.microseconds)))
            }
        }
        guard let unseen, unseen > 0 else { return }
        run.warn(
            "watermark_unseen",
            "\(unseen) documents of \(reader.subject) have no \(field) of the watermark's type and are never read by this stream; mode: changes reads every document",
            count: unseen)
    }

    /// Nil, with a warning, when counting fails or the budget is used up: a count never fails a run.
    private func count(_ query: FirestoreQuery, readTime: String) async throws -> Int? {
        guard !run.isExhausted else { return nil }
        do {
            let count = try await reader.client.count(query, readTime: readTime)
            run.countReads(max(1, (count + 999) / 1000))
            return count
        } catch let error as ExtractError {
            run.warn("count_failed", "documents could not be counted: \(error)")
            return nil
        }
    }

    // MARK: Notes

    private func note(_ name: String) -> JSONValue? { run.notes.flatMap { try? JSONValue(parsing: $0) }?[name] }

    private func keep(_ name: String, _ value: JSONValue) async throws {
        var members = run.notes.flatMap { try? JSONValue(parsing: $0) }?.objectValue ?? []
        members.removeAll { $0.name == name }
        members.append(JSONMember(name, value))
        try await run.keepNotes(.object(members))
    }
}
