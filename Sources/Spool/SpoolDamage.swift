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

    /// - Throws: `SpoolError.unusable` where there is no file, or none that this user may read.
    static func checkAccess(_ path: String, hint: String = "") throws {
        if access(path, R_OK) == 0 { return }
        let reason = errno == ENOENT ? "there is no such file" + hint : String(cString: strerror(errno)).lowercased()
        throw SpoolError.unusable(path: path, reason: reason)
    }

    /// Opens a file for reading whatever its state is; checks that it is a spool that this program knows.
    static func openDamaged(_ path: String) throws -> DatabaseQueue {
        try checkAccess(path)
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { database in
            // Lets SQLite read a file that is shorter than its header says.
            try database.execute(sql: "PRAGMA writable_schema = ON")
        }
        do {
            let file = try DatabaseQueue(path: path, configuration: configuration)
            let isEmpty = try file.read { database in
                _ = try version(of: database, path: path, acceptsLost: true)
                return try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") == 0
            }
            if isEmpty { throw SpoolError.damaged(path: path, reason: "it holds no spool") }
            return file
        } catch { throw SpoolError.translating(error, path: path) }
    }

    private static func findDamage(in database: Database, payloadMatches: PayloadCheck) throws -> SpoolDamage {
        var finder = DamageFinder(database)
        try finder.checkFile(schema: expectedSchema())
        for route in try routes(database) { try finder.check(route, payloadMatches: payloadMatches) }
        return finder.damage
    }

    private static func expectedSchema() throws -> Set<String> {
        try DatabaseQueue().writeWithoutTransaction { fresh in
            try migrate(fresh, path: "")
            return try DamageFinder.schema(of: fresh)
        }
    }
}
