internal import JSONBytes
internal import Spool

/// Counts, by aggregation, the documents that a watermark can't see. A count never fails a run and stays inside the budget.
struct FirestoreUnseen {
    private let reader: FirestoreReader
    private let field: String
    private var run: RunContext { reader.run }

    init(_ reader: FirestoreReader, field: String) {
        self.reader = reader
        self.field = field
    }

    /// Documents whose time has not come yet.
    func reportFuture(after upper: String, readTime: String) async throws {
        var query = FirestoreQuery(reader.collection)
        query.filter(field, "GREATER_THAN", .init([("timestampValue", .string(upper))]))
        guard let future = try await count(query, readTime: readTime), future > 0 else { return }
        run.warn(
            "watermark_future", "\(future) documents have a \(field) later than now; they wait for their time",
            count: future)
    }

    /// Documents without a value of the watermark's type. Counted at most once a day; else the last figure is repeated.
    func report(kind: WatermarkClass?, readTime: String) async throws {
        let now = run.options.clock()
        var unseen = run.note("unseen")?.intValue.map(Int.init)
        let countedAt = run.note("unseen_at")?.intValue.map(Timestamp.init(microseconds:))
        let isDue = countedAt.map { now.since($0) >= .seconds(86_400) || now < $0 } ?? true
        if isDue, let fresh = try await countUnseen(kind, readTime: readTime) {
            unseen = fresh
            try await run.keepNote("unseen", .number(String(fresh)))
            try await run.keepNote("unseen_at", .number(String(now.microseconds)))
        }
        guard let unseen, unseen > 0 else { return }
        run.warn(
            "watermark_unseen",
            "\(unseen) documents of \(reader.subject) have no \(field) of the watermark's type and are never read by this stream; mode: changes reads every document",
            count: unseen)
    }

    private func countUnseen(_ kind: WatermarkClass?, readTime: String) async throws -> Int? {
        guard let total = try await count(FirestoreQuery(reader.collection), readTime: readTime) else { return nil }
        guard let kind else { return total }
        var query = FirestoreQuery(reader.collection)
        query.filter(field, "GREATER_THAN_OR_EQUAL", kind.least)
        if let limit = kind.limit { query.filter(field, "LESS_THAN", limit) }
        guard let visible = try await count(query, readTime: readTime) else { return nil }
        return max(0, total - visible)
    }

    /// Nil when counting failed, with a warning, or when the budget does not allow it.
    private func count(_ query: FirestoreQuery, readTime: String) async throws -> Int? {
        // One read for each started 1,000 index entries (billing page).
        let most = run.remainingReads.map { $0 * 1000 }
        guard most != 0 else { return nil }
        do {
            let count = try await reader.client.count(query, readTime: readTime, upTo: most)
            run.countReads(max(1, (count + 999) / 1000))
            return count == most ? nil : count
        } catch let error as ExtractError {
            run.warn("count_failed", "documents could not be counted: \(error)")
            return nil
        }
    }
}
