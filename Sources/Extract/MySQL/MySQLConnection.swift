internal import CMariaDB
internal import Dispatch
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#endif

/// One connection of libmariadb. All calls block and belong on its queue; `interrupt` alone may come from elsewhere.
// Unchecked: `handle` and `result` are touched on the session's queue alone, after `init` has handed the object over; what `interrupt` needs
// lies behind a mutex.
final class MySQLConnection: SQLConnection, @unchecked Sendable {
    /// How long the server may take to react to KILL QUERY before the socket is shut.
    private static let cancelPatience = DispatchTimeInterval.seconds(2)

    private struct Line {
        var socket: Int32 = -1
        var isOpen = true
    }

    // Acquired in init, freed in finish.
    private var handle: UnsafeMutablePointer<MYSQL>?
    private var result: UnsafeMutablePointer<MYSQL_RES>?
    private let line = Mutex(Line())
    private let settings: MySQLSource.Configuration
    private let number: UInt

    init(_ settings: MySQLSource.Configuration) throws {
        self.settings = settings
        let address = try MySQLAddress(settings)
        // Once per process, before any other call.
        guard Self.isReady, let handle = mysql_init(nil) else {
            throw ExtractError(.unexpected, "libmariadb has no memory for a connection")
        }
        do {
            try Self.connect(handle, address, settings)
        } catch {
            mysql_close(handle)
            throw error
        }
        self.handle = handle
        number = mysql_thread_id(handle)
        let socket = Int32(mysql_get_socket(handle))
        line.withLock { $0.socket = socket }
    }

    deinit {
        if let result { mysql_free_result(result) }
        if let handle { mysql_close(handle) }
    }

    private static let isReady = mysql_server_init(0, nil, nil) == 0

    // MARK: Connecting

    private static func connect(
        _ handle: UnsafeMutablePointer<MYSQL>, _ address: MySQLAddress, _ settings: MySQLSource.Configuration
    ) throws {
        if let file = settings.optionFile { mysql_options(handle, MYSQL_READ_DEFAULT_FILE, file) }
        mysql_options(handle, MYSQL_READ_DEFAULT_GROUP, "client")
        mysql_options(handle, MYSQL_SET_CHARSET_NAME, "utf8mb4")
        var timeout = address.connectTimeout
        mysql_options(handle, MYSQL_OPT_CONNECT_TIMEOUT, &timeout)
        var no: CChar = 0
        // A local file must never be sent because a server asks for it.
        mysql_options(handle, MYSQL_OPT_LOCAL_INFILE, &no)
        try setTLS(handle, address)
        let connected = mysql_real_connect(
            handle, address.socket == nil ? address.host : "localhost", address.user, address.password,
            address.database, address.port, address.socket, 0)
        guard connected != nil else { throw MySQLFailure(settings).connecting(handle) }
        // PREFERRED may fall back; the others must not.
        guard let mode = address.tls, [.required, .verifyCA, .verifyIdentity].contains(mode) else { return }
        guard mysql_get_ssl_cipher(handle) != nil else {
            var failure = ExtractError(
                .unavailable,
                "connecting to \(settings.location) failed: the server offers no TLS, and ssl-mode demands it",
                hint: "turn TLS on in the server, or set ssl-mode in the url")
            failure.isFinal = true
            throw failure
        }
    }

    private static func setTLS(_ handle: UnsafeMutablePointer<MYSQL>, _ address: MySQLAddress) throws {
        let mode = address.tls ?? .preferred
        guard mode != .disabled else { return }
        if address.certificateAuthority != nil || address.certificate != nil || address.key != nil {
            mysql_ssl_set(handle, address.key, address.certificate, address.certificateAuthority, nil, nil)
        }
        var yes: CChar = 1
        if mode == .required || mode == .verifyCA || mode == .verifyIdentity {
            mysql_options(handle, MYSQL_OPT_SSL_ENFORCE, &yes)
        }
        // With an authority's file the library looks at who signed the certificate by itself; this makes it look at the name as well.
        if mode == .verifyIdentity || mode == .verifyCA && address.certificateAuthority == nil {
            mysql_options(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes)
        }
    }

    // MARK: Statements

    private func open() throws -> UnsafeMutablePointer<MYSQL> {
        guard let handle else {
            throw ExtractError(.unavailable, "the connection to \(settings.location) was given up")
        }
        return handle
    }

