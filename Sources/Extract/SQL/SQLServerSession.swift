internal import Synchronization

/// One connection of a client library. All calls block and belong on its session's queue; `interrupt` alone may come from elsewhere.
protocol SQLConnection: AnyObject, Sendable {
    /// Runs a statement to its end and hands its rows out as text.
    @discardableResult
    func rows(of statement: String, doing what: String) throws -> [[String?]]

    /// What the stream reads: columns with their types, the primary key.
    func describe(_ stream: ExtractRequest) throws -> SQLTable

    /// Starts a query whose rows stay on the server until they are read.
    func beginRows(of query: String, doing what: String) throws

    /// Fills the chunk with rows; it stays empty after the last.
    func readRows(into chunk: SQLChunk, doing what: String) throws

    /// Makes whatever runs on the connection end soon. From any thread.
    func interrupt()

    /// Ends the connection; the server gives up what still runs in it.
    func finish()
}

/// A session over a client library's connection, whose blocking calls run on a queue of their own.
final class SQLServerSession<Connection: SQLConnection>: SQLSession {
    /// Begins a snapshot in a session and in others, as `SQLSession.beginSnapshot` promises.
    typealias Snapshot = @Sendable (SQLServerSession, [any SQLSession], SQLTable) async throws -> Bool

    let grammar: any SQLGrammar
    private let queue: SQLConnectionQueue
    private let connection: Connection
    private let snapshot: Snapshot
    /// What is read, for messages.
    private let subject = Mutex("the table")

    /// - Parameter queue: the one on which the connection was made.
    init(
        _ connection: Connection, on queue: SQLConnectionQueue, grammar: any SQLGrammar, snapshot: @escaping Snapshot
    ) {
        self.connection = connection
        self.queue = queue
        self.grammar = grammar
        self.snapshot = snapshot
    }

    private func run<Value: Sendable>(_ body: @escaping @Sendable (Connection) throws -> Value) async throws -> Value {
        let connection = connection
        return try await queue.run(interrupt: { connection.interrupt() }) { try body(connection) }
    }

    private var reading: String { "reading " + subject.withLock { $0 } }

    func describe(_ stream: ExtractRequest) async throws -> SQLTable {
        let table = try await run { try $0.describe(stream) }
        subject.withLock { $0 = table.subject }
        return table
    }

    func firstRow(of query: String) async throws -> [String?]? {
        let what = reading
        return try await run { try $0.rows(of: query, doing: what).first }
    }

    func beginSnapshot(with others: [any SQLSession], of table: SQLTable) async throws -> Bool {
        try await snapshot(self, others, table)
    }

    func endSnapshot() async throws {
        try await run { _ = try $0.rows(of: "COMMIT", doing: "ending a transaction") }
    }

    func open(_ query: String, width: Int) async throws {
        let what = reading
        try await run { try $0.beginRows(of: query, doing: what) }
    }

    func fetch(into chunk: SQLChunk) async throws {
        let what = reading
        try await run { try $0.readRows(into: chunk, doing: what) }
    }

    func close() async {
        let connection = connection
        await queue.finish { connection.finish() }
    }
}
