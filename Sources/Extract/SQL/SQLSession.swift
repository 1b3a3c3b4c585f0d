/// One connection to a database server, as the reads use it. Calls come one at a time; each runs on the connection's own queue, and is cut
/// short when its task is cancelled.
protocol SQLSession: AnyObject, Sendable {
    var grammar: any SQLGrammar { get }

    /// What the stream reads: columns with their types, the primary key.
    ///
    /// - Throws: `ExtractError` of kind `.configuration` for what doesn't exist, `.denied` for what may not be read.
    func describe(_ stream: ExtractRequest) async throws -> SQLTable

    /// The first row of a small query; nil without one.
    func firstRow(of query: String) async throws -> [String?]?

    /// Begins a read-only transaction in this session and in each of the others; the reads of all see the same state.
    ///
    /// - Returns: false, with a transaction in this session alone, where the server can't give several sessions one state of the table.
    func beginSnapshot(with others: [any SQLSession], of table: SQLTable) async throws -> Bool

    func endSnapshot() async throws

    /// Starts a query whose rows `fetch` brings, unbuffered.
    func open(_ query: String, width: Int) async throws

    /// Fills the chunk with the rows that come next; it stays empty at the end.
    func fetch(into chunk: SQLChunk) async throws

    /// Ends the connection at once, and with it what runs in it.
    func close() async
}

/// How a server's language spells what reads are made of.
protocol SQLGrammar: Sendable {
    /// The quote of identifiers.
    var quote: Unicode.Scalar { get }
    /// The server's clock in UTC, `2025-11-25 14:57:57.425`.
    var now: String { get }

    /// A value of a column in a statement; the text is the server's or the row's form of it. No value can change a statement.
    func literal(_ text: String, of column: SQLColumn) -> String

    /// The column as it is ordered and compared. Text watermarks are compared byte by byte.
    func term(_ column: SQLColumn, bytewise: Bool) -> String

    /// What stands for a column of the key in a position: the column itself where it sorts as its text compares.
    func position(of column: SQLColumn) -> SQLColumn

    /// True for rows behind a row of these values, in the order of the columns.
    func isAfter(_ terms: [String], _ literals: [String]) -> String

    /// True for this row and those in front of it, in the order of the columns.
    func isUpTo(_ terms: [String], _ literals: [String]) -> String

    /// The query whose row tells how many bytes of these terms there are at most to compare; nil where the server always sorts by whole values.
    func sortedBytes(_ terms: [String], of relation: String) -> String?

    /// The statement that makes the session sort by so many bytes of each of so many terms; nil where it always sorts by whole values.
    func sorting(bytes: Int, terms: Int) -> String?

    /// The latest moment that a watermark of this class may have now; nil for other classes.
    func latest(_ kind: SQLWatermarkClass) -> String?

    /// True for values that a watermark can follow: neither NaN nor infinity, beyond which no value could ever be found. Nil where a column
    /// has no others.
    func isBelowInfinity(_ term: String, _ column: SQLColumn) -> String?
}

extension SQLGrammar {
    func position(of column: SQLColumn) -> SQLColumn { column }
    func sortedBytes(_ terms: [String], of relation: String) -> String? { nil }
    func sorting(bytes: Int, terms: Int) -> String? { nil }

    func quoted(_ name: String) -> String {
        // By scalars: a quote before an accent is still a quote, and what only looks like one is none.
        var text = String.UnicodeScalarView([quote])
        for scalar in name.unicodeScalars {
            text.append(scalar)
            if scalar == quote { text.append(scalar) }
        }
        text.append(quote)
        return String(text)
    }
}
