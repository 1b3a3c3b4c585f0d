internal import JSONBytes
package import Spool

/// How one stream's extraction ended.
package struct ExtractResult: Sendable {
    package enum Status: String, Sendable {
        case complete
        case interrupted
        case failed
    }

    package var stream: String
    package var runID: String?
    package var mode: ReadMode
    package var status: Status
    package var counters = RunCounters()
    /// Rows spooled as rejected at once.
    package var rejected = 0
    package var watermark: String?
    package var warnings: [ExtractWarning] = []
    package var error: (any Error)?
    package var duration = Duration.zero

    package init(stream: String, mode: ReadMode, status: Status) {
        self.stream = stream
        self.mode = mode
        self.status = status
    }
}

/// Reads one stream's source into the spool: takes its lock, guards its position, continues or begins a run, bears transient errors, and
/// writes down how it ended.
package struct Extractor: Sendable {
    private let store: SpoolStore
    private let options: ExtractOptions
    private let holder: String
    private let progress: @Sendable (ExtractProgress) -> Void

    /// - Parameter holder: names this process to a second one that wants the same stream.
    package init(
        store: SpoolStore, options: ExtractOptions, holder: String,
        progress: @escaping @Sendable (ExtractProgress) -> Void
    ) {
        self.store = store
        self.options = options
        self.holder = holder
        self.progress = progress
    }

    /// Extracts one stream. Whatever goes wrong is in the result; the stream's other runs are unharmed.
    package func extract(_ stream: ExtractRequest, from source: any Source) async -> ExtractResult {
        let clock = ContinuousClock()
        let start = clock.now
        var result = ExtractResult(stream: stream.name, mode: stream.mode, status: .failed)
        do {
            try source.validate(stream)
            let lock = try store.lockExtractor(of: stream.name, holder: holder)
            let context = try await open(stream, source)
            result.runID = context.run.id
            await run(context, source, &result)
            withExtendedLifetime(lock) {}
        } catch {
            result.error = error
        }
        result.duration = clock.now - start
        return result
    }

    // MARK: Beginning

    private func open(_ stream: ExtractRequest, _ source: any Source) async throws -> RunContext {
        let definition = StreamDefinition(
            name: stream.name, source: stream.source, mode: stream.mode.rawValue, endpoint: stream.endpoint,
            table: stream.table, identity: stream.identity)
        var state = try await store.openStream(definition)
        let isNewGeneration = state.generation != stream.generation
        // A run that ended before it had a position, over a wrong name perhaps, does not hold its configuration fast.
        let isBegun = state.unfinishedRun?.position != nil || state.identity.exact == stream.identity.exact
        let continues = state.unfinishedRun != nil && isBegun && !options.restarts && !isNewGeneration
        let knowsObjects = state.objects > 0 && state.mode != ReadMode.full.rawValue
        if state.watermark != nil || state.knownVersions > 0 || knowsObjects || continues {
            guard state.identity.exact == stream.identity.exact else { throw PositionMismatch(kept: state.identity) }
        }
        let run: Run
        if continues, let unfinished = state.unfinishedRun {
            run = try await store.resumeRun(unfinished)
        } else {
            run = try await store.beginRun(
                definition, id: RunID.make(now: options.clock()), fingerprint: stream.fingerprint,
                generation: stream.generation, position: nil)
        }
        // `config_changed` compares with the last run, whose fingerprint was there before this one's.
        let keptFingerprint = state.fingerprint
        if isNewGeneration, let fresh = try await store.stream(named: stream.name) { state = fresh }
        let context = try await context(stream, state, run)
        if let keptFingerprint, keptFingerprint.exact != stream.fingerprint.exact {
            context.warn(
                "config_changed",
                "columns, exclude, rename, nested, types or the normaliser changed since the last run; rows already spooled stay as they are (raise generation to send them anew)"
            )
        }
        return context
    }

    private func context(_ stream: ExtractRequest, _ state: StreamState, _ run: Run) async throws -> RunContext {
        let frame = RowFrame(runID: run.id, renames: stream.rename)
        let columns = try await store.columnNames(stream: state.number)
        let fields = FieldTable(
            known: state.columns.map { ColumnName(field: $0, base: $1, column: columns[$0] ?? $1) },
            selection: FieldSelection(stream),
            renames: stream.rename, metadataNames: frame.allNames)
        let insertIDs = InsertIDMaker(
            table: stream.table, stream: stream.name, generation: stream.generation,
            runID: stream.mode == .full ? run.id : nil)
        let page = PageBuilder(
            fields: fields, frame: frame, insertIDs: insertIDs, lastExtractedAt: state.lastExtractedAt,
            clock: options.clock)
        return RunContext(
            stream: stream, store: store, state: state, run: run, page: page, options: options, progress: progress)
    }

    // MARK: Running

    private func run(_ context: RunContext, _ source: any Source, _ result: inout ExtractResult) async {
        var status = Run.Status.interrupted
        do {
            // Also after a run that began with the reset and failed.
            if context.state.hasForgottenVersions, context.stream.mode != .full {
                try await context.lookUpSpooledRows()
            }
            let isComplete = try await readWithPatience(context, source)
            try await context.settleCommits()
            if isComplete, context.stream.mode == .full, options.allowsMassDelete {
                try await context.keepNote("empty_allowed", .string(context.run.id))
            }
            if isComplete, context.readsAnew { try await context.keepNote("anew", .bool(false)) }
            status = isComplete ? .complete : .interrupted
            result.status = isComplete ? .complete : .interrupted
        } catch {
            // What is being stored beside comes to its end before the run does; the first error is the one to tell.
            try? await context.settleCommits()
            result.error = error
            if error is CancellationError || (error as? ExtractError)?.kind == .noRoom { result.status = .interrupted }
            // A run that failed for good begins anew; one that was cut off goes on.
            if let failure = error as? ExtractError, failure.kind == .massDelete || failure.endsRun { status = .failed }
        }
        result.warnings = context.warnings
        result.watermark = context.watermark?.value
        result.counters.rowsRead = context.rowsRead
        result.counters.rowsSpooled = context.result.spooled
        result.counters.rowsUnchanged = context.result.unchanged
        result.counters.deletes = context.result.deletes
        result.counters.sourceReads = context.sourceReads
        result.rejected = context.rejected.count
        let warnings = context.warnings.isEmpty ? nil : Self.json(context.warnings)
        let (run, error) = (context.run, result.error.map { "\($0)" })
        do {
            // A task of its own, waited for: how the run ended is written down also when a signal cancelled this one.
            try await Task { [store, status] in
                try await store.endRun(run, status: status, warnings: warnings, error: error)
            }.value
        } catch {
            if result.error == nil { result.error = error }
            result.status = .failed
        }
    }

    /// Calls the source again after transient errors, with growing pauses, until it has made no progress for the patience.
    private func readWithPatience(_ context: RunContext, _ source: any Source) async throws -> Bool {
        let clock = ContinuousClock()
        var backoff = Backoff(first: options.firstPause)
        var lastProgress = clock.now
        var recordsThen = -1
        while true {
            do {
                return try await source.read(context)
            } catch let error as ExtractError where error.isTransient {
                if context.rowsRead != recordsThen {
                    recordsThen = context.rowsRead
                    lastProgress = clock.now
                    backoff = Backoff(first: options.firstPause)
                }
                var pause = backoff.next(retryAfter: error.retryAfter)
                if let patience = options.patience {
                    let left = patience - (clock.now - lastProgress)
                    guard left > .zero else { throw error }
                    pause = min(pause, left)
                }
                context.dropUncommitted()
                try await context.settleCommits()
                try await clock.sleep(for: pause)
            }
        }
    }

    private static func json(_ warnings: [ExtractWarning]) -> String {
        JSONValue.array(
            warnings.map {
                .object([
                    JSONMember("code", .string($0.code)), JSONMember("message", .string($0.message)),
                    JSONMember("count", .number(String($0.count))),
                ])
            }
        ).text
    }
}
