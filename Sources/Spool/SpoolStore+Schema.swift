internal import GRDB

extension SpoolStore {
    /// The version this program writes, kept in `PRAGMA user_version`.
    package static let schemaVersion = 1

    /// `PRAGMA application_id` of every spool ("etlc"), so that no other program's database is taken for one.
    static let applicationID = 0x6574_6C63

    /// Looks at the file without changing anything, so that a newer or a foreign one is not even switched to WAL.
    static func refuseForeign(_ path: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(10)
        // An empty file is a spool to be made; a WAL that only a writer can recover is looked at again after opening.
        guard let queue = try? DatabaseQueue(path: path, configuration: configuration) else { return }
        defer { try? queue.close() }
        try queue.read { _ = try version(of: $0, path: path) }
    }

    /// The version of a spool, 0 for an empty file.
    ///
    /// - Parameter acceptsLost: true returns 0 as well for a spool whose version was lost, which is damage elsewhere.
    static func version(of database: Database, path: String, acceptsLost: Bool = false) throws -> Int {
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        let isEmpty = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") == 0
        guard application == applicationID || (application == 0 && isEmpty) else {
            throw SpoolError.damaged(path: path, reason: "it is a database of another program")
        }
        guard version <= schemaVersion else {
            throw SpoolError.newer(path: path, version: version, supported: schemaVersion)
        }
        // The first version and the tables came in one transaction.
        guard version > 0 || isEmpty || acceptsLost else { throw SpoolError.damaged(path: path, reason: lostVersion) }
        return version
    }

    static let lostVersion = "its header lost the version of the spool"

    /// Brings the file to `schemaVersion` in one transaction; each step only ever moves forward. One that is there already is only looked at:
    /// who opens a spool to read it does not wait for who writes.
    static func migrate(_ database: Database, path: String) throws {
        var isCurrent = false
        try database.inTransaction(.deferred) {
            isCurrent = try version(of: database, path: path) == schemaVersion
            return .commit
        }
        if isCurrent { return }
        try database.inTransaction(.immediate) {
            if try version(of: database, path: path) < 1 {
                try database.execute(sql: tables + views)
                try database.execute(sql: "PRAGMA application_id = \(applicationID)")
            }
            try database.execute(sql: "PRAGMA user_version = \(schemaVersion)")
            return .commit
        }
    }

