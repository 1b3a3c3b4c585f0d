internal import JSONBytes
internal import Spool

/// Reads a whole collection at one `readTime`, in the order of names, in one range or in several side by side. Used for `full`, for
/// `--full`, and for the first run of `changes`.
struct FirestoreFullRead {
    let reader: FirestoreReader
    /// Remember each document's version (`changes`).
    let remembersVersions: Bool
    /// `--full` of an incremental stream: note the rows where its later runs look them up.
    let remembersWatermark: Bool
    private var run: RunContext { reader.run }

    init(_ reader: FirestoreReader, remembersVersions: Bool = false, remembersWatermark: Bool = false) {
        self.reader = reader
        self.remembersVersions = remembersVersions
        self.remembersWatermark = remembersWatermark
    }

    /// Where the read stands.
    private struct Position: FirestorePosition {
        static let phase = "documents"
        var readTime: String
        /// What has not been read to its end.
        var ranges: [FirestoreRange]
        /// How many ranges have been.
        var finished = 0
        /// Rows of an earlier life of the stream may still be in the spool, under the same ids.
        var looksUp: Bool

        var json: JSONValue {
            .init([
                ("phase", .string(Self.phase)), ("readTime", .string(readTime)), ("looksUp", .bool(looksUp)),
                ("finished", .number(String(finished))), ("ranges", .array(ranges.map(\.json))),
            ])
        }

        /// What has not been read yet, range by range, for a message.
        var rest: String {
            let places = ranges.prefix(8).map { range in
                (range.after ?? range.start).map { "after \($0)" } ?? "from the first document"
            }
            let more = ranges.count > places.count ? " and \(ranges.count - places.count) more" : ""
            return
                "the rest of \(ranges.count) of \(ranges.count + finished) ranges (\(places.joined(separator: ", "))\(more))"
        }

        init(readTime: String, ranges: [FirestoreRange], looksUp: Bool) {
            self.readTime = readTime
            self.ranges = ranges
            self.looksUp = looksUp
        }

        init?(_ json: JSONValue?) {
            guard json?["phase"]?.stringValue == Self.phase, let readTime = json?["readTime"]?.stringValue,
                let ranges = json?["ranges"]?.arrayValue
            else { return nil }
            self.init(readTime: readTime, ranges: [], looksUp: json?["looksUp"]?.boolValue ?? false)
            finished = json?["finished"]?.intValue.map(Int.init) ?? 0
            take(ranges.map(FirestoreRange.init))
        }

        /// Keeps those that are not finished, and counts the others.
        mutating func take(_ all: [FirestoreRange]) {
            ranges = all.filter { !$0.isDone }
            finished += all.count - ranges.count
        }
    }

    static func isPosition(_ json: JSONValue?) -> Bool { Position(json) != nil }

    /// Returns false when a budget ended it early.
    ///
    /// - Parameter looksUp: whether rows spooled before are looked up, so that none is spooled twice.
    func read(lookingUp looksUp: Bool = false) async throws -> Bool {
        var position: Position
        if let kept = Position(run.position) {
            position = kept
            try await reader.checkClock(since: kept.readTime)
        } else {
            guard !run.isExhausted else { return false }
            // `changes` compares later scans with this one, so its time may never be the older.
            let isSnapshot = run.stream.mode == .full
            let now = isSnapshot ? try await reader.snapshotTime() : try await reader.serverTime()
            let ranges = try await FirestoreSplitter(reader).ranges(run.stream.parallel, at: now)
            position = Position(readTime: now, ranges: ranges, looksUp: looksUp)
            try await run.commit(RunContext.Progress(position: position.json))
        }
        if position.looksUp { try await run.lookUpSpooledRows() }
        let isComplete = try await reader.holdingTime(of: &position, rest: \.rest, read: readRanges)
        guard isComplete else { return false }
        reader.warnIfNothingWasRead(at: position.readTime)
        return true
    }

    private func readRanges(_ position: inout Position) async throws -> Bool {
        let begun = position
        let kind = remembersWatermark ? reader.watermarkClass : nil
        var ahead: [UInt8] = []
        func standing(_ lanes: [FirestoreLane]) -> Position {
            var standing = begun
            standing.take(lanes.map(\.standing))
            return standing
        }
        let pump = FirestorePump(
            reader, lanes: begun.ranges.map(FirestoreLane.init), lanesAtOnce: max(1, run.stream.parallel),
            cutsLanes: mayCut, readTime: begun.readTime, mostPerQuery: run.options.documentsPerQuery,
            FirestorePump.Work(
                query: query,
                take: { document, path in
                    let sortKey = try take(document, path, kind)
                    if ahead.lexicographicallyPrecedes(sortKey) { ahead = sortKey }
                }, isFull: { run.isPageFull },
                commit: { lanes in
                    var progress = RunContext.Progress(position: standing(lanes).json)
                    if !ahead.isEmpty {
                        progress.recentFloor = run.state.recentFrom
                        try await run.keepAhead(ahead)
                    }
                    try await run.commit(progress)
                }))
        defer { position = standing(pump.lanes) }
        return try await pump.pump()
    }

    /// A budget is kept by one reader; names of a group are cut by the server alone.
    private var mayCut: Bool { run.stream.parallel > 1 && run.remainingRecords == nil && !reader.collection.isGroup }

    private func query(_ lane: FirestoreLane) -> FirestoreQuery {
        var query = FirestoreQuery(reader.collection)
        query.fields = reader.projection
        query.orderByName()
        if let after = lane.after {
            query.startAfter = [reader.reference(to: after)]
        } else if let start = lane.range.start {
            query.startAt = [reader.reference(to: start)]
        }
        if let end = lane.range.end { query.endBefore = [reader.reference(to: end)] }
        return query
    }

    /// Returns the sort key of the document's watermark where one is kept, else nothing.
    private func take(_ document: FirestoreDocument, _ path: Range<Int>, _ kind: WatermarkClass?) throws -> [UInt8] {
        run.countRecord()
        var record = try reader.record(for: document, path: path)
        record.mayRepeat = run.usesTemporaryIndex
        if remembersVersions { try reader.remember(&record) }
        var sortKey: [UInt8] = []
        if let kind, let watched = document.watched, kind.includes(watched) {
            sortKey = WatermarkValue(watched).sortKey
            record.sortKey = sortKey.withUnsafeBytes(run.page.keep)
        }
        run.page.add(record)
        return sortKey
    }
}
