internal import JSONBytes
internal import Spool

/// Reads every row in the order of the key, at one moment, in one range or in several side by side: `full`, `--full`, and `changes`, which
/// then finds what is gone.
struct SQLSnapshotRead {
    let reader: SQLReader
    private var run: RunContext { reader.run }
    private var tracksVersions: Bool { run.stream.mode == .changes }
    /// Without a key the run can only begin again at the first row: what it has spooled is counted in the spool, row by row.
    private var countsRows: Bool { run.stream.mode == .full && !reader.hasKey }

    private struct Position {
        static let rows = "rows"
        static let deletes = "deletes"
        var phase = Self.rows
        var ranges: [SQLRange] = [SQLRange()]
        /// Records known when the run began.
        var known: Int
        /// How often the run has begun at the first row again.
        var returns = 0

        var json: JSONValue {
            .init([
                ("phase", .string(phase)), ("ranges", .array(ranges.map(\.json))), ("known", .number(String(known))),
                ("returns", .number(String(returns))),
            ])
        }

        init(known: Int) { self.known = known }

        init?(_ json: JSONValue?) {
            guard let json, let phase = json["phase"]?.stringValue, [Self.rows, Self.deletes].contains(phase) else {
                return nil
            }
            self.phase = phase
            // One range stood in the position itself in earlier versions.
            ranges = json["ranges"]?.arrayValue?.map(SQLRange.init) ?? [SQLRange(json)]
            known = json["known"]?.intValue.map(Int.init) ?? 0
            returns = json["returns"]?.intValue.map(Int.init) ?? 0
        }

        var isBegun: Bool { ranges.contains { $0.isDone } || ranges.first?.after != nil }
    }

    static func isPosition(_ json: JSONValue?) -> Bool { Position(json) != nil }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        var position: Position
        if let kept = Position(run.position) {
            position = kept
            if position.phase == Position.rows { try await takeUp(&position) }
        } else {
            position = Position(known: run.state.knownVersions)
            position.ranges = try await SQLSplitter(reader: reader).ranges()
            try await run.commit(RunContext.Progress(position: position.json))
            if run.stream.mode != .full, !tracksVersions || run.state.knownVersions == 0 || run.readsAnew {
                // Rows of an earlier life of the stream, or of its other runs, may be in the spool under the same ids.
                try await run.lookUpSpooledRows()
            }
        }
        if position.phase == Position.rows {
            guard try await readRows(&position) else { return false }
            guard tracksVersions else { return true }
            let gone = GoneRecords(run: run, subject: reader.table.subject)
            try await gone.guardAgainstMassDelete(known: position.known)
            position.phase = Position.deletes
            try await run.commit(RunContext.Progress(position: position.json))
        }
        if tracksVersions {
            try await GoneRecords(run: run, subject: reader.table.subject)
                .spoolDeletes(RunContext.Progress(position: position.json))
        }
        return true
    }

    /// A run that was cut off goes on behind its last keys; without a key from the start, past what is spooled.
    private func takeUp(_ position: inout Position) async throws {
        if countsRows {
            position.returns += 1
            if run.run.counters.rowsSpooled + run.result.spooled > 0 {
                run.warn(
                    "snapshot_lost",
                    "the run was cut off and its snapshot with it: without a key it began again at the first row, so what was read before and after is of two moments"
                )
            }
        } else if reader.hasKey {
            if position.isBegun {
                run.warn(
                    "snapshot_lost",
                    "the run was cut off and its snapshot with it: it went on by key, so what was read before and after is of two moments"
                )
            }
            if run.stream.mode != .full, !tracksVersions || position.known == 0 || run.readsAnew {
                try await run.lookUpSpooledRows()
            }
        } else {
            try await run.store.forgetEqualRows(stream: run.state.number, from: [])
            try await run.lookUpSpooledRows()
        }
    }

    // MARK: Rows

    private func readRows(_ position: inout Position) async throws -> Bool {
        guard !run.isExhausted else { return false }
        run.refusesRepeatedKeys = tracksVersions
        let unread = position.ranges.count { !$0.isDone }
        let sessions = try await reader.beginSnapshot(readers: max(1, min(run.stream.parallel, unread)))
        if position.ranges.count > 1 || position.isBegun { try await reader.checkKey() }
        let standing = Standing(position)
        defer { position = standing.position }
        let reading = ObjectReading(number: -run.state.number, reading: run.reading(position.returns))
        let pump = SQLPump(
            reader, sessions: sessions, ranges: position.ranges,
            SQLPump.Work(
                query: { reader.select(where: reader.isWithin($0), order: reader.keyTerms) },
                add: { try add($0, $1, reading, standing) },
                commit: { ranges, isLast in
                    standing.position.ranges = ranges
                    if !standing.greatest.isEmpty { try await run.keepAhead(standing.greatest) }
                    try await reader.commit(progress(standing.position), isLast: isLast)
                }))
        guard try await pump.pump() else { return false }
        try await reader.endSnapshot()
        return true
    }

    private final class Standing {
        var position: Position
        /// The greatest watermark (as sort key) so far.
        var greatest: [UInt8] = []
        init(_ position: Position) { self.position = position }
    }

    private func progress(_ position: Position) -> RunContext.Progress {
        var progress = RunContext.Progress(position: position.json)
        // Rows of an incremental stream are noted where its next runs look.
        if run.stream.mode == .incremental { progress.recentFloor = run.state.recentFrom }
        return progress
    }

    private func add(_ chunk: SQLChunk, _ row: Int, _ reading: ObjectReading, _ standing: Standing) throws {
        var record = try reader.record(chunk, row)
        record.mayRepeat = run.usesTemporaryIndex
        if countsRows { record.object = reading }
        if tracksVersions { record.knownKey = record.identity }
        if let watermark = reader.watermark, let kind = SQLWatermarkClass(watermark.type),
            let text = reader.watermarkText(chunk, row),
            let value = SQLWatermarkValue(
                SQLWatermarkValue.form(String(decoding: text, as: UTF8.self), kind), kind)
        {
            record.sortKey = value.sortKey.withUnsafeBytes(run.page.keep)
            if standing.greatest.lexicographicallyPrecedes(value.sortKey) { standing.greatest = value.sortKey }
            if !reader.hasKey { record.countScope = record.sortKey }
        }
        run.page.add(record)
    }
}
