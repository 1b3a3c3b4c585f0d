internal import JSONBytes
internal import Spool

/// Finds what is new, changed or gone since the last run: a keys-only scan at one `readTime` against the known versions, then only the
/// changed documents are fetched. The first run reads the documents at once.
///
/// Nothing is spooled before the scan is complete and the mass-delete guard has passed: an interrupted scan, a permission error or an
/// empty answer never looks like a delete.
struct FirestoreChangesRead {
    let reader: FirestoreReader
    private var run: RunContext { reader.run }

    init(_ reader: FirestoreReader) { self.reader = reader }

    enum Phase: String {
        case scan
        case fetch
        case delete
    }

    struct Position: FirestorePosition {
        var phase: Phase
        var readTime: String
        /// `--full`: documents count as changed although their version is known.
        var isFull: Bool
        /// Path of the last document scanned.
        var after: String?

        var json: JSONValue {
            .init([
                ("phase", .string(phase.rawValue)), ("readTime", .string(readTime)), ("full", .bool(isFull)),
                ("after", after.map(JSONValue.string) ?? .null),
            ])
        }

        init(phase: Phase, readTime: String, isFull: Bool) {
            self.phase = phase
            self.readTime = readTime
            self.isFull = isFull
        }

        init?(_ json: JSONValue?) {
            guard let phase = json?["phase"]?.stringValue.flatMap(Phase.init(rawValue:)),
                let readTime = json?["readTime"]?.stringValue
            else { return nil }
            self.init(phase: phase, readTime: readTime, isFull: json?["full"]?.boolValue ?? false)
            after = json?["after"]?.stringValue
        }
    }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        guard !FirestoreFullRead.isPosition(run.position), run.position != nil || run.state.knownVersions > 0 else {
            // Rows of an earlier life of the stream may still be in the spool, under the same ids.
            return try await FirestoreFullRead(reader, remembersVersions: true).read(lookingUp: true)
        }
        guard let kept = Position(run.position) else { return try await begin(isFull: run.readsEverything) }
        try await reader.checkClock(since: kept.readTime)
        guard try await goOn(from: kept) else { return false }
        // A run that was cut off is finished as it was begun; what `--full` asks for comes after it.
        return run.readsEverything && !kept.isFull ? try await begin(isFull: true) : true
    }

    private func begin(isFull: Bool) async throws -> Bool {
        guard !run.isExhausted else { return false }
        let now = try await reader.freshReadTime()
        let position = Position(phase: .scan, readTime: now.text, isFull: isFull)
        try await run.store.clearFindings(stream: run.state.number)
        try await run.commit(RunContext.Progress(position: position.json))
        return try await goOn(from: position)
    }

    private func goOn(from begun: Position) async throws -> Bool {
        var position = begun
        if position.isFull || run.readsAnew { try await run.lookUpSpooledRows() }
        if position.phase == .scan {
            // Every name is compared at one moment, its range's; begun anew, the scan of a large collection would never end.
            let isComplete = try await reader.holdingTime(
                of: &position,
                rest: { "the rest of the scan (\($0.after.map { "after \($0)" } ?? "from the first document"))" },
                read: FirestoreScan(reader).scan)
            guard isComplete else { return false }
            try await guardAgainstMassDelete()
            position.phase = .fetch
            try await run.commit(RunContext.Progress(position: position.json))
        }
        if position.phase == .fetch {
            let isComplete = try await reader.holdingTime(
                of: &position, rest: { _ in "what was still to be fetched" }, read: FirestoreFetch(reader).fetch)
            guard isComplete else { return false }
            position.phase = .delete
            try await run.commit(RunContext.Progress(position: position.json))
        }
        try await FirestoreDeletes(reader).write(position)
        if reader.isEmpty { reader.warnNoDocuments() }
        return true
    }

    private func guardAgainstMassDelete() async throws {
        let gone = try await run.store.countFindings(stream: run.state.number, kind: .gone)
        let known = run.state.knownVersions
        guard gone * 2 > known, !run.options.allowsMassDelete else { return }
        throw ExtractError(
            .massDelete,
            "\(gone) of \(known) known documents of \(reader.subject) are gone: more than half; nothing was spooled",
            hint:
                "if they were really deleted, run again with --allow-mass-delete; otherwise check the source and its permissions"
        )
    }
}
