internal import JSONBytes
internal import Spool

/// Reads a stream's rows out of one query job. Its result stays as it is for about a day, so a run that was cut off goes on at the row
/// where it stopped; where the job is gone, the same query runs again and what is spooled already is not spooled twice.
struct BigQueryRead {
    let run: RunContext
    let client: BigQueryClient
    let plan: BigQueryPlan
    private var stream: ExtractRequest { run.stream }

    /// Where the run stands, and its bounds.
    private struct Position {
        var job: BigQueryJob?
        /// Of the request that starts the job: a lost answer does not cost a second one.
        var requestID: String?
        /// Rows of the job's result that are stored.
        var row = 0
        var lower: String?
        var upper: String?
        /// The greatest watermark among the rows so far, where the result is not sorted.
        var greatest: String?
        var isSorted = true
        /// `--full`: every row, whatever the watermark says.
        var isEverything = false
        /// Records known when the run began (`changes`).
        var known = 0
        /// True once an earlier job of this run was lost: rows come a second time.
        var repeats = false
        /// Deletes are being spooled (`changes`); all rows are stored.
        var isSweeping = false

        init() {}

        init?(_ json: JSONValue?) {
            guard let json, json["phase"]?.stringValue == "rows" else { return nil }
            if let id = json["job"]?.stringValue {
                job = BigQueryJob(
                    id: id, location: json["location"]?.stringValue, project: json["project"]?.stringValue ?? "")
            }
            requestID = json["request"]?.stringValue
            row = json["row"]?.intValue.map { Int($0) } ?? 0
            lower = json["lower"]?.stringValue
            upper = json["upper"]?.stringValue
            greatest = json["greatest"]?.stringValue
            isSorted = json["sorted"]?.boolValue ?? true
            isEverything = json["everything"]?.boolValue ?? false
            known = json["known"]?.intValue.map { Int($0) } ?? 0
            repeats = json["repeats"]?.boolValue ?? false
            isSweeping = json["sweeping"]?.boolValue ?? false
        }

