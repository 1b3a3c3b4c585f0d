internal import JSONBytes
internal import Spool

/// One run of one stream, as its source sees it: the configuration, where the run stands, the page being gathered, and the commit.
///
/// Not `Sendable`: it belongs to the one task that reads.
package final class RunContext {
    package let stream: ExtractRequest
    let store: SpoolStore
    /// What the spool knew of the stream when the run began.
    let state: StreamState
    let page: PageBuilder
    let options: ExtractOptions
    private(set) var run: Run
    private(set) var result = AppendResult()
    private(set) var warnings: [ExtractWarning] = []
    private(set) var rowsRead = 0
    private(set) var sourceReads = 0
    private(set) var watermark: Watermark?
    /// Look every row up that may have been spooled before, in a temporary index over the stream's rows.
    var usesTemporaryIndex = false
    /// A key that this run meets a second time is an error of the configuration, not another version.
    var refusesRepeatedKeys = false
    /// How often rows occur in the objects that are being read, by object.
    var rowCounts: [Int64: ObjectRowCounts] = [:]
    /// Rows that were spooled as rejected at once, and the first of them for people.
    var rejected = RejectedRows()
    /// How many readers the source bears side by side.
    lazy var pace = ReaderPace(most: stream.parallel)
    /// Read every record once, whatever the watermark says.
    let readsEverything: Bool
    /// Notes of the source about the stream, kept with the stream's position.
    private var notes: String?

    /// Commits that are on their way to the disk, the oldest first.
    private var underway: [Underway] = []
    /// Used again by later commits.
    private var spareBatches: [RowBatch] = []
    /// Enough to work on while a commit waits for the disk; each holds a page's rows.
    private static let commitsUnderway = 2
    private var uncommittedReads = 0
    private var uncommittedRecords = 0
    private let room: SpoolRoom
    private var bytesPerPage: Int
    private let progress: @Sendable (ExtractProgress) -> Void

    init(
        stream: ExtractRequest, store: SpoolStore, state: StreamState, run: Run, page: PageBuilder,
        options: ExtractOptions, progress: @escaping @Sendable (ExtractProgress) -> Void
    ) {
        self.stream = stream
        self.store = store
        self.state = state
        self.run = run
        self.page = page
        self.options = options
        self.progress = progress
        readsEverything = options.readsEverything
        watermark = state.watermark
        notes = state.notes
        room = SpoolRoom(store: store, options: options)
        bytesPerPage = room.bytesPerPage
    }

    // MARK: Position

    /// Where the run stands as the source left it; nil at its start.
    var position: JSONValue? { run.position.flatMap { try? JSONValue(parsing: $0) } }

    // MARK: Budgets

    /// How many more reads may be billed (`max_reads`); nil without a limit.
    var remainingReads: Int? { stream.maximumReads > 0 ? max(0, stream.maximumReads - sourceReads) : nil }

    /// How many more records may be read: the least of `max_reads` and `--limit`; nil without limits.
    var remainingRecords: Int? {
        let reads = remainingReads
        guard let limit = options.limit else { return reads }
        return min(reads ?? .max, max(0, limit - rowsRead))
    }

    /// True if nothing more may be read in this command.
    var isExhausted: Bool { remainingRecords.map { $0 <= 0 } ?? false }

    /// Counts reads that the source bills for.
    func countReads(_ reads: Int) {
        sourceReads += reads
        uncommittedReads += reads
    }

    func countRecord() {
        rowsRead += 1
        uncommittedRecords += 1
    }

    /// Forgets records gathered since the last commit: they are read again from there.
    func dropUncommitted() {
        page.removeAll()
        rowsRead -= uncommittedRecords
        uncommittedRecords = 0
    }

    // MARK: Warnings

    /// Adds a warning, in the place of an earlier one of the same code.
    func warn(_ code: String, _ message: String, count: Int = 1) {
        warnings.removeAll { $0.code == code }
        warnings.append(ExtractWarning(code: code, message: message, count: count))
    }

    // MARK: Commit

    /// What a page's commit carries besides its rows.
    struct Progress {
        var position: JSONValue?
        var watermark: Watermark?
        var recentFloor: [UInt8]?
        var findings: [ScanFinding] = []
        var settledFindings: [[UInt8]] = []
        /// Records that a scan found as they are known, of which no page was made.
        var unchanged = 0
        var objectsRead: [ObjectRead] = []
    }

    /// True when the page is large enough to be stored: bounded by rows and by bytes, so that memory stays flat.
    var isPageFull: Bool { page.count >= options.rowsPerPage || page.byteCount >= bytesPerPage }

    /// Stores the page gathered so far and where the run stands after it, in one transaction; then empties the page.
    func commit(_ progress: Progress) async throws {
        try await commitBeside(progress)
        try await settleCommits()
    }

    /// Does as `commit` does, but does not wait for the end: the next page is gathered beside. Commits come to their end in their order;
    /// after one that failed none is made. A later commit throws what went wrong.
    ///
    /// - Parameter beforeWaiting: called when the spool is full and this waits for room.
    func commitBeside(_ progress: Progress, beforeWaiting: (() async -> Void)? = nil) async throws {
        if asksSpool { try await settleCommits() }
        let batch = spareBatches.popLast() ?? RowBatch()
        batch.removeAll()
        let versions = try await VersionSettlement(run: self).settle()
        page.assemble(into: batch)
        if page.clockWasBehind {
            warn(
                "clock_behind",
                "this machine's clock is behind the last run's; _extracted_at goes on from the last value")
        }
        try await settleCommits(leaving: Self.commitsUnderway - 1)
        if !batch.isEmpty {
            if let beforeWaiting, try await !hasRoom() { await beforeWaiting() }
            try await room.wait()
        }
        var commit = PageCommit(run: run, rows: batch)
        commit.position = progress.position?.text
        commit.watermark = progress.watermark
        commit.recentFloor = progress.recentFloor
        commit.findings = progress.findings
        commit.settledFindings = progress.settledFindings
        commit.usesTemporaryIndex = usesTemporaryIndex
        commit.seenKeys = versions.seenKeys
        commit.equalRows = versions.equalRows
        commit.unchanged = versions.unchanged + progress.unchanged
        commit.objectLog = versions.objectLog
        commit.objectsRead = progress.objectsRead
        commit.newColumns = page.fields.takeNewColumns()
        commit.rowsRead = uncommittedRecords
        commit.sourceReads = uncommittedReads
        commit.lastExtractedAt = page.extractedUpTo
        uncommittedRecords = 0
        uncommittedReads = 0
        page.removeAll()
        let (begun, before) = (commit, underway.last?.append)
        // Not structured: a commit is never cut short. `settleCommits` waits for it, at the latest when the run ends.
        let append = Task { [store] in
            _ = try await before?.value
            return try await store.append(begun)
        }
        underway.append(Underway(commit: commit, progress: progress, rowsRead: rowsRead, append: append))
    }

    /// True if a record of the page can be judged only when the pages before are in the spool: what is known of keys and of equal rows is read
    /// there. What an object's rows were counted as is in memory once it was read.
    private var asksSpool: Bool {
        // Neighbours mostly are of one object.
        var counted: ObjectReading?
        for index in page.records.indices {
            if page.records[index].knownKey != nil { return true }
            guard let object = page.records[index].object else {
                if page.records[index].countScope != nil { return true }
                continue
            }
            if object == counted { continue }
            guard rowCounts[object.number]?.reading == object.reading else { return true }
            counted = object
        }
        return false
    }

    /// Waits for the commits that are under way, all but so many.
    ///
    /// - Throws: what went wrong with one; nothing of it and of later ones is stored then.
    func settleCommits(leaving left: Int = 0) async throws {
        while underway.count > left {
            let first = underway[0]
            let appended: AppendResult
            do {
                appended = try await first.append.value
            } catch {
                // Those behind it end with the same error.
                for later in underway { _ = try? await later.append.value }
                underway.removeAll()
                throw error
            }
            underway.removeFirst()
            try await settle(first, appended)
        }
    }

    private func settle(_ done: Underway, _ appended: AppendResult) async throws {
        spareBatches.append(done.commit.rows)
        run.position = done.commit.position
        result.spooled += appended.spooled
        result.unchanged += appended.unchanged
        result.deletes += appended.deletes
        if let watermark = done.progress.watermark { self.watermark = watermark }
        for object in done.progress.objectsRead { try await forgetRowCounts(of: object.number) }
        bytesPerPage = room.bytesPerPage
        progress(ExtractProgress(stream: stream.name, rowsRead: done.rowsRead, rowsSpooled: result.spooled))
    }

    private struct Underway {
        var commit: PageCommit
        var progress: Progress
        var rowsRead: Int
        var append: Task<AppendResult, any Error>
    }

    /// One of the source's notes about the stream; nil if there is none of that name.
    func note(_ name: String) -> JSONValue? { noteMembers.last { $0.name == name }?.value }

    private var noteMembers: [JSONMember] { notes.flatMap { try? JSONValue(parsing: $0) }?.objectValue ?? [] }

    /// True until a run of the stream's present generation has come to its end: rows may be in the spool under the same ids, of a life of
    /// the stream in the same generation before.
    var readsAnew: Bool { note("anew")?.boolValue ?? false }

    /// Keeps a note at once, apart from any page.
    func keepNote(_ name: String, _ value: JSONValue) async throws {
        let members = noteMembers.filter { $0.name != name } + [JSONMember(name, value)]
        let text = JSONValue.object(members).text
        guard text != notes else { return }
        notes = text
        try await store.setNotes(text, stream: state.number)
    }

    /// False while the spool is at its size limit and a commit would wait.
    func hasRoom() async throws -> Bool {
        guard options.maximumSpoolBytes > 0 else { return true }
        return try await store.makeRoom(maximumBytes: options.maximumSpoolBytes)
    }

    /// Makes the temporary index for a run that starts further back than what is known of spooled rows.
    func lookUpSpooledRows() async throws {
        guard !usesTemporaryIndex, state.hasRows || result.spooled > 0 else { return }
        if try await store.indexSpooledRows(stream: state.number) {
            warn(
                "retired_rows",
                "this run starts further back than the spool's memory reaches: rows that retention had removed are spooled again"
            )
        }
        usesTemporaryIndex = true
    }
}

/// Rows that a run spooled as rejected at once.
struct RejectedRows {
    /// As many places as help to find the cause.
    private static let placesNamed = 5

    private(set) var count = 0
    private(set) var places: [String] = []

    mutating func add(_ others: [String]) {
        count += others.count
        places.append(contentsOf: others.prefix(max(0, Self.placesNamed - places.count)))
    }
}

package struct ExtractProgress: Sendable {
    package var stream: String
    package var rowsRead: Int
    package var rowsSpooled: Int
}
