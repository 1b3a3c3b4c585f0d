/// A system rows come from.
///
/// A source reads records in its own order and hands them to the run, page by page; each page is committed together with the position
/// that is true once it is stored. Around it are normalised rows, the spool, retries of transient errors, budgets and progress: none of it
/// is the source's business.
package protocol Source: Sendable {
    /// The word for it in the configuration's `type`.
    static var kind: String { get }

    /// What the source is, for the position's identity and for messages: project and database, host, bucket. Never a password.
    var location: String { get }

    /// Refuses what a stream's configuration asks of this source and it can't do.
    ///
    /// - Throws: `ExtractError` of kind `.configuration`.
    func validate(_ stream: ExtractRequest) throws

    /// Reads the stream's records to the run's upper bound, starting at the run's position.
    ///
    /// Records may repeat between runs, never within one. Transient errors are thrown, not retried: the run calls again, and reading
    /// goes on from the last committed page. Cancellation ends it.
    ///
    /// - Returns: false if the run was ended early by a budget and is to be continued.
    func read(_ run: RunContext) async throws -> Bool
}

/// A source whose server can count what a stream would read.
package protocol CountableSource: Source {
    /// How many rows a full read would bring; a count reads the whole table or an index of it.
    func count(_ stream: ExtractRequest) async throws -> Int
}

/// A source that can tell what a stream would meet without reading it.
package protocol CheckableSource: Source {
    /// One line for `etlctl check`.
    ///
    /// - Throws: `ExtractError` for what an extraction would fail of.
    func check(_ stream: ExtractRequest) async throws -> String
}
