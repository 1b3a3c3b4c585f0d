internal import JSONBytes
internal import Spool

/// The keys-only scan of `changes`: every document's `updateTime` against the version known of it.
struct FirestoreScan {
    private let reader: FirestoreReader
    private var run: RunContext { reader.run }

    init(_ reader: FirestoreReader) { self.reader = reader }

    private struct Seen {
        var key: [UInt8]
        var version: [UInt8]
    }

    /// Returns false when a budget ended it early.
    func scan(_ position: inout FirestoreChangesRead.Position) async throws -> Bool {
        let lane = FirestoreLane(FirestoreRange(after: position.after))
        let begun = position
        var seen: [Seen] = []
        // Keys up to here have been compared.
        var compared = begun.after.map { reader.knownKey(ofPath: $0) }
        func standing() -> FirestoreChangesRead.Position {
            var standing = begun
            standing.after = lane.after
            return standing
        }
        defer { position = standing() }
        let pump = FirestorePump(
            reader, lanes: [lane], readTime: begun.readTime, withFields: false, mostPerQuery: run.options.keysPerQuery,
            FirestorePump.Work(
                query: { lane in
                    var query = FirestoreQuery(reader.collection)
                    query.isKeysOnly = true
                    query.orderByName()
                    if let after = lane.after { query.startAfter = [reader.reference(to: after)] }
                    return query
                },
                take: { document, path in seen.append(try take(document, path)) },
                isFull: { seen.count >= run.options.keysPerQuery },
                commit: { _ in
                    let upper = lane.after.map { reader.knownKey(ofPath: $0) }
                    try await compare(seen, after: compared, through: upper, standing())
                    compared = upper
                    seen.removeAll(keepingCapacity: true)
                }))
        guard try await pump.pump() else { return false }
        try await noteRest(after: compared, standing())
        return true
    }

    private func take(_ document: FirestoreDocument, _ path: Range<Int>) throws -> Seen {
        guard let updatedAt = document.updatedAt else {
            throw ExtractError(.malformed, "reading \(reader.subject) gave a document without updateTime")
        }
        run.countRecord()
        return Seen(
            key: reader.knownKey(of: path),
            version: FirestoreReader.version(updatedAt: updatedAt, createdAt: document.createdAt))
    }

    /// Both lists are in the order of names: one walk tells what is new, changed or gone between the bounds.
    private func compare(
        _ seen: [Seen], after lower: [UInt8]?, through upper: [UInt8]?, _ position: FirestoreChangesRead.Position
    ) async throws {
        var progress = RunContext.Progress(position: position.json)
        if let upper, upper != lower {
            try checkOrder(seen, after: lower)
            let known = try await run.store.knownVersions(stream: run.state.number, after: lower, through: upper)
            (progress.findings, progress.unchanged) = findings(seen, known, isFull: position.isFull)
        }
        try await run.commit(progress)
    }

    private func findings(
        _ seen: [Seen], _ known: [(key: [UInt8], version: [UInt8])], isFull: Bool
    ) -> (findings: [ScanFinding], unchanged: Int) {
        var (findings, unchanged) = ([ScanFinding](), 0)
        var index = 0
        func passGone(before key: [UInt8]?) {
            while index < known.count, key.map({ known[index].key.lexicographicallyPrecedes($0) }) ?? true {
                findings.append(ScanFinding(key: known[index].key, kind: .gone, version: known[index].version))
                index += 1
            }
        }
        for document in seen {
            passGone(before: document.key)
            var isKnown = false
            if index < known.count, known[index].key == document.key {
                isKnown = known[index].version == document.version
                index += 1
            }
            if isKnown, !isFull {
                unchanged += 1
            } else {
                findings.append(ScanFinding(key: document.key, kind: .changed))
            }
        }
        passGone(before: nil)
        return (findings, unchanged)
    }

    /// The walk stands and falls with the order: a document out of order would look like one that is gone.
    private func checkOrder(_ seen: [Seen], after lower: [UInt8]?) throws {
        var last = lower
        for document in seen {
            if let last, !last.lexicographicallyPrecedes(document.key) {
                throw ExtractError(
                    .unexpected,
                    "\(reader.subject) gave \(reader.path(ofKnown: document.key)) out of the order of names; nothing was spooled",
                    hint: "use mode: full, and report the two documents' names")
            }
            last = document.key
        }
    }

    /// Whatever is known behind the last document is gone. In portions, for that may be everything.
    private func noteRest(after lower: [UInt8]?, _ position: FirestoreChangesRead.Position) async throws {
        var lower = lower
        while true {
            let known = try await run.store.knownVersions(
                stream: run.state.number, after: lower, through: nil, limit: run.options.keysPerQuery)
            guard let last = known.last else { return }
            var progress = RunContext.Progress(position: position.json)
            progress.findings = known.map { ScanFinding(key: $0.key, kind: .gone, version: $0.version) }
            try await run.commit(progress)
            lower = last.key
        }
    }
}
