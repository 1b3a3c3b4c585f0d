internal import Spool

/// Turns what a run in the mode `changes` has not met into deletes: for sources whose versions are known by key and hash.
struct GoneRecords {
    let run: RunContext
    /// For messages.
    let subject: String

    /// - Parameter known: records known when the run began.
    /// - Throws: `ExtractError.massDelete` if more than half of them would go, unless that is allowed.
    func guardAgainstMassDelete(known: Int) async throws {
        let gone = try await run.store.countUnseen(stream: run.state.number, run: run.run.number)
        guard gone * 2 > known, !run.options.allowsMassDelete else { return }
        throw ExtractError(
            .massDelete,
            "\(gone) of \(known) known rows of \(subject) are gone: more than half; no delete was spooled",
            hint:
                "if they were really deleted, run again with --allow-mass-delete; otherwise check the source and its permissions"
        )
    }

    /// Spools a delete for each, page by page; what is stored is not found again.
    func spoolDeletes(_ progress: RunContext.Progress) async throws {
        var last: [UInt8]?
        while true {
            let gone = try await run.store.unseen(
                stream: run.state.number, run: run.run.number, after: last, limit: run.options.rowsPerPage)
            guard !gone.isEmpty else { return }
            for record in gone {
                let key = record.key.withUnsafeBytes(run.page.keep)
                var delete = PageBuilder.Record(
                    slots: run.page.slots.count..<run.page.slots.count, id: key, version: 0..<0, identity: key)
                delete.operation = .delete
                delete.hashesFields = true
                delete.knownKey = key
                delete.changes = record.changes + 1
                delete.mayRepeat = run.usesTemporaryIndex
                run.page.add(delete)
            }
            last = gone.last?.key
            try await run.commit(progress)
        }
    }
}
