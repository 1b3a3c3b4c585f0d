internal import JSONBytes
internal import Spool

/// One read of a stream's objects: lists them, reads what is new (`incremental`) or all of it, and writes deletes (`changes`).
///
/// Many small objects share a page; a large one takes many. An object that is broken does not stop the others.
final class FilesRead {
    let run: RunContext
    let store: any ObjectStore
    private let glob: Glob
    var position: FilesPosition
    /// Read to their end since the last commit.
    private var finished: [ObjectRead] = []
    private var rejectedSinceCommit: [String] = []
    private var matches = 0
    private var problems = FilesProblems()
    /// The object that was gone on in, when something was wrong with it.
    private var passedOver: String?

    init(_ run: RunContext, store: any ObjectStore) throws {
        self.run = run
        self.store = store
        glob = try Glob(run.stream.from ?? "")
        let knowsNothing = run.state.objects == 0 && (run.state.knownVersions == 0 || run.readsAnew)
        position =
            FilesPosition(run.position)
            ?? FilesPosition(looksUp: run.stream.mode != .full && run.state.hasRows && knowsNothing)
        run.refusesRepeatedKeys = run.stream.mode == .changes && !position.hasStrayRows
    }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        if position.looksUp, !run.usesTemporaryIndex { try await run.lookUpSpooledRows() }
        if position.phase == .read {
            if run.stream.mode == .full, position.hasStrayRows {
                throw givenUp("an object could not be read to its end")
            }
            guard try await readPart(), try await readAll() else { return false }
            try problems.report(to: run)
            if matches == 0 {
                run.warn("no_objects", "no object below \(store.url) matches \(run.stream.from ?? "")")
            }
            position.part = nil
            if run.stream.mode == .changes {
                try await gone.guardAgainstMassDelete(known: run.state.knownVersions)
                position.phase = .delete
            }
            try await commit()
        }
        if run.stream.mode == .changes { try await gone.spoolDeletes(RunContext.Progress(position: position.json)) }
        return true
    }

    private var gone: GoneRecords { GoneRecords(run: run, subject: "stream \(run.stream.name)") }

    /// Goes on in the object that was read in part, before all others; one that is another now is read with them, from its beginning.
    private func readPart() async throws -> Bool {
        guard let part = position.part else { return true }
        guard !run.isExhausted else { return false }
        let object = try await listed(part.object.name)
        if let object, object == part.object {
            guard let record = try await run.store.openObjects(stream: run.state.number, names: [object.name]).first
            else { return true }
            let problemsBefore = problems.count
            guard try await readGuarded(object, record) else { return false }
            if problems.count > problemsBefore { passedOver = object.name }
            // The spool is asked what has been read.
            try await commit()
            return true
        }
        let event = object == nil ? "deleted" : "replaced"
        let change = "\(store.url(of: part.object.name)) was \(event) before it was read to its end"
        if run.stream.mode == .full { throw givenUp(change) }
        problems.rewritten.append(change)
        noteStrayRows()
        position.part = nil
        return true
    }

    /// The object of exactly this name as it is now; nil if there is none.
    private func listed(_ name: String) async throws -> StoredObject? {
        var token: String?
        repeat {
            let listing = try await store.list(prefix: name, after: token)
            if let object = listing.objects.first(where: { $0.name == name }) { return object }
            token = listing.next
        } while token != nil
        return nil
    }

    private func noteStrayRows() {
        position.hasStrayRows = true
        run.refusesRepeatedKeys = false
    }

    /// Why a snapshot that holds a part of an object can't become whole any more: no later reading takes spooled rows away.
    private func givenUp(_ change: String) -> ExtractError {
        run.warn("object_changed", "\(change): this snapshot is given up, and the next run begins another")
        var error = ExtractError(
            .unavailable, "\(change): a snapshot with a part of it can't become whole, so this one is given up",
            hint: "run the same command again when nothing writes to the objects: it begins another snapshot")
        error.isFinal = true
        error.endsRun = true
        return error
    }

    private func readAll() async throws -> Bool {
        var token: String?
        repeat {
            let listing = try await store.list(prefix: glob.prefix, after: token)
            let objects = listing.objects.filter { glob.matches($0.name) }
            matches += objects.count
            let records = try await run.store.openObjects(stream: run.state.number, names: objects.map(\.name))
            for (object, record) in zip(objects, records) where !isRead(object, record) && object.name != passedOver {
                try Task.checkCancellation()
                guard !run.isExhausted else {
                    try await commit()
                    return false
                }
                guard try await readGuarded(object, record) else { return false }
            }
            token = listing.next
        } while token != nil
        try await commit()
        return true
    }

    /// True for an object that this run need not read (again).
    private func isRead(_ object: StoredObject, _ record: ObjectRecord) -> Bool {
        guard let version = record.version else { return false }
        if record.runNumber == run.run.number, run.stream.mode != .incremental || version == object.version {
            return true
        }
        return run.stream.mode == .incremental && !run.readsEverything && version == object.version
    }

    /// Reads one object; what is wrong with it alone is noted and does not stop the others.
    private func readGuarded(_ object: StoredObject, _ record: ObjectRecord) async throws -> Bool {
        let isBegun = position.part?.object == object
        let rowsBefore = run.rowsRead
        var hasRows: Bool { isBegun || run.rowsRead > rowsBefore }
        do {
            return try await read(object, record)
        } catch let broken as BrokenObject {
            problems.broken.append("\(store.url(of: object.name)): \(broken.reason)")
        } catch let problem as ObjectStoreError {
            if run.stream.mode == .full, hasRows {
                if position.part?.object == object { throw givenUp(problem.description) }
                // None of them is stored: another attempt begins with this page.
                throw ExtractError(.unavailable, problem.description, hint: FilesProblems.changedHint)
            }
            // The rows read so far were there; what is there now is read when the object is met again.
            problems.changed.append(problem.description)
        }
        if hasRows { noteStrayRows() }
        position.part = nil
        return true
    }

    private func read(_ object: StoredObject, _ record: ObjectRecord) async throws -> Bool {
        var part: FilesPosition.Part
        if let kept = position.part, kept.object == object {
            part = kept
        } else {
            position.attempts += 1
            part = FilesPosition.Part(object: object, attempt: position.attempts, place: TextPlace())
        }
        let (compression, name) = Compression.of(object.name)
        guard let format = run.stream.files.format ?? ObjectFormat.of(name) else {
            throw ExtractError(
                .configuration, "what \(store.url(of: object.name)) holds can't be told by its name",
                at: .stream("format"),
                hint: "set format: to csv, jsonl or parquet, or narrow the pattern \(run.stream.from ?? "")")
        }
        let reading = ObjectReading(number: record.number, reading: run.reading(part.attempt))
        let isWhole: Bool
        let reader = ObjectContext(files: self, object: object, reading: reading, part: part)
        switch format {
        case .csv, .jsonl: isWhole = try await TextObjectRead(reader, format, compression).read()
        case .parquet:
            guard compression == nil else {
                throw BrokenObject(reason: "Parquet is read at random places, which a compressed file does not allow")
            }
            isWhole = try await ParquetObjectRead(reader).read()
        }
        guard isWhole else { return false }
        part = reader.part
        finished.append(
            ObjectRead(
                number: record.number, version: object.version, size: object.size,
                rows: part.place.row + part.place.bad))
        position.part = nil
        return true
    }

    func noteRejected(_ place: String) { rejectedSinceCommit.append(place) }

    /// Stores the page and where the run stands.
    func commit() async throws {
        try await commitBeside()
        try await run.settleCommits()
    }

    /// Does so while the next page is read.
    func commitBeside() async throws {
        var progress = RunContext.Progress(position: position.json)
        progress.objectsRead = finished
        try await run.commitBeside(progress)
        finished.removeAll()
        guard !rejectedSinceCommit.isEmpty else { return }
        run.rejected.add(rejectedSinceCommit)
        rejectedSinceCommit.removeAll()
        let (count, places) = (run.rejected.count, run.rejected.places.joined(separator: ", "))
        run.warn(
            "bad_lines",
            "\(count) lines could not be parsed and are spooled as rejected rows: \(places)\(count > run.rejected.places.count ? " ..." : "")",
            count: count)
    }
}