    private static let tables = """
        CREATE TABLE spool_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE stream_defs (
            stream_no INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            source TEXT NOT NULL,
            mode TEXT NOT NULL,
            route INTEGER NOT NULL,
            identity TEXT NOT NULL,
            fingerprint TEXT,
            generation INTEGER NOT NULL DEFAULT 0,
            last_extracted_at INTEGER NOT NULL DEFAULT 0,
            notes TEXT,
            recent_from BLOB,
            watermark_value TEXT,
            watermark_key TEXT,
            watermark_sort BLOB,
            watermark_updated_at INTEGER
        );
        CREATE TABLE routes (
            route INTEGER PRIMARY KEY,
            stream_no INTEGER NOT NULL,
            endpoint TEXT NOT NULL,
            table_name TEXT NOT NULL,
            next_row INTEGER NOT NULL,
            claimed_to INTEGER NOT NULL,
            spooled INTEGER NOT NULL DEFAULT 0,
            unclaimed INTEGER NOT NULL DEFAULT 0,
            retired INTEGER NOT NULL DEFAULT 0,
            UNIQUE (stream_no, endpoint, table_name)
        );
        CREATE TABLE run_log (
            run_no INTEGER PRIMARY KEY,
            run_id TEXT NOT NULL UNIQUE,
            stream_no INTEGER NOT NULL,
            route INTEGER NOT NULL,
            mode TEXT NOT NULL,
            status TEXT NOT NULL,
            generation INTEGER NOT NULL,
            started_at INTEGER NOT NULL,
            finished_at INTEGER,
            first_row INTEGER,
            last_row INTEGER,
            rows_read INTEGER NOT NULL DEFAULT 0,
            rows_spooled INTEGER NOT NULL DEFAULT 0,
            rows_unchanged INTEGER NOT NULL DEFAULT 0,
            deletes INTEGER NOT NULL DEFAULT 0,
            source_reads INTEGER NOT NULL DEFAULT 0,
            retired INTEGER NOT NULL DEFAULT 0,
            watermark_from TEXT,
            watermark_to TEXT,
            position TEXT,
            warnings TEXT,
            error TEXT
        );
        CREATE INDEX run_log_open ON run_log (stream_no, status) WHERE status IN ('running', 'interrupted');
        CREATE TABLE row_data (
            row_id INTEGER PRIMARY KEY,
            run_no INTEGER NOT NULL,
            shape INTEGER NOT NULL,
            op INTEGER NOT NULL,
            extracted_at INTEGER NOT NULL,
            checksum INTEGER NOT NULL,
            insert_id TEXT NOT NULL,
            id TEXT,
            payload TEXT NOT NULL
        );
        CREATE TABLE shapes (
            shape INTEGER PRIMARY KEY,
            route INTEGER NOT NULL,
            definition TEXT NOT NULL,
            rows INTEGER NOT NULL DEFAULT 0,
            UNIQUE (route, definition)
        );
        CREATE TABLE request_log (
            request_id INTEGER PRIMARY KEY,
            route INTEGER NOT NULL,
            first_row INTEGER,
            last_row INTEGER,
            own_rows INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            state TEXT NOT NULL,
            doubt TEXT,
            attempts INTEGER NOT NULL,
            sent_at INTEGER,
            answered_at INTEGER,
            unknown_since INTEGER,
            http_status INTEGER,
            error TEXT
        );
        CREATE INDEX request_log_ranges ON request_log (first_row) WHERE first_row IS NOT NULL;
        CREATE INDEX request_log_open ON request_log (route, state) WHERE \(openRequests);
        CREATE TABLE row_fates (
            row_id INTEGER PRIMARY KEY,
            state TEXT NOT NULL,
            request_id INTEGER,
            attempts INTEGER NOT NULL DEFAULT 0,
            transient_attempts INTEGER NOT NULL DEFAULT 0,
            first_transient_at INTEGER,
            reason TEXT,
            message TEXT,
            decided_at INTEGER
        );
        CREATE INDEX row_fates_pending ON row_fates (row_id) WHERE state = 'pending';
        CREATE INDEX row_fates_requests ON row_fates (request_id) WHERE \(claimedFates);
        CREATE TABLE destination_tables (
            endpoint TEXT NOT NULL,
            table_name TEXT NOT NULL,
            record TEXT NOT NULL DEFAULT '',
            agreed_at INTEGER,
            PRIMARY KEY (endpoint, table_name)
        ) WITHOUT ROWID;
        CREATE TABLE column_names (
            stream_no INTEGER NOT NULL,
            field TEXT NOT NULL,
            base_name TEXT NOT NULL,
            column_name TEXT NOT NULL,
            PRIMARY KEY (stream_no, field)
        ) WITHOUT ROWID;
        CREATE TABLE recent_ids (
            stream_no INTEGER NOT NULL,
            watermark BLOB NOT NULL,
            insert_id TEXT NOT NULL,
            PRIMARY KEY (stream_no, watermark, insert_id)
        ) WITHOUT ROWID;
        CREATE TABLE known_versions (
            stream_no INTEGER NOT NULL,
            key BLOB NOT NULL,
            version BLOB,
            changes INTEGER NOT NULL DEFAULT 0,
            seen_run INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (stream_no, key)
        ) WITHOUT ROWID;
        CREATE TABLE equal_rows (
            stream_no INTEGER NOT NULL,
            scope BLOB NOT NULL,
            hash BLOB NOT NULL,
            rows INTEGER NOT NULL,
            PRIMARY KEY (stream_no, scope, hash)
        ) WITHOUT ROWID;
        CREATE TABLE objects (
            object_no INTEGER PRIMARY KEY,
            stream_no INTEGER NOT NULL,
            name TEXT NOT NULL,
            version TEXT,
            size INTEGER NOT NULL DEFAULT 0,
            rows INTEGER NOT NULL DEFAULT 0,
            read_at INTEGER,
            run_no INTEGER,
            UNIQUE (stream_no, name)
        );
        CREATE TABLE object_log (
            object_no INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            reading INTEGER NOT NULL,
            spooled BLOB NOT NULL,
            unchanged BLOB NOT NULL,
            PRIMARY KEY (object_no, seq)
        );
        CREATE TABLE scan_findings (
            stream_no INTEGER NOT NULL,
            key BLOB NOT NULL,
            kind INTEGER NOT NULL,
            version BLOB,
            PRIMARY KEY (stream_no, key)
        ) WITHOUT ROWID;
        CREATE TABLE retired_days (
            route INTEGER NOT NULL,
            day INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            PRIMARY KEY (route, day)
        ) WITHOUT ROWID;
        CREATE TABLE quarantined_rows (
            row_id INTEGER PRIMARY KEY,
            found_at INTEGER NOT NULL,
            reason TEXT NOT NULL
        );

        """

