internal import JSONBytes
internal import Spool

/// Reads every row in the order of the key, in one transaction: `full`, `--full`, and `changes`, which then finds what is gone.
struct SQLSnapshotRead {
    let reader: SQLReader
    private var run: RunContext { reader.run }
    private var tracksVersions: Bool { run.stream.mode == .changes }

    private struct Position {
        static let rows = "rows"
        static let deletes = "deletes"
        var phase = Self.rows
        /// The key of the last row stored.
        var after: [String]?
        /// Records known when the run began.
        var known: Int

        var json: JSONValue {
            .init([
                ("phase", .string(phase)), ("after", after.map { .array($0.map(JSONValue.string)) } ?? .null),
                ("known", .number(String(known))),
            ])
        }
    }

    static func isPosition(_ json: JSONValue?) -> Bool {
        [Position.rows, Position.deletes].contains(json?["phase"]?.stringValue)
    }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        var position: Position
        if let kept = run.position, let phase = kept["phase"]?.stringValue {
            position = Position(
                phase: phase, after: kept["after"]?.arrayValue?.compactMap(\.stringValue),
                known: kept["known"]?.intValue.map(Int.init) ?? 0)
            if phase == Position.rows { try await takeUp(position) }
        } else {
            position = Position(known: run.state.knownVersions)
            try await run.commit(RunContext.Progress(position: position.json))
            if run.stream.mode != .full, !tracksVersions || run.state.knownVersions == 0 {
                // Rows of an earlier life of the stream, or of its other runs, may be in the spool under the same ids.
                try await run.lookUpSpooledRows()
            }
        }
        if position.phase == Position.rows {
            guard try await readRows(&position) else { return false }
            guard tracksVersions else { return true }
            try await guardAgainstMassDelete(position)
            position.phase = Position.deletes
            try await run.commit(RunContext.Progress(position: position.json))
        }
        try await writeDeletes(position)
        return true
    }

    /// A run that was cut off goes on behind its last key; without a key from the start, past what is spooled.
    private func takeUp(_ position: Position) async throws {
        if reader.hasKey {
            if position.after != nil {
                run.warn(
                    "snapshot_lost",
                    "the run was cut off and its snapshot with it: it went on by key, so what was read before and after is of two moments"
                )
            }
            if run.stream.mode != .full, !tracksVersions || position.known == 0 { try await run.lookUpSpooledRows() }
        } else {
            try await run.store.forgetEqualRows(stream: run.state.number, from: [])
            try await run.lookUpSpooledRows()
        }
    }

    // MARK: Rows

    private func readRows(_ position: inout Position) async throws -> Bool {
        guard !run.isExhausted else { return false }
        run.refusesRepeatedKeys = tracksVersions
        try await reader.session.beginSnapshot()
        var conditions: [String] = []
        if let after = position.after, reader.hasKey { conditions.append(reader.isAfter(after, of: reader.key)) }
        let query = reader.select(where: conditions, order: reader.keyTerms)
        let place = Place(position)
        defer { position = place.position }
        do {
            let isWhole = try await reader.read(query) { chunk, row in
                if run.isExhausted { return false }
                try add(chunk, row)
                place.last = (chunk, row)
                if run.isPageFull {
                    note(place)
                    try await reader.commit(progress(place))
                }
                return true
            }
            note(place)
            try await reader.commit(progress(place))
            guard isWhole else { return false }
            try await reader.session.endSnapshot()
            return true
        } catch let error as ExtractError where error.isTransient {
            // What came before the break is stored: the next attempt goes on behind it.
            note(place)
            try await run.commit(progress(place))
            throw error
        }
    }

    private final class Place {
        var position: Position
        /// The last row added, as long as its chunk holds it.
        var last: (chunk: SQLChunk, row: Int)?
        init(_ position: Position) { self.position = position }
    }

    /// Keeps the last row's key in the position.
    private func note(_ place: Place) {
        guard reader.hasKey, let last = place.last, last.row < last.chunk.rows else { return }
        place.position.after = reader.keyValues(last.chunk, last.row)
    }

    private func progress(_ place: Place) -> RunContext.Progress {
        var progress = RunContext.Progress(position: place.position.json)
        // Rows of an incremental stream are noted where its next runs look.
        if run.stream.mode == .incremental { progress.recentFloor = run.state.recentFrom }
        return progress
    }

    private func add(_ chunk: SQLChunk, _ row: Int) throws {
        var record = try reader.record(chunk, row)
        record.mayRepeat = run.usesTemporaryIndex
        if tracksVersions { record.knownKey = record.identity }
        if let watermark = reader.watermark, let kind = SQLWatermarkClass(watermark.type),
            let text = reader.watermarkText(chunk, row),
            let value = SQLWatermarkValue(
                SQLWatermarkValue.form(String(decoding: text, as: UTF8.self), kind), kind)
        {
            record.sortKey = value.sortKey.withUnsafeBytes(run.page.keep)
            if !reader.hasKey { record.countScope = record.sortKey }
        }
        run.page.add(record)
    }

    // MARK: Deletes

    private func guardAgainstMassDelete(_ position: Position) async throws {
        let gone = try await run.store.countUnseen(stream: run.state.number, run: run.run.number)
        guard gone * 2 > position.known, !run.options.allowsMassDelete else { return }
        throw ExtractError(
            .massDelete,
            "\(gone) of \(position.known) known rows of \(reader.table.subject) are gone: more than half; no delete was spooled",
            hint:
                "if they were really deleted, run again with --allow-mass-delete; otherwise check the source and its permissions"
        )
    }

    private func writeDeletes(_ position: Position) async throws {
        var last: [UInt8]?
        while true {
            let gone = try await run.store.unseen(
                stream: run.state.number, run: run.run.number, after: last, limit: run.options.rowsPerPage)
            guard !gone.isEmpty else { return }
            for record in gone {
                let key = record.key.withUnsafeBytes(run.page.keep)
                var delete = PageBuilder.Record(
                    slots: run.page.slots.count..<run.page.slots.count, id: key, version: 0..<0, identity: key)
                delete.operation = .delete
                delete.hashesFields = true
                delete.knownKey = key
                delete.changes = record.changes + 1
                run.page.add(delete)
            }
            last = gone.last?.key
            try await run.commit(RunContext.Progress(position: position.json))
        }
    }
}
