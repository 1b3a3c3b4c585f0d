/// Makes connections in the state that reads need: UTC, UTF-8, nothing that writes.
enum MySQLSession {
    static func connect(_ settings: MySQLSource.Configuration) async throws -> SQLServerSession<MySQLConnection> {
        let queue = SQLConnectionQueue(label: "etlctl-mysql")
        // libmariadb offers no way to interrupt it here; its connect timeout bounds the wait.
        let connection = try await queue.run(interrupt: {}) {
            let connection = try MySQLConnection(settings)
            do {
                try prepare(connection, settings)
            } catch {
                connection.finish()
                throw error
            }
            return connection
        }
        return SQLServerSession(connection, on: queue, grammar: MySQLGrammar()) {
            try await beginSnapshot($0, $1, $2, settings)
        }
    }

    private static func prepare(_ connection: MySQLConnection, _ settings: MySQLSource.Configuration) throws {
        let what = "setting up the session"
        // Also where the server ignores what the client asked for when it connected.
        try connection.rows(of: "SET NAMES utf8mb4", doing: what)
        let version = try connection.rows(of: "SELECT VERSION()", doing: what).first?.first ?? nil
        let isMariaDB = version?.contains("MariaDB") ?? false
        let lockSeconds = max(1, (settings.lockTimeout.wholeMilliseconds + 999) / 1000)
        // Zero is no limit here and the shortest one there.
        let lock = settings.lockTimeout == .zero ? 31_536_000 : lockSeconds
        var values = [
            "time_zone = '+00:00'", "net_write_timeout = 31536000", "net_read_timeout = 31536000",
            "lock_wait_timeout = \(lock)", "innodb_lock_wait_timeout = \(lock)",
            // Backslashes, quotes and padding as this program expects them; what the reader reads does not change by it.
            "sql_mode = ''",
            // What a server, an account or an option file may have set: limits that cut a result short without a word, conditions that mean
            // something else, values that sort by their beginning alone.
            "sql_select_limit = 18446744073709551615", "sql_big_selects = 1", "sql_auto_is_null = 0",
            "max_sort_length = GREATEST(@@max_sort_length, 1024)", "autocommit = 1", "completion_type = 'NO_CHAIN'",
        ]
        let milliseconds = settings.statementTimeout.wholeMilliseconds
        if isMariaDB {
            values.append("max_statement_time = \(Double(milliseconds) / 1000)")
        } else {
            values.append("max_execution_time = \(milliseconds)")
        }
        try connection.rows(of: "SET " + values.map { "SESSION \($0)" }.joined(separator: ", "), doing: what)
        // A clock that stands still, and a moment of the past that versioned tables are read at. Not every server knows them or lets them be.
        for value in ["timestamp"] + (isMariaDB ? ["system_versioning_asof"] : []) {
            do {
                try connection.rows(of: "SET SESSION \(value) = DEFAULT", doing: what)
            } catch let error as ExtractError where !error.isTransient {}
        }
        try connection.rows(of: "SET SESSION TRANSACTION READ ONLY", doing: what)
        try connection.rows(of: "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", doing: what)
    }

    /// Servers of this kind can't hand a snapshot on. While another connection locks the table against writers, all of them see the same.
    private static func beginSnapshot(
        _ session: SQLServerSession<MySQLConnection>, _ others: [any SQLSession], _ table: SQLTable,
        _ settings: MySQLSource.Configuration
    ) async throws -> Bool {
        let gate = others.isEmpty || table.isQuery ? nil : try await lockedGate(table, settings)
        do {
            for session in [session] + (gate == nil ? [] : others) {
                _ = try await session.firstRow(of: "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            }
        } catch {
            await gate?.close()
            throw error
        }
        await gate?.close()
        return others.isEmpty || gate != nil
    }

    /// A connection that holds a read lock on the table until it is closed; nil where the lock is refused or not had at once.
    private static func lockedGate(
        _ table: SQLTable, _ settings: MySQLSource.Configuration
    ) async throws -> SQLServerSession<MySQLConnection>? {
        let gate = try await connect(settings)
        do {
            // While it is waited for, writers wait as well.
            _ = try await gate.firstRow(of: "SET SESSION lock_wait_timeout = 1")
            _ = try await gate.firstRow(of: "LOCK TABLES \(table.relation) READ")
            return gate
        } catch is ExtractError {
            await gate.close()
            return nil
        } catch {
            await gate.close()
            throw error
        }
    }
}