    private func execute(_ statement: String, _ what: String) throws -> UnsafeMutablePointer<MYSQL> {
        let handle = try open()
        var statement = statement
        let code = statement.withUTF8 { text in
            text.withMemoryRebound(to: CChar.self) { mysql_real_query(handle, $0.baseAddress, UInt(text.count)) }
        }
        guard code == 0 else { throw failure(what) }
        return handle
    }

    /// Runs a statement to its end and hands its rows out as text.
    @discardableResult
    func rows(of statement: String, doing what: String) throws -> [[String?]] {
        let handle = try execute(statement, what)
        guard let result = mysql_store_result(handle) else {
            guard mysql_field_count(handle) == 0 else { throw failure(what) }
            return []
        }
        defer { mysql_free_result(result) }
        let width = Int(mysql_num_fields(result))
        var rows: [[String?]] = []
        while let row = mysql_fetch_row(result), let lengths = mysql_fetch_lengths(result) {
            rows.append(
                (0..<width).map { column in
                    row[column].map {
                        String(
                            decoding: UnsafeRawBufferPointer(start: $0, count: Int(lengths[column])), as: UTF8.self)
                    }
                })
        }
        return rows
    }

    struct Description {
        var name: String
        var type: UInt32
        var flags: UInt32
        var length: Int
        var decimals: Int
        /// 63 is the number of the binary character set.
        var characterSet: UInt32
    }

    /// The columns that a query brings.
    func columns(of query: String, doing what: String) throws -> [Description] {
        let handle = try execute(query, what)
        guard let result = mysql_store_result(handle) else { throw failure(what) }
        defer { mysql_free_result(result) }
        let width = Int(mysql_num_fields(result))
        guard let fields = mysql_fetch_fields(result) else { return [] }
        return (0..<width).map { index in
            let field = fields[index]
            return Description(
                name: field.name.map { String(cString: $0) } ?? "", type: field.type.rawValue, flags: field.flags,
                length: Int(field.length), decimals: Int(field.decimals), characterSet: field.charsetnr)
        }
    }

    func describe(_ stream: ExtractRequest) throws -> SQLTable { try MySQLCatalog(self).describe(stream) }

    // MARK: Streaming

    /// Starts a query whose rows stay on the server until they are fetched.
    func beginRows(of query: String, doing what: String) throws {
        let handle = try execute(query, what)
        guard let result = mysql_use_result(handle) else { throw failure(what) }
        self.result = result
    }

    /// Fills the chunk with rows; it stays empty after the last.
    func readRows(into chunk: SQLChunk, doing what: String) throws {
        let handle = try open()
        chunk.removeAll()
        while let result, !chunk.isFull {
            guard let row = mysql_fetch_row(result) else {
                let isBroken = mysql_errno(handle) != 0
                let problem = isBroken ? failure(what) : nil
                if !isBroken { mysql_free_result(result) }
                // After an error the rest of the result would be waited for: the connection is closed instead.
                self.result = nil
                if let problem { throw problem }
                return
            }
            guard let lengths = mysql_fetch_lengths(result) else { throw failure(what) }
            for column in 0..<chunk.width {
                guard let cell = row[column] else {
                    chunk.addNull()
                    continue
                }
                let start = chunk.byteCount
                let count = Int(lengths[column])
                cell.withMemoryRebound(to: UInt8.self, capacity: count) { chunk.append($0, count: count) }
                chunk.endCell(from: start)
            }
            chunk.endRow()
        }
    }

    private func failure(_ what: String) -> any Error { MySQLFailure(settings).statement(handle, doing: what) }

    // MARK: Ending

    /// Makes whatever runs on the connection end soon: asks the server over another connection to kill the query, and shuts the socket if
    /// that does not help. From any thread.
    func interrupt() {
        DispatchQueue.global().asyncAfter(deadline: .now() + Self.cancelPatience) { self.shutSocket() }
        guard line.withLock({ $0.isOpen }) else { return }
        guard let other = try? MySQLConnection(settings) else { return shutSocket() }
        _ = try? other.rows(of: "KILL QUERY \(number)", doing: "ending a query")
        other.finish()
    }

    /// Cuts the connection, so that a call that waits on it returns.
    func shutSocket() {
        line.withLock { if $0.isOpen, $0.socket >= 0 { shutdown($0.socket, Int32(SHUT_RDWR)) } }
    }

    /// Ends the connection; the server gives up what still runs in it. On the session's queue.
    func finish() {
        // With rows left, mysql_free_result would read them all: without the socket it can't.
        if result != nil { shutSocket() }
        line.withLock { $0.isOpen = false }
        if let result { mysql_free_result(result) }
        result = nil
        if let handle { mysql_close(handle) }
        handle = nil
    }
}
