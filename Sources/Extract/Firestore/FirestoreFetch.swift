internal import JSONBytes
internal import Spool
internal import Transport

/// Fetches the documents that the scan of `changes` found to be new or changed, by name.
struct FirestoreFetch {
    private let reader: FirestoreReader
    private var run: RunContext { reader.run }

    init(_ reader: FirestoreReader) { self.reader = reader }

    /// Returns false when a budget ended it early.
    func fetch(_ position: inout FirestoreChangesRead.Position) async throws -> Bool {
        while true {
            guard !run.isExhausted else { return false }
            let most = min(run.remainingReads ?? .max, run.options.documentsPerFetch)
            let findings = try await run.store.findings(
                stream: run.state.number, kind: .changed, after: nil, limit: most)
            guard !findings.isEmpty else { return true }
            try await fetch(findings, position)
        }
    }

    private func fetch(_ findings: [ScanFinding], _ position: FirestoreChangesRead.Position) async throws {
        var settled: [[UInt8]] = []
        var came = 0
        var isStoring = false
        func commit() async throws {
            isStoring = true
            var progress = RunContext.Progress(position: position.json)
            progress.settledFindings = settled
            try await run.commit(progress)
            settled.removeAll(keepingCapacity: true)
            isStoring = false
        }
        do {
            let response = try await reader.client.batchGet(
                findings.map { reader.path(ofKnown: $0.key) }, fields: reader.projection, readTime: position.readTime)
            try await reader.read(response) { document in
                settled.append(try take(document))
                came += 1
                if run.isPageFull { try await commit() }
            } missing: { name in
                // Gone between scan and fetch, which only a fresh readTime lets happen: the next scan will see it.
                settled.append(reader.knownKey(of: try reader.path(of: name)))
                came += 1
            }
            guard came >= findings.count else {
                throw ExtractError(
                    .unavailable,
                    "\(reader.subject): \(findings.count - came) documents that were asked for did not come")
            }
        } catch let error as ExtractError where !isStoring {
            try await commit()
            throw error
        }
        try await commit()
    }

    /// Adds the document's row to the page; returns its key.
    private func take(_ document: FirestoreDocument) throws -> [UInt8] {
        let path = try reader.path(of: document.name)
        run.countRecord()
        var record = try reader.record(for: document, path: path)
        record.mayRepeat = run.usesTemporaryIndex
        try reader.remember(&record)
        run.page.add(record)
        return reader.knownKey(of: path)
    }
}

/// Writes the rows of documents that are gone: no fields, the last known times, `_op` delete.
struct FirestoreDeletes {
    private let reader: FirestoreReader
    private var run: RunContext { reader.run }

    init(_ reader: FirestoreReader) { self.reader = reader }

    func write(_ position: FirestoreChangesRead.Position) async throws {
        while true {
            let gone = try await run.store.findings(
                stream: run.state.number, kind: .gone, after: nil, limit: run.options.rowsPerPage)
            guard !gone.isEmpty else { return }
            for finding in gone { add(finding) }
            var progress = RunContext.Progress(position: position.json)
            progress.settledFindings = gone.map(\.key)
            try await run.commit(progress)
        }
    }

    private func add(_ finding: ScanFinding) {
        let page = run.page
        let times = FirestoreReader.times(of: finding.version ?? [])
        let path = Array(reader.path(ofKnown: finding.key).utf8).withUnsafeBytes(page.keep)
        let slash = page.values.bytes(path).lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
        let versionStart = page.values.count
        page.values.append(times.updatedAt)
        var record = PageBuilder.Record(
            slots: page.slots.count..<page.slots.count, id: path.lowerBound + slash..<path.upperBound, path: path,
            createdAt: times.createdAt, updatedAt: times.updatedAt, version: versionStart..<page.values.count,
            identity: path)
        record.operation = .delete
        record.knownKey = finding.key.withUnsafeBytes(page.keep)
        page.add(record)
    }
}
