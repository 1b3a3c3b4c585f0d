internal import JSONBytes
internal import Spool

/// Decides for the records of a page whose version is the hash of their fields what is new: compares with what is known of each key, and
/// counts equal records without one. Reads only; what it found out is stored with the page.
struct VersionSettlement {
    let run: RunContext
    private var page: PageBuilder { run.page }

    /// What the page's commit keeps of it.
    struct Outcome {
        var seenKeys = PackedKeys()
        var equalRows: [EqualRows] = []
        var objectLog: [ObjectLogEntry] = []
        /// Versions known already.
        var unchanged = 0
    }

    /// - Throws: `ExtractError` of kind `.configuration` for a key that this run has met before, if `run.refusesRepeatedKeys`.
    func settle() async throws -> Outcome {
        var outcome = Outcome()
        guard page.records.contains(where: \.hashesFields) else { return outcome }
        page.hashFields()
        try await compareWithKnown(&outcome)
        try await countEqualRows(&outcome)
        try await countObjectRows(&outcome)
        return outcome
    }

    private func compareWithKnown(_ outcome: inout Outcome) async throws {
        let tracked = page.records.indices.filter {
            page.records[$0].hashesFields && page.records[$0].knownKey != nil && page.records[$0].operation == .upsert
        }
        guard !tracked.isEmpty else { return }
        var keys = PackedKeys()
        for index in tracked {
            if let key = page.records[index].knownKey { keys.append(page.values.bytes(key)) }
        }
        let known = try await run.store.knownChanges(stream: run.state.number, of: keys)
        // What earlier records of this page have made of a key.
        var met: [[UInt8]: KnownChange] = [:]
        met.reserveCapacity(tracked.count)
        for (index, before) in zip(tracked, known) {
            guard let range = page.records[index].knownKey else { continue }
            let key = [UInt8](page.values.bytes(range))
            let last = met[key] ?? before
            if run.refusesRepeatedKeys, last?.seenRun == run.run.number { throw repeated(page.records[index]) }
            let hash = page.knownHash(at: index)
            let now: KnownChange
            if let last, last.hash == hash, last.isForgotten {
                // Offered under the id it had: the spool knows whether it has the row.
                page.records[index].changes = last.changes
                page.records[index].knownVersion = hash.bytes.withUnsafeBytes(page.keep)
                now = KnownChange(hash: hash, changes: last.changes, seenRun: run.run.number)
            } else if let last, last.hash == hash {
                page.records[index].isUnchanged = true
                outcome.seenKeys.append(page.values.bytes(range))
                outcome.unchanged += 1
                now = KnownChange(hash: hash, changes: last.changes, seenRun: run.run.number)
            } else {
                let changes = last.map { $0.changes + 1 } ?? 0
                page.records[index].changes = changes
                page.records[index].knownVersion = hash.bytes.withUnsafeBytes(page.keep)
                now = KnownChange(hash: hash, changes: changes, seenRun: run.run.number)
            }
            met[key] = now
        }
    }

    private func repeated(_ record: PageBuilder.Record) -> ExtractError {
        let key = String(decoding: page.values.bytes(record.identity), as: UTF8.self)
        var error = ExtractError.repeatedKey(key, stream: run.stream)
        // This run knows the key as met, whatever becomes of the rows: the next one looks at all of them anew.
        error.endsRun = true
        return error
    }

    private struct Counted: Hashable {
        var scope: [UInt8]
        var hash: KnownHash
    }

    private func countEqualRows(_ outcome: inout Outcome) async throws {
        var order: [EqualRows] = []
        var places: [Counted: Int] = [:]
        var counted: [(record: Int, place: Int)] = []
        for index in page.records.indices {
            guard let scope = page.records[index].countScope, page.records[index].object == nil else { continue }
            let key = Counted(
                scope: [UInt8](page.values.bytes(scope)), hash: page.knownHash(at: index))
            let place = places[key] ?? order.count
            if place == order.count {
                places[key] = place
                order.append(EqualRows(scope: key.scope, hash: key.hash, rows: 0))
            }
            counted.append((index, place))
        }
        guard !order.isEmpty else { return }
        let before = try await run.store.equalRows(stream: run.state.number, order)
        for (place, rows) in before.enumerated() { order[place].rows = rows }
        for (record, place) in counted {
            page.records[record].equalsBefore = order[place].rows
            if page.records[record].dropsEqualRows, order[place].rows > 0 {
                page.records[record].isUnchanged = true
                outcome.unchanged += 1
            }
            order[place].rows += 1
        }
        outcome.equalRows = order
    }

    /// Counts equal records within each object's present reading; those that an earlier reading spooled are known already.
    private func countObjectRows(_ outcome: inout Outcome) async throws {
        var objects: [Int64: [Int]] = [:]
        // Neighbours mostly are of one object.
        var (last, indices): (Int64?, [Int]) = (nil, [])
        for index in page.records.indices {
            guard let number = page.records[index].object?.number else { continue }
            if number != last {
                if let last { objects[last, default: []] += indices }
                (last, indices) = (number, [])
            }
            indices.append(index)
        }
        if let last { objects[last, default: []] += indices }
        for (number, indices) in objects.sorted(by: { $0.key < $1.key }) {
            guard let first = indices.first, let object = page.records[first].object else { continue }
            let counts = try await run.rowCounts(of: object)
            let hashes = indices.map { page.knownHash(at: $0) }
            let before = try await counts.count(hashes, onlyOnce: object.holdsNoEquals)
            var entry = ObjectLogEntry(object: number, reading: object.reading)
            for (place, index) in indices.enumerated() {
                let count = before[place]
                page.records[index].equalsBefore = count.seen
                page.records[index].isUnchanged = count.isKnown
                if count.isKnown {
                    outcome.unchanged += 1
                    hashes[place].append(to: &entry.unchanged)
                } else {
                    hashes[place].append(to: &entry.spooled)
                }
            }
            outcome.objectLog.append(entry)
        }
    }
}

extension ExtractError {
    static func repeatedKey(_ key: String, stream: ExtractRequest) -> ExtractError {
        ExtractError(
            .configuration,
            "the key of stream \(stream.name) is not unique: more than one row of \(stream.from ?? "its query") has the key \(key)",
            at: .stream("key"),
            hint: "set key: to columns that tell every row from every other, or read without one (mode: full)")
    }
}