/// What the reading of one object has to do with: the run around it, and where it stands.
final class ObjectContext {
    let files: FilesRead
    let object: StoredObject
    let reading: ObjectReading
    private(set) var part: FilesPosition.Part
    var run: RunContext { files.run }
    var store: any ObjectStore { files.store }
    var url: String { files.store.url(of: object.name) }

    init(files: FilesRead, object: StoredObject, reading: ObjectReading, part: FilesPosition.Part) {
        self.files = files
        self.object = object
        self.reading = reading
        self.part = part
    }

    /// Notes where the object ended.
    func end(at place: TextPlace) { part.place = place }

    /// Notes how far the object was read.
    func stand(at place: TextPlace) {
        part.place = place
        files.position.part = part
    }
}

/// What was wrong with single objects.
private struct FilesProblems {
    static let changedHint = "run the same command again when nothing writes to these objects"

    var broken: [String] = []
    /// While they were read.
    var changed: [String] = []
    /// While the run was cut off; they are read again.
    var rewritten: [String] = []

    var count: Int { broken.count + changed.count }

    func report(to run: RunContext) throws {
        var told: [String] = []
        if !rewritten.isEmpty {
            told.append(
                "\(rewritten.prefix(5).joined(separator: "; ")): what was read of it stays, and this run reads what is there now"
            )
        }
        if !changed.isEmpty {
            let reader = run.stream.mode == .incremental ? "the next run" : "another attempt"
            told.append("\(changed.prefix(5).joined(separator: "; ")): \(reader) reads what is there then")
        }
        if !told.isEmpty {
            let later =
                run.stream.mode == .changes ? "; rows that are there no more become deletes in the next run" : ""
            run.warn(
                "object_changed", told.joined(separator: "; ") + later, count: rewritten.count + changed.count)
        }
        let snapshotHurt = run.stream.mode == .incremental ? [] : changed
        guard !broken.isEmpty || !snapshotHurt.isEmpty else { return }
        var error = ExtractError(
            broken.isEmpty ? .unavailable : .malformed,
            (broken + snapshotHurt).prefix(10).joined(separator: "; "),
            hint: broken.isEmpty
                ? Self.changedHint
                : "the other objects were read; mend or remove these, then run the same command again")
        error.endsRun = !broken.isEmpty
        throw error
    }
}
