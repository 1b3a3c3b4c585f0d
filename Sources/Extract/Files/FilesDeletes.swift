internal import JSONBytes
internal import Spool

/// Rows of `changes` streams that no object holds any more: each becomes a row with `_op` `delete`.
struct FilesDeletes {
    private static let keysPerPage = 1000

    let run: RunContext

    init(_ run: RunContext) { self.run = run }

    func guardAgainstMassDelete() async throws {
        let gone = try await run.store.countUnseen(stream: run.state.number, run: run.run.number)
        let known = run.state.knownVersions
        guard gone * 2 > known, !run.options.allowsMassDelete else { return }
        throw ExtractError(
            .massDelete,
            "\(gone) of \(known) known rows of stream \(run.stream.name) are in no object any more: more than half; none was marked as deleted",
            hint:
                "if they are really gone, run again with --allow-mass-delete; otherwise check the source's url and from:"
        )
    }

    /// Writes all deletes; what an earlier read wrote of them is known no more.
    func write(_ position: FilesPosition) async throws {
        while true {
            let gone = try await run.store.unseen(
                stream: run.state.number, run: run.run.number, after: nil, limit: Self.keysPerPage)
            guard !gone.isEmpty else { return }
            for (key, changes) in gone { add(key, changes: changes + 1) }
            try await run.commit(RunContext.Progress(position: position.json))
        }
    }

    private func add(_ key: [UInt8], changes: Int) {
        let page = run.page
        let place = key.withUnsafeBytes(page.keep)
        var record = PageBuilder.Record(
            slots: page.slots.count..<page.slots.count, id: place, version: 0..<0, identity: place)
        record.hashesFields = true
        record.operation = .delete
        record.knownKey = place
        record.changes = changes
        record.mayRepeat = run.usesTemporaryIndex
        page.add(record)
    }
}
