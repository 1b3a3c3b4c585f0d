internal import JSONBytes
internal import Spool
internal import Transport

/// Finds what is new, changed or gone since the last run: a keys-only scan at one `readTime` against the known versions, then only the
/// changed documents are fetched. The first run reads the documents at once.
///
/// Nothing is spooled before the scan is complete and the mass-delete guard has passed: an interrupted scan, a permission error or an
/// empty answer never looks like a delete.
struct FirestoreChangesRead {
    let reader: FirestoreReader
    private var run: RunContext { reader.run }

    init(_ reader: FirestoreReader) { self.reader = reader }

    private enum Phase: String {
        case scan
        case fetch
        case delete
    }

    private struct Position {
        var phase: Phase
        var readTime: String
        /// Path of the last document scanned.
        var after: String?

        var json: JSONValue {
            .init([
                ("phase", .string(phase.rawValue)), ("readTime", .string(readTime)),
                ("after", after.map(JSONValue.string) ?? .null),
            ])
        }
    }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        let kept = run.position
        if FirestoreFullRead.isPosition(kept) || kept == nil && run.state.knownVersions == 0 {
            // Rows of an earlier life of the stream may still be in the spool, under the same ids.
            if run.state.knownVersions == 0 { try await run.lookUpSpooledRows() }
            return try await FirestoreFullRead(reader, remembersVersions: true).read()
        }
        var position: Position
        if let kept, let phase = kept["phase"]?.stringValue.flatMap(Phase.init(rawValue:)),
            let readTime = kept["readTime"]?.stringValue
        {
            position = Position(phase: phase, readTime: readTime, after: kept["after"]?.stringValue)
        } else {
            guard !run.isExhausted else { return false }
            position = Position(phase: .scan, readTime: try await reader.freshReadTime().text, after: nil)
            try await run.store.clearFindings(stream: run.state.number)
            try await run.commit(RunContext.Progress(position: position.json))
        }
        if position.phase == .scan {
            guard try await scan(&position) else { return false }
            try await guardAgainstMassDelete()
            position.phase = .fetch
            try await run.commit(RunContext.Progress(position: position.json))
        }
        if position.phase == .fetch {
            guard try await fetch(&position) else { return false }
            position.phase = .delete
            try await run.commit(RunContext.Progress(position: position.json))
        }
        try await writeDeletes(position)
        return true
    }

    // MARK: Scan

    private func scan(_ position: inout Position) async throws -> Bool {
        while true {
            do {
                return try await scanPages(&position)
            } catch let error as ExtractError where error.isExpiredReadTime {
                // A scan at two moments could take a document for gone that only moved in time: begin it again.
                position.readTime = try await reader.freshReadTime().text
                position.after = nil
                reader.warnReadTimeExpired()
                run.page.removeAll()
                try await run.store.clearFindings(stream: run.state.number)
                try await run.commit(RunContext.Progress(position: position.json))
            }
        }
    }

    private func scanPages(_ position: inout Position) async throws -> Bool {
        while true {
            let remaining = run.remainingReads ?? .max
            guard remaining > 0 else { return false }
            let wanted = min(remaining, FirestoreReader.keysPerQuery)
            var query = FirestoreQuery(reader.collection)
            query.isKeysOnly = true
            query.orderByName()
            if let after = position.after {
                query.startAfter = [.init([("referenceValue", .string(reader.client.root + "/" + after))])]
            }
            query.limit = wanted
            let response = try await reader.client.runQuery(query, readTime: position.readTime)
            var seen: [(key: [UInt8], version: [UInt8])] = []
            var last: String?
            let received = try await reader.read(response, withFields: false) { document in
                let path = try reader.path(of: document.name)
                guard let updatedAt = document.updatedAt else {
                    throw ExtractError(.malformed, "reading \(reader.subject) gave a document without updateTime")
                }
                if reader.belongs(path) {
                    run.countRecord()
                    seen.append(
                        (
                            reader.knownKey(of: path),
                            FirestoreReader.version(updatedAt: updatedAt, createdAt: document.createdAt)
                        ))
                }
                reader.passed(path)
            }
            last = received > 0 ? reader.lastPath : nil
            run.page.removeAll()
            let isLast = received < wanted
            let lower = position.after.map { scanKey(ofPath: $0) }
            let upper = isLast ? nil : last.map { scanKey(ofPath: $0) }
            var progress = RunContext.Progress()
            progress.findings = try await compare(seen, after: lower, through: upper)
            if let last { position.after = last }
            progress.position = position.json
            try await run.commit(progress)
            if isLast { return true }
        }
    }

    private func scanKey(ofPath path: String) -> [UInt8] {
        var tail = path
        if !reader.collection.isGroup, let slash = path.lastIndex(of: "/") {
            tail = String(path[path.index(after: slash)...])
        }
        return Array(tail.utf8).withUnsafeBytes { FirestoreKey.encode(path: $0) }
    }

    /// Both lists are in the order of names: one walk tells what is new, changed or gone between the bounds.
    private func compare(
        _ seen: [(key: [UInt8], version: [UInt8])], after lower: [UInt8]?, through upper: [UInt8]?
    ) async throws -> [ScanFinding] {
        let known = try await run.store.knownVersions(stream: run.state.number, after: lower, through: upper)
        var findings: [ScanFinding] = []
        var index = 0
        for document in seen {
            while index < known.count, known[index].key.lexicographicallyPrecedes(document.key) {
                findings.append(ScanFinding(key: known[index].key, kind: .gone, version: known[index].version))
                index += 1
            }
            if index < known.count, known[index].key == document.key {
                if known[index].version != document.version {
                    findings.append(ScanFinding(key: document.key, kind: .changed))
                }
                index += 1
            } else {
                findings.append(ScanFinding(key: document.key, kind: .changed))
            }
        }
        while index < known.count {
            findings.append(ScanFinding(key: known[index].key, kind: .gone, version: known[index].version))
            index += 1
        }
        return findings
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

    // MARK: Fetch

    private func fetch(_ position: inout Position) async throws -> Bool {
        while true {
            let remaining = run.remainingReads ?? .max
            guard remaining > 0 else { return false }
            let findings = try await run.store.findings(
                stream: run.state.number, kind: .changed, after: nil,
                limit: min(remaining, FirestoreReader.documentsPerFetch))
            guard !findings.isEmpty else { return true }
            do {
                try await fetch(findings, position)
            } catch let error as ExtractError where error.isExpiredReadTime {
                position.readTime = try await reader.freshReadTime().text
                reader.warnReadTimeExpired()
                run.dropUncommitted()
                try await run.commit(RunContext.Progress(position: position.json))
            }
        }
    }

    private func fetch(_ findings: [ScanFinding], _ position: Position) async throws {
        let settled = Settled()
        let response = try await reader.client.batchGet(
            findings.map { reader.path(ofKnown: $0.key) }, fields: reader.projection, readTime: position.readTime)
        _ = try await reader.read(response) { document in
            let path = try reader.path(of: document.name)
            var record = try reader.record(for: document, path: path)
            let key = reader.knownKey(of: path)
            let version = FirestoreReader.version(updatedAt: record.updatedAt ?? .minimum, createdAt: record.createdAt)
            record.knownKey = key.withUnsafeBytes(run.page.keep)
            record.knownVersion = version.withUnsafeBytes(run.page.keep)
            run.page.add(record)
            settled.keys.append(key)
            if run.isPageFull { try await commit(settled, position) }
        } missing: { name in
            // Gone between scan and fetch, which only a fresh readTime lets happen: the next scan will see it.
            settled.keys.append(reader.knownKey(of: try reader.path(of: name)))
        }
        try await commit(settled, position)
    }

    private final class Settled {
        var keys: [[UInt8]] = []
    }

    private func commit(_ settled: Settled, _ position: Position) async throws {
        var progress = RunContext.Progress(position: position.json)
        progress.settledFindings = settled.keys
        try await run.commit(progress)
        settled.keys.removeAll()
    }

    // MARK: Deletes

    private func writeDeletes(_ position: Position) async throws {
        while true {
            let gone = try await run.store.findings(
                stream: run.state.number, kind: .gone, after: nil, limit: run.options.rowsPerPage)
            guard !gone.isEmpty else { return }
            for finding in gone { addDelete(finding) }
            var progress = RunContext.Progress(position: position.json)
            progress.settledFindings = gone.map(\.key)
            try await run.commit(progress)
        }
    }

    private func addDelete(_ finding: ScanFinding) {
        let times = FirestoreReader.times(of: finding.version ?? [])
        let path = Array(reader.path(ofKnown: finding.key).utf8).withUnsafeBytes(run.page.keep)
        let slash = run.page.values.bytes(path).lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
        let versionStart = run.page.values.count
        run.page.values.append(times.updatedAt)
        var record = PageBuilder.Record(
            slots: run.page.slots.count..<run.page.slots.count, id: path.lowerBound + slash..<path.upperBound,
            path: path,
            createdAt: times.createdAt, updatedAt: times.updatedAt, version: versionStart..<run.page.values.count,
            identity: path)
        record.operation = .delete
        record.knownKey = finding.key.withUnsafeBytes(run.page.keep)
        run.page.add(record)
    }
}
