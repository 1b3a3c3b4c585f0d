internal import JSONBytes
internal import Spool

/// Between which values of the watermark field an incremental run reads.
struct WatermarkBounds: Equatable {
    var kind: WatermarkClass
    /// The watermark less the lookback; nil: from the least value.
    var lower: String?
    /// The largest value when the run began, for times not later than then.
    var upper: String
}

/// Fixes the bounds of an incremental run when it begins. Every query costs one read; what is found survives the end of a budget.
struct FirestoreBounds {
    enum Result {
        case bounds(WatermarkBounds)
        /// No document has a value that orders.
        case nothing
        case outOfBudget
    }

    /// The look at the source's clock, one query for each type class, and one for the largest value.
    static let mostReads = 5

    /// Bytes of a text, beyond which an index entry does not tell it from others (Firestore's quotas: indexed field values).
    private static let longestText = 1500

    private struct OutOfBudget: Error {}

    private let reader: FirestoreReader
    private let field: String
    private var run: RunContext { reader.run }

    init(_ reader: FirestoreReader, field: String) {
        self.reader = reader
        self.field = field
    }

    /// What is wrong with a value by which a query was refused; nil if its length is not.
    static func tooLong(_ text: String, field: String, document: String?) -> ExtractError? {
        guard text.utf8.count >= longestText else { return nil }
        var error = ExtractError(
            .configuration,
            "the \(field) of \(document ?? "a document") has \(text.utf8.count) bytes, and Firestore refuses a query by so long a text",
            at: .stream("watermark"),
            hint:
                "shorten that text (where the watermark has it: etlctl watermark set), or use mode: changes, which needs no watermark"
        )
        // The next one has other bounds, once that text is no more.
        error.endsRun = true
        return error
    }

    func fix(at readTime: String) async throws -> Result {
        do {
            guard let kind = try await watermarkClass(readTime) else { return .nothing }
            try checkLookback(kind)
            // A date in the far future must not end the stream: such documents wait for their time.
            guard let upper = kind == .timestamp ? readTime : try await largest(kind, readTime)?.text else {
                return .nothing
            }
            return .bounds(WatermarkBounds(kind: kind, lower: try lower(kind), upper: upper))
        } catch is OutOfBudget {
            return .outOfBudget
        }
    }

    private func lower(_ kind: WatermarkClass) throws -> String? {
        guard let kept = run.state.watermark else { return nil }
        guard let value = WatermarkValue(text: kept.value, class: kind) else {
            throw mismatch(kept: "watermark value \(kept.value)", configured: "watermark type \(kind.rawValue)")
        }
        return value.minus(run.stream.lookback).text
    }

    private func checkLookback(_ kind: WatermarkClass) throws {
        let fits =
            switch (kind, run.stream.lookback) {
            case (_, nil), (.timestamp, .duration), (.number, .number): true
            // No lookback at all is the same in every unit.
            case (_, .duration(let duration)): duration == .zero
            case (_, .number(let number)): number == 0
            }
        guard !fits else { return }
        throw ExtractError(
            .configuration,
            "the lookback of stream \(run.stream.name) does not fit its watermark: the values of \(field) are of the type \(kind.rawValue)",
            at: .stream("lookback"),
            hint: "lookback is a duration such as 5m for timestamps, a plain number for numbers, and nothing else")
    }

    // MARK: Type class

    /// The pinned type's class, else the kept one, else timestamp if any document has one, else number, else string.
    private func watermarkClass(_ readTime: String) async throws -> WatermarkClass? {
        let kept = reader.watermarkClass
        if let pinned = try pinnedClass() {
            if let kept, kept != pinned, run.state.watermark != nil {
                throw mismatch(
                    kept: "watermark type \(kept.rawValue)", configured: "watermark type \(pinned.rawValue)")
            }
            try await run.keepNote("class", .string(pinned.rawValue))
            return pinned
        }
        if let kept { return kept }
        for kind in [WatermarkClass.timestamp, .number, .string] {
            var query = FirestoreQuery(reader.collection)
            query.isKeysOnly = true
            query.filter(field, "GREATER_THAN_OR_EQUAL", kind.least)
            if let limit = kind.limit { query.filter(field, "LESS_THAN", limit) }
            query.order(by: field)
            query.limit = 1
            guard try await !elements(of: query, readTime).isEmpty else { continue }
            try await run.keepNote("class", .string(kind.rawValue))
            return kind
        }
        return nil
    }

    private func pinnedClass() throws -> WatermarkClass? {
        let column = ColumnNaming.sanitized(field)
        guard let type = run.stream.types[run.stream.rename[column] ?? column] else { return nil }
        guard let pinned = WatermarkClass(pinned: type) else {
            throw ExtractError(
                .configuration,
                "the watermark \(field) of stream \(run.stream.name) is pinned to \(type), which does not order in Firestore",
                at: .stream("types"),
                hint: "pin it to TIMESTAMP, INT64, FLOAT64, NUMERIC or STRING, or use mode: changes")
        }
        return pinned
    }

    private func mismatch(kept: String, configured: String) -> ExtractError {
        ExtractError(
            .configuration,
            "the position of stream \(run.stream.name) belongs to something else: kept \"\(kept)\", configured \"\(configured)\"",
            hint: "etlctl watermark reset \(run.stream.name) begins anew")
    }

    // MARK: Queries

    private func largest(_ kind: WatermarkClass, _ readTime: String) async throws -> WatermarkValue? {
        var query = FirestoreQuery(reader.collection)
        query.fields = [field]
        query.filter(field, "GREATER_THAN_OR_EQUAL", kind.least)
        if let limit = kind.limit { query.filter(field, "LESS_THAN", limit) }
        query.order(by: field, descending: true)
        query.limit = 1
        let document = try await elements(of: query, readTime).first
        guard let member = document?["fields"]?[field]?.objectValue?.first else { return nil }
        let text = member.value.stringValue
        if member.name == "stringValue", let text, text.utf8.count >= Self.longestText {
            // To name it, should the query by it be refused.
            try await run.keepNote("longest", .string(document?["name"]?.stringValue ?? ""))
        }
        switch member.name {
        case "integerValue": return text.flatMap { Int64($0) }.map { WatermarkValue(.integer($0)) }
        case "doubleValue": return member.value.doubleValue.map { WatermarkValue(.double($0)) }
        case "stringValue": return text.map { WatermarkValue(.string(Array($0.utf8))) }
        default: return nil
        }
    }

    private func elements(of query: FirestoreQuery, _ readTime: String) async throws -> [JSONValue] {
        guard !run.isExhausted else { throw OutOfBudget() }
        let elements = try await reader.client.elements(of: query, readTime: readTime)
        run.countReads(1)
        return elements.compactMap { $0["document"] }
    }
}