    /// The condition of the index over requests that are not settled. SQLite uses it only for queries with the same text.
    static let openRequests = "state IN ('pending', 'sending', 'in_doubt')"
    /// The condition of the index over single rows that belong to a list.
    static let claimedFates = "state IN ('sending', 'in_doubt')"

    /// Microseconds as RFC 3339 text, as in the payloads.
    private static func text(_ column: String) -> String {
        """
        CASE WHEN \(column) IS NULL THEN NULL ELSE
        strftime('%Y-%m-%dT%H:%M:%S', (\(column) - ((\(column) % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch')
        || rtrim(rtrim(printf('.%06d', ((\(column) % 1000000) + 1000000) % 1000000), '0'), '.') || 'Z' END
        """
    }

    /// What people with a sqlite3 shell may rely on (contract section 8).
    private static let views = """
        CREATE VIEW spooled_rows AS
            SELECT d.row_id, s.name AS stream, u.run_id, d.id,
                CASE d.op WHEN 0 THEN 'upsert' ELSE 'delete' END AS op, d.insert_id,
                CASE WHEN f.row_id IS NOT NULL THEN f.state WHEN q.request_id IS NOT NULL THEN q.state ELSE 'pending' END
                    AS state,
                CASE WHEN f.row_id IS NOT NULL THEN f.attempts ELSE coalesce(q.attempts, 0) END AS attempts,
                CASE WHEN f.row_id IS NOT NULL THEN f.reason ELSE q.doubt END AS reason,
                CASE WHEN f.row_id IS NOT NULL THEN f.message ELSE q.error END AS message,
                \(text("d.extracted_at")) AS extracted_at,
                CASE WHEN f.row_id IS NOT NULL
                    THEN CASE WHEN f.state = 'delivered' THEN \(text("f.decided_at")) END
                    ELSE CASE WHEN q.state = 'delivered' THEN \(text("q.answered_at")) END
                END AS delivered_at,
                d.payload
            FROM row_data d
            CROSS JOIN run_log u ON u.run_no = d.run_no
            CROSS JOIN stream_defs s ON s.stream_no = u.stream_no
            LEFT JOIN row_fates f ON f.row_id = d.row_id
            LEFT JOIN request_log q ON q.request_id = (
                SELECT r.request_id FROM request_log r
                WHERE r.first_row IS NOT NULL AND r.first_row <= d.row_id ORDER BY r.first_row DESC LIMIT 1
            ) AND q.last_row >= d.row_id;
        CREATE VIEW runs AS
            SELECT u.run_id, s.name AS stream, u.mode, u.status, \(text("u.started_at")) AS started_at,
                \(text("u.finished_at")) AS finished_at, u.rows_read, u.rows_spooled, u.watermark_from, u.watermark_to,
                u.error
            FROM run_log u JOIN stream_defs s ON s.stream_no = u.stream_no;
        CREATE VIEW streams AS
            SELECT s.name AS stream, s.source, r.table_name, s.mode
            FROM stream_defs s JOIN routes r ON r.route = s.route;
        CREATE VIEW watermarks AS
            SELECT name AS stream, watermark_value AS value, watermark_key AS key,
                \(text("watermark_updated_at")) AS updated_at
            FROM stream_defs WHERE watermark_value IS NOT NULL;
        CREATE VIEW object_versions AS
            SELECT s.name AS stream, o.name AS object, o.version, o.size, o.rows, \(text("o.read_at")) AS read_at, u.run_id
            FROM objects o JOIN stream_defs s ON s.stream_no = o.stream_no LEFT JOIN run_log u ON u.run_no = o.run_no
            WHERE o.version IS NOT NULL;
        CREATE VIEW requests AS
            SELECT q.request_id, s.name AS stream, q.state, q.rows, q.bytes, q.attempts, \(text("q.sent_at")) AS sent_at,
                \(text("q.answered_at")) AS answered_at, q.http_status, q.error
            FROM request_log q JOIN routes r ON r.route = q.route JOIN stream_defs s ON s.stream_no = r.stream_no;

        """
}
