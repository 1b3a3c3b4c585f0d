internal import GRDB

#if canImport(Glibc)
    import Glibc
#endif

/// What is hurt in a spool file.
package struct SpoolDamage: Sendable, Equatable {
    /// Rows next to each other that are hurt in the same way.
    package struct Rows: Sendable, Equatable {
        package enum Kind: String, Sendable {
            /// The payload can be read, but is not what was spooled.
            case altered
            /// The pages that held the rows can't be read; the range also covers ids whose rows were removed before.
            case unreadable
        }

        package var stream: String
        /// `project.dataset.table`.
        package var table: String
        package var first: RowID
        package var last: RowID
        package var kind: Kind
    }

    /// SQLite's own findings; empty for a sound file.
    package var file: [String] = []
    package var rows: [Rows] = []
    /// Rows that were set aside earlier.
    package var quarantined = 0

    package var isSound: Bool { file.isEmpty && rows.isEmpty }
}

/// Tells whether a payload is well formed and holds this insertId; the spool does not look inside.
package typealias PayloadCheck =
    @Sendable (_ payload: UnsafeRawBufferPointer, _ insertID: UnsafeRawBufferPointer) -> Bool

extension SpoolStore {
    /// Says what is hurt, also in a file too damaged to be opened as a spool. Changes nothing. O(file).
    ///
    /// - Throws: `SpoolError.damaged` when not even the list of streams can be read, or the file is no spool; `.newer`; `.unusable`.
    package static func verify(path: String, payloadMatches: @escaping PayloadCheck) async throws -> SpoolDamage {
        let file = try openDamaged(path)
        do {
            return try await readDamaged(file) { try findDamage(in: $0, payloadMatches: payloadMatches) }
        } catch { throw damagedBeyondReading(error, path: path) }
    }

    /// One read transaction that ends well although SQLite met damage, after which it refuses to commit even a read.
    static func readDamaged<Value: Sendable>(
        _ file: DatabaseQueue, _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws -> Value {
        try await file.writeWithoutTransaction { database in
            try database.execute(sql: "BEGIN")
            defer { try? database.execute(sql: "ROLLBACK") }
            return try body(database)
        }
    }

    /// Where the schema is damaged SQLite says that there is no such table; other errors are what they are everywhere.
    static func damagedBeyondReading(_ error: any Error, path: String) -> any Error {
        guard let failure = error as? DatabaseError, failure.resultCode == .SQLITE_ERROR else {
            return SpoolError.translating(error, path: path)
        }
        return SpoolError.damaged(path: path, reason: failure.message ?? "its schema can't be read")
    }

    /// What a file of this version has as its schema, in no particular order.
    private static func schema(of database: Database) throws -> Set<String> {
        Set(
            try String.fetchAll(
                database,
                sql: "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_master"))
    }

    /// Opens a file for reading whatever its state is; checks that it is a spool that this program knows.
    static func openDamaged(_ path: String) throws -> DatabaseQueue {
        guard access(path, F_OK) == 0 else { throw SpoolError.unusable(path: path, reason: "there is no such file") }
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { database in
            // Lets SQLite read a file that is shorter than its header says.
            try database.execute(sql: "PRAGMA writable_schema = ON")
        }
        do {
            let file = try DatabaseQueue(path: path, configuration: configuration)
            let found = try file.read { try version(of: $0, path: path) }
            guard found == schemaVersion else {
                throw SpoolError.damaged(path: path, reason: "it holds no spool")
            }
            return file
        } catch { throw SpoolError.translating(error, path: path) }
    }

    private static func findDamage(in database: Database, payloadMatches: PayloadCheck) throws -> SpoolDamage {
        var damage = SpoolDamage()
        do {
            let findings = try String.fetchAll(database, sql: "PRAGMA integrity_check(20)")
            if findings != ["ok"] { damage.file = findings }
        } catch let error as DatabaseError {
            damage.file = [error.message ?? "SQLite error \(error.resultCode.rawValue)"]
        }
        let expected = try DatabaseQueue().writeWithoutTransaction { fresh in
            try migrate(fresh, path: "")
            return try schema(of: fresh)
        }
        if let found = try? schema(of: database), found != expected {
            damage.file.append("its schema is not that of a spool")
        }
        // What no checksum covers; a damaged file may not be able to tell.
        let strays = try? Int.fetchOne(
            database,
            sql: """
                SELECT count(*) FROM row_data d WHERE NOT EXISTS (
                    SELECT 1 FROM run_log u WHERE u.run_no = d.run_no AND d.row_id BETWEEN u.first_row AND u.last_row
                ) OR NOT EXISTS (SELECT 1 FROM shapes s WHERE s.shape = d.shape AND s.route = d.row_id >> 40)
                """)
        if let strays, strays > 0 { damage.file.append("\(strays) rows name a run or a shape that is not theirs") }
        let quarantined = Set(
            try DamagedTable("quarantined_rows", key: "row_id", in: database).keys())
        damage.quarantined = quarantined.count
        for route in try routes(database) {
            func add(_ first: Int64, _ last: Int64, _ kind: SpoolDamage.Rows.Kind) {
                if let index = damage.rows.indices.last, damage.rows[index].kind == kind,
                    damage.rows[index].last.next == RowID(first)
                {
                    damage.rows[index].last = RowID(last)
                } else {
                    damage.rows.append(
                        SpoolDamage.Rows(
                            stream: route.stream, table: route.table, first: RowID(first), last: RowID(last), kind: kind
                        ))
                }
            }
            let next = try Int64.fetchOne(
                database, sql: "SELECT next_row FROM routes WHERE route = ?", arguments: [route.number])
            let range = route.rowRange.lowerBound.rawValue..<(next ?? route.rowRange.upperBound.rawValue)
            if range.isEmpty { continue }
            let table = DamagedTable("row_data", key: "row_id", in: database)
            let columns = "row_id, shape, op, extracted_at, checksum, insert_id, payload"
            let gaps = try table.scan(columns, in: range.lowerBound...range.upperBound - 1) { row in
                let seal = RowSeal(
                    row: row.integer(0), shape: row.integer(1), operation: row.integer(2), extractedAt: row.integer(3))
                let (insertID, payload) = (row.bytes(5), row.bytes(6))
                let isIntact =
                    seal.checksum(insertID: insertID, payload: payload) == row.integer(4)
                    && payloadMatches(payload, insertID)
                if !isIntact, !quarantined.contains(row.integer(0)) { add(row.integer(0), row.integer(0), .altered) }
            }
            for gap in gaps { add(gap.lowerBound, gap.upperBound, .unreadable) }
        }
        return damage
    }
}
