package import Spool

/// What the command line and the spool's configuration ask of an extraction.
package struct ExtractOptions: Sendable {
    /// `--full`: every record once, under the stream's own mode and ids.
    package var readsEverything = false
    /// `--restart`: a run that was cut off is left behind.
    package var restarts = false
    /// `--limit`: records read in this command at most.
    package var limit: Int?
    /// How long transient errors of the source, and a full spool, are borne; nil for ever.
    package var patience: Duration? = .seconds(60)
    /// A shipper is at work beside: room in the spool is waited for without end, unless it has stopped all tables that rows wait for. Which
    /// these are (`project.dataset.table`) is what this tells.
    package var stoppedTables: (@Sendable () -> Set<String>)?
    /// The longest first pause after a transient error; later ones double it.
    package var firstPause = Duration.milliseconds(500)
    package var allowsMassDelete = false
    /// `spool.max_size` in bytes; 0 for no limit.
    package var maximumSpoolBytes: Int64 = 0
    /// A page is committed at the latest at so many rows or bytes.
    package var rowsPerPage = 2000
    package var bytesPerPage = 4 << 20
    /// Documents a query may return: large enough to make round trips cheap, small enough for a server's deadline of a minute.
    package var documentsPerQuery = 20_000
    /// Names are small: fewer, larger queries.
    package var keysPerQuery = 10_000
    /// Documents fetched by one request for named documents.
    package var documentsPerFetch = 500
    /// Rows of one object that are counted in memory: 18 bytes a row, in a table that grows to 22 MB; more are counted on disk, which is
    /// slower.
    package var rowsCountedInMemory = 1_040_000
    /// Rows a page of a query's result may have; the server sends fewer where they are large.
    package var rowsPerQuery = 20_000
    /// Fewer rows of a table are not worth a reader of their own (`parallel`).
    package var fewestRowsPerReader = 10_000
    package var clock: @Sendable () -> Timestamp = { .now() }

    package init() {}
}