        var json: JSONValue {
            func optional(_ text: String?) -> JSONValue { text.map(JSONValue.string) ?? .null }
            return [
                "phase": "rows", "job": optional(job?.id), "location": optional(job?.location),
                "project": optional(job?.project), "request": optional(requestID), "row": .number(String(row)),
                "lower": optional(lower),
                "upper": optional(upper), "greatest": optional(greatest), "sorted": .bool(isSorted),
                "everything": .bool(isEverything), "known": .number(String(known)), "repeats": .bool(repeats),
                "sweeping": .bool(isSweeping),
            ]
        }
    }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        let kept = Position(run.position)
        guard try await read(from: kept) else { return false }
        // A run that was cut off is finished as it was begun; what `--full` asks for comes after it.
        guard let kept, stream.mode == .incremental, run.readsEverything, !kept.isEverything else { return true }
        return try await read(from: nil)
    }

    private func read(from kept: Position?) async throws -> Bool {
        guard !run.isExhausted else { return false }
        var position: Position
        if let kept {
            position = kept
        } else {
            position = try await begin()
            try await run.commit(RunContext.Progress(position: position.json))
        }
        run.refusesRepeatedKeys = stream.mode == .changes && !position.repeats
        // Rows of an earlier life of the stream, or of its other runs, may be in the spool under the same ids.
        let isFirstOfChanges = stream.mode == .changes && (position.known == 0 || run.readsAnew)
        if position.isEverything || position.repeats || isFirstOfChanges { try await run.lookUpSpooledRows() }
        var mayStartOver = true
        while !position.isSweeping {
            do {
                guard try await readRows(&position) else { return false }
                break
            } catch let error as ExtractError where error.queryJob != nil {
                if error.queryJob == .tooLargeToSort, !position.isSorted { throw error }
                try await startOver(&position, after: error)
                // Twice in a row, or a job that failed by itself: the run makes the pause.
                guard mayStartOver, error.queryJob != .failed else { throw error }
                mayStartOver = false
            }
        }
        if stream.mode == .changes { return try await sweep(&position) }
        if isIncremental(position) { try await countUnseen(position) }
        return true
    }

    // MARK: Beginning

    private func isIncremental(_ position: Position) -> Bool {
        stream.mode == .incremental && !position.isEverything
    }

    private func begin() async throws -> Position {
        var position = Position()
        let values = try await client.values(BigQueryPlan.clock, requestID: requestID(), subject: plan.subject)
        guard let microseconds = values.first?.flatMap({ Int64($0) }) else {
            throw ExtractError(.unavailable, "BigQuery did not tell the time")
        }
        let now = Timestamp(microseconds: microseconds)
        let skew = now.since(run.options.clock())
        guard skew < .seconds(86_400), skew > .seconds(-86_400) else {
            throw ExtractError(
                .configuration,
                "this machine's clock (\(run.options.clock())) is more than a day away from the source's (\(now))",
                hint: "set the clock right (NTP): _extracted_at and watermarks depend on it")
        }
        position.isEverything = stream.mode == .incremental && run.readsEverything
        position.known = run.state.knownVersions
        guard isIncremental(position) else {
            position.isSorted = false
            return position
        }
        let kind = try watermarkKind(try await schema())
        position.upper = BigQueryWatermark.now(now, kind)?.text
        if let kept = run.state.watermark {
            guard let value = BigQueryWatermark(kept.value, kind) else {
                throw ExtractError(
                    .configuration,
                    "the kept watermark \"\(kept.value)\" of stream \(stream.name) is no \(kind.rawValue), but \(stream.watermark ?? "") is",
                    hint: "etlctl watermark reset \(stream.name) begins anew")
            }
            position.lower = value.minus(stream.lookback).text
        }
        return position
    }

    private func schema() async throws -> [BigQueryField] {
        try await client.dryRun(plan.probe, subject: plan.subject).fields
    }

    private func watermarkKind(_ schema: [BigQueryField]) throws -> BigQueryField.Kind {
        let name = stream.watermark ?? ""
        guard let place = BigQueryNormalizer.place(of: name, in: schema) else {
            throw ExtractError(
                .configuration, "\(plan.subject) has no column \(name)",
                at: .stream("watermark"), hint: "check watermark: of stream \(stream.name)")
        }
        let field = schema[place]
        guard BigQueryWatermark.kinds.contains(field.kind), !field.isRepeated else {
            throw ExtractError(
                .configuration, "the watermark \(name) of stream \(stream.name) is of a type that does not order",
                at: .stream("watermark"), hint: "name a column of a time, number or string type, or use mode: changes")
        }
        return field.kind
    }

    private func requestID() -> String {
        String((0..<32).map { _ in "0123456789abcdef".randomElement() ?? "0" })
    }

    /// The job is lost, or could not be sorted: the same query runs anew.
    private func startOver(_ position: inout Position, after error: ExtractError) async throws {
        run.dropUncommitted()
        position.job = nil
        position.requestID = nil
        if error.queryJob == .tooLargeToSort { position.isSorted = false }
        if position.row > 0 {
            run.warn(
                "job_repeated",
                "the query's result was no longer there; it ran again, so what was read before and after may be of two moments"
            )
            position.row = 0
            position.repeats = true
            // A sorted result is read again from the watermark on, any other from its start.
            if position.isSorted, isIncremental(position), let watermark = run.watermark {
                position.lower = watermark.value
            }
            run.refusesRepeatedKeys = false
            try await run.store.forgetEqualRows(stream: run.state.number, from: [])
            try await run.lookUpSpooledRows()
        }
        try await run.commit(RunContext.Progress(position: position.json))
    }

    // MARK: Rows

    private func readRows(_ position: inout Position) async throws -> Bool {
        guard var wanted = limit() else { return false }
        var page: BigQueryPage
        if let job = position.job {
            page = try await client.results(
                of: job, maximumRows: wanted, pageToken: nil, startIndex: position.row, subject: plan.subject)
        } else {
            page = try await startJob(&position, wanted)
        }
        page = try await completed(page, &position, wanted)
        let reader = try BigQueryPageReader(run: run, fields: page.fields)
        try await prepareLookups(position, reader)
        while true {
            let job = position.job
            let first = position.row
            let received = try await store(page, reader, &position)
            guard position.row < page.totalRows ?? 0 || page.pageToken != nil else { break }
            guard let job else {
                throw ExtractError(.unexpected, "BigQuery gave a result of several pages without a job")
            }
            guard received > 0 || page.pageToken != nil else {
                throw ExtractError(
                    .unavailable, "reading \(plan.subject) gave an empty page at row \(first) of \(page.totalRows ?? 0)"
                )
            }
            guard let next = limit() else { return false }
            wanted = next
            page = try await client.results(
                of: job, maximumRows: wanted, pageToken: page.pageToken, startIndex: position.row,
                subject: plan.subject)
            page = try await completed(page, &position, wanted)
        }
        if isIncremental(position), !position.isSorted { try await commitGreatest(position, reader) }
        return true
    }

    /// Rows at or below the old watermark may be in the spool; where the memory of recent rows does not reach, a temporary index serves.
    private func prepareLookups(_ position: Position, _ reader: BigQueryPageReader) async throws {
        guard isIncremental(position), let kind = reader.watermarkKind else { return }
        let lower = position.lower.flatMap { BigQueryWatermark($0, kind) }?.sortKey ?? []
        if let reach = run.state.recentFrom, !lower.lexicographicallyPrecedes(reach) { return }
        try await run.lookUpSpooledRows()
    }

    /// Whether a value is at or beyond the watermark, whose text alone counts: an operator may have set it.
    private func isAhead(_ value: BigQueryWatermark) -> Bool {
        let kept = run.watermark.flatMap { BigQueryWatermark($0.value, value.kind) }
        return kept.map { !value.sortKey.lexicographicallyPrecedes($0.sortKey) } ?? true
    }

    private func startJob(_ position: inout Position, _ wanted: Int) async throws -> BigQueryPage {
        let schema = try await schema()
        let kind = isIncremental(position) ? try watermarkKind(schema) : .other
        let query = try plan.rows(
            schema, kind, lower: position.lower.flatMap { BigQueryWatermark($0, kind) },
            upper: position.upper.flatMap { BigQueryWatermark($0, kind) }, isBounded: isIncremental(position),
            isOrdered: position.isSorted)
        let requestID = position.requestID ?? self.requestID()
        if position.requestID == nil {
            position.requestID = requestID
            try await run.commit(RunContext.Progress(position: position.json))
        }
        let page = try await client.start(query, maximumRows: wanted, requestID: requestID, subject: plan.subject)
        position.job = page.job
        // From here on the job's result is what the run reads, whatever happens to this process.
        try await run.commit(RunContext.Progress(position: position.json))
        return page
    }

    /// Waits for the job's end; cancellation ends the wait.
    private func completed(
        _ first: BigQueryPage, _ position: inout Position, _ wanted: Int
    ) async throws -> BigQueryPage {
        var page = first
        while !page.isComplete {
            try Task.checkCancellation()
            guard let job = page.job ?? position.job else {
                throw ExtractError(.unavailable, "BigQuery answered without a result and without a job")
            }
            page = try await client.results(
                of: job, maximumRows: wanted, pageToken: nil, startIndex: position.row, subject: plan.subject)
        }
        return page
    }

    /// Rows the next page may bring; nil when the budget is used up.
    private func limit() -> Int? {
        guard let remaining = run.remainingRecords else { return run.options.rowsPerQuery }
        return remaining > 0 ? min(remaining, run.options.rowsPerQuery) : nil
    }

    /// Takes a page's rows; returns how many there were.
    private func store(
        _ page: BigQueryPage, _ reader: BigQueryPageReader, _ position: inout Position
    ) async throws -> Int {
        reader.begin(page)
        var received = 0
        while true {
            let taken: Int
            do { taken = try reader.takeRows() } catch let error as JSONSyntaxError {
                throw ExtractError(.malformed, "row \(position.row) of \(plan.subject) is no valid row: \(error)")
            }
            guard taken > 0 else { return received }
            received += taken
            position.row += taken
            var progress = RunContext.Progress()
            // Rows of an incremental stream are noted where its next runs look.
            if position.isEverything { progress.recentFloor = run.state.recentFrom }
            if position.isEverything || isIncremental(position) && !position.isSorted,
                let greatest = reader.greatest(than: nil)
            {
                try await run.keepAhead(greatest.sortKey)
            }
            if isIncremental(position), let last = reader.last {
                if position.isSorted {
                    // Inside the lookback window the watermark stays where it is.
                    if isAhead(last) {
                        progress.watermark = Watermark(value: last.text, key: nil, sortKey: last.sortKey)
                        progress.recentFloor = last.minus(stream.lookback).sortKey
                    } else {
                        progress.recentFloor = run.state.recentFrom
                    }
                } else {
                    position.greatest = reader.greatest(than: position.greatest)?.text
                    progress.recentFloor = run.state.recentFrom
                }
            }
            progress.position = position.json
            try await run.commit(progress)
        }
    }

    /// The watermark of a result that is not sorted is known at its end alone.
    private func commitGreatest(_ position: Position, _ reader: BigQueryPageReader) async throws {
        guard let greatest = reader.greatest(than: position.greatest) else { return }
        var progress = RunContext.Progress(position: position.json)
        if isAhead(greatest) {
            progress.watermark = Watermark(value: greatest.text, key: nil, sortKey: greatest.sortKey)
        }
        try await run.commit(progress)
    }

    // MARK: Deletes

    private func sweep(_ position: inout Position) async throws -> Bool {
        let gone = GoneRecords(run: run, subject: plan.subject)
        if !position.isSweeping {
            try await gone.guardAgainstMassDelete(known: position.known)
            position.isSweeping = true
            try await run.commit(RunContext.Progress(position: position.json))
        }
        try await gone.spoolDeletes(RunContext.Progress(position: position.json))
        return true
    }

    // MARK: What the watermark can't see

    private func countUnseen(_ position: Position) async throws {
        let kind = try watermarkKind(try await schema())
        let now = run.options.clock()
        let countedAt = run.note("unseen_at")?.intValue.map(Timestamp.init(microseconds:))
        let isDue = countedAt.map { now.since($0) >= .seconds(86_400) || now < $0 } ?? true
        var unseen = run.note("unseen")?.intValue.map { Int($0) }
        let upper = position.upper.flatMap { BigQueryWatermark($0, kind) }
        if !run.isExhausted, let query = plan.unseen(kind, upper: upper, countsUnseen: isDue) {
            do {
                let counts = try await client.values(query, requestID: requestID(), subject: plan.subject)
                run.countReads(1)
                if let future = counts.first?.flatMap({ Int($0) }), future > 0 {
                    run.warn(
                        "watermark_future",
                        "\(future) rows have a \(stream.watermark ?? "") later than now; they wait for their time",
                        count: future)
                }
                if isDue, counts.count == 2, let counted = counts[1].flatMap({ Int($0) }) {
                    unseen = counted
                    try await run.keepNote("unseen", .number(String(counted)))
                    try await run.keepNote("unseen_at", .number(String(now.microseconds)))
                }
            } catch let error as ExtractError {
                run.warn("count_failed", "rows could not be counted: \(error)")
            }
        }
        guard let unseen, unseen > 0 else { return }
        let name = stream.watermark ?? ""
        let lack = kind == .float64 ? "no \(name), or NaN or infinity in it," : "no \(name)"
        run.warn(
            "watermark_unseen",
            "\(unseen) rows of \(plan.subject) have \(lack) and are never read by this stream; mode: changes reads every row",
            count: unseen)
    }
}
