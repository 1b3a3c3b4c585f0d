internal import Synchronization

/// Makes connections in the state that reads need: UTC, ISO dates, exact floats, nothing that writes.
enum PostgresSession {
    static func connect(_ settings: PostgresSource.Configuration) async throws -> SQLServerSession<PostgresConnection> {
        let queue = SQLConnectionQueue(label: "etlctl-postgres")
        let flag = Flag()
        let connection = try await queue.run(interrupt: { flag.set() }) {
            let connection = try PostgresConnection(settings, isCancelled: { flag.isSet })
            do {
                let what = "setting up the session"
                try connection.rows(of: Self.statements(settings), doing: what)
                // A database that knows no encoding holds any bytes; asked for UTF-8 it refuses those that are none.
                if try connection.rows(of: "SHOW server_encoding", doing: what).first?.first == "SQL_ASCII" {
                    try connection.rows(of: "SET client_encoding = 'SQL_ASCII'", doing: what)
                }
            } catch {
                connection.finish()
                throw error
            }
            return connection
        }
        return SQLServerSession(connection, on: queue, grammar: PostgresGrammar(), snapshot: beginSnapshot)
    }

    private static func statements(_ settings: PostgresSource.Configuration) -> String {
        let values = [
            ("TimeZone", "'UTC'"), ("DateStyle", "'ISO, YMD'"), ("IntervalStyle", "'postgres'"),
            ("extra_float_digits", "1"), ("bytea_output", "'hex'"), ("standard_conforming_strings", "on"),
            // What statements of ours mean does not hang on what a role or a database has set.
            ("array_nulls", "on"), ("transform_null_equals", "off"), ("quote_all_identifiers", "off"),
            ("default_transaction_read_only", "on"), ("xmlbinary", "'base64'"), ("lc_monetary", "'C'"),
            ("statement_timeout", String(settings.statementTimeout.wholeMilliseconds)),
            ("lock_timeout", String(settings.lockTimeout.wholeMilliseconds)),
            // A pause of ours, such as a slow disk, must not end the snapshot.
            ("idle_in_transaction_session_timeout", "0"),
        ]
        return values.map { "SET \($0.0) = \($0.1)" }.joined(separator: "; ")
    }

    /// The first session hands its snapshot on.
    @Sendable
    private static func beginSnapshot(
        _ session: SQLServerSession<PostgresConnection>, _ others: [any SQLSession], _ table: SQLTable
    ) async throws -> Bool {
        let begin = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        _ = try await session.firstRow(of: begin)
        guard !others.isEmpty else { return true }
        guard let snapshot = try await session.firstRow(of: "SELECT pg_catalog.pg_export_snapshot()")?.first ?? nil
        else {
            return false
        }
        for other in others {
            _ = try await other.firstRow(
                of: "\(begin); SET TRANSACTION SNAPSHOT \(PostgresGrammar.string(snapshot))")
        }
        return true
    }
}

/// A flag that one thread sets and another asks.
private final class Flag: Sendable {
    private let value = Atomic(false)
    func set() { value.store(true, ordering: .relaxed) }
    var isSet: Bool { value.load(ordering: .relaxed) }
}

extension Duration {
    /// Rounded up, so that a short limit does not become none.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    }
}
