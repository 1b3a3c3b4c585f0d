internal import CLibpq
internal import Dispatch
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#endif

/// One connection of libpq. All calls block and belong on its queue; `interrupt` alone may come from elsewhere.
// Unchecked: `handle` and `copies` are touched on the session's queue alone, after `init` has handed the object over; what `interrupt` needs
// lies behind a mutex.
final class PostgresConnection: SQLConnection, @unchecked Sendable {
    /// How long the server may take to react to a cancel request before the socket is shut.
    private static let cancelPatience = DispatchTimeInterval.seconds(2)

    // Unchecked: libpq's cancel object is a copy of its own that any thread may use (PQgetCancel in the manual); the mutex gives it one
    // owner at a time.
    private struct Line: @unchecked Sendable {
        var cancel: OpaquePointer?
        var socket: Int32 = -1
        var isOpen = true
    }

    // Acquired in init, freed in finish.
    private var handle: OpaquePointer?
    private var isCopying = false
    private let line: Mutex<Line>
    private let settings: PostgresSource.Configuration

    /// Connects, waiting at most `connect_timeout` (10 s where nothing says otherwise) for each host.
    init(_ settings: PostgresSource.Configuration, isCancelled: () -> Bool) throws {
        self.settings = settings
        let handle = try Self.start(settings)
        line = Mutex(Line())
        self.handle = handle
        do {
            try connect(handle, isCancelled)
        } catch {
            PQfinish(handle)
            self.handle = nil
            throw error
        }
        let opened = Line(cancel: PQgetCancel(handle), socket: PQsocket(handle))
        line.withLock { $0 = opened }
        // Notices of the server (deprecations, hints) are not ours to print.
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
    }

    deinit {
        if let handle { PQfinish(handle) }
        line.withLock {
            if let cancel = $0.cancel { PQfreeCancel(cancel) }
            $0.cancel = nil
        }
    }

    // MARK: Connecting

    private static func start(_ settings: PostgresSource.Configuration) throws -> OpaquePointer {
        // In this order: what comes after `dbname` overrides the URL.
        var parameters: [(String, String)] = [
            ("fallback_application_name", "etlctl"), ("dbname", SQLAddressText(settings.url)?.encoded ?? settings.url),
            ("client_encoding", "UTF8"),
        ]
        if let file = settings.passwordFile { parameters.append(("passfile", file)) }
        var keywords = parameters.map { strdup($0.0).map { UnsafePointer($0) } } + [nil]
        var values = parameters.map { strdup($0.1).map { UnsafePointer($0) } } + [nil]
        defer {
            for text in keywords + values { free(UnsafeMutableRawPointer(mutating: text)) }
        }
        guard let handle = PQconnectStartParams(&keywords, &values, 1) else {
            throw ExtractError(.unexpected, "libpq has no memory for a connection")
        }
        // With this the messages of a refused connection hold the SQLSTATE.
        PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
        return handle
    }

    private func connect(_ handle: OpaquePointer, _ isCancelled: () -> Bool) throws {
        guard PQstatus(handle) != CONNECTION_BAD else { throw connectFailure(handle) }
        var wanted = PGRES_POLLING_WRITING
        var left = timeout(handle)
        while true {
            var poller = pollfd(
                fd: PQsocket(handle), events: Int16(wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT), revents: 0)
            // Short steps, so that a cancelled task does not wait for a server that is silent.
            let ready = poll(&poller, 1, 100)
            if isCancelled() { throw CancellationError() }
            if ready == 0 {
                left -= 100
                guard left > 0 else {
                    throw ExtractError(
                        .unavailable, "connecting to \(settings.location) timed out",
                        hint: "check host, port and firewall; connect_timeout in the URL allows more time")
                }
                continue
            }
            if ready < 0, errno != EINTR { throw connectFailure(handle) }
            switch PQconnectPoll(handle) {
            case PGRES_POLLING_OK: return
            case PGRES_POLLING_FAILED: throw connectFailure(handle)
            case let next: wanted = next
            }
        }
    }

    /// Milliseconds: of every host together.
    private func timeout(_ handle: OpaquePointer) -> Int {
        guard let options = PQconninfo(handle) else { return 10_000 }
        defer { PQconninfoFree(options) }
        var seconds = 10
        var hosts = 1
        var option = options
        while let keyword = option.pointee.keyword {
            let value = option.pointee.val.map { String(cString: $0) } ?? ""
            switch String(cString: keyword) {
            case "connect_timeout": if let given = Int(value), given > 0 { seconds = max(2, given) }
            case "host": hosts = max(hosts, value.split(separator: ",").count)
            default: break
            }
            option += 1
        }
        return seconds * 1000 * hosts
    }

    private func connectFailure(_ handle: OpaquePointer) -> ExtractError {
        let text = String(cString: PQerrorMessage(handle))
        return PostgresFailure(settings).connecting(text)
    }

    // MARK: Statements

    /// Runs a statement to its end and hands its rows out as text.
    @discardableResult
    func rows(of statement: String, doing what: String) throws -> [[String?]] {
        let handle = try open()
        guard let result = PQexec(handle, statement) else { throw failure(nil, what) }
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK else {
            throw failure(result, what)
        }
        let columns = PQnfields(result)
        return (0..<PQntuples(result)).map { row in
            (0..<columns).map { column in
                guard PQgetisnull(result, row, column) == 0, let text = PQgetvalue(result, row, column) else {
                    return nil
                }
                return String(cString: text)
            }
        }
    }

    struct Description {
        var name: String
        var type: UInt32
        var modifier: Int32
    }

    /// The columns that a query would bring, without running it.
    func columns(of query: String, doing what: String) throws -> [Description] {
        let handle = try open()
        guard let prepared = PQprepare(handle, "", query, 0, nil) else { throw failure(nil, what) }
        defer { PQclear(prepared) }
        guard PQresultStatus(prepared) == PGRES_COMMAND_OK else { throw failure(prepared, what) }
        guard let described = PQdescribePrepared(handle, "") else { throw failure(nil, what) }
        defer { PQclear(described) }
        guard PQresultStatus(described) == PGRES_COMMAND_OK else { throw failure(described, what) }
        return (0..<PQnfields(described)).map { column in
            Description(
                name: PQfname(described, column).map { String(cString: $0) } ?? "", type: PQftype(described, column),
                modifier: PQfmod(described, column))
        }
    }

    func describe(_ stream: ExtractRequest) throws -> SQLTable { try PostgresCatalog(self).describe(stream) }

    // MARK: COPY

    /// Starts `COPY (...) TO STDOUT`.
    func beginRows(of query: String, doing what: String) throws {
        let handle = try open()
        guard let result = PQexec(handle, "COPY (\(query)) TO STDOUT") else { throw failure(nil, what) }
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_COPY_OUT else { throw failure(result, what) }
        isCopying = true
    }

    /// Fills the chunk with rows; it stays empty after the last.
    func readRows(into chunk: SQLChunk, doing what: String) throws {
        let handle = try open()
        chunk.removeAll()
        while isCopying, !chunk.isFull {
            var row: UnsafeMutablePointer<CChar>?
            let length = PQgetCopyData(handle, &row, 0)
            if length > 0, let row {
                defer { PQfreemem(row) }
                let count = Int(length)
                row.withMemoryRebound(to: UInt8.self, capacity: count) {
                    PostgresCopyText.append(row: $0, count: count, to: chunk)
                }
                continue
            }
            isCopying = false
            guard length == -1 else { throw failure(nil, what) }
            try endCopy(handle, what)
        }
    }

    private func endCopy(_ handle: OpaquePointer, _ what: String) throws {
        var problem: (any Error)?
        while let result = PQgetResult(handle) {
            if PQresultStatus(result) != PGRES_COMMAND_OK, problem == nil { problem = failure(result, what) }
            PQclear(result)
        }
        if let problem { throw problem }
    }

    private func failure(_ result: OpaquePointer?, _ what: String) -> any Error {
        let state = result.flatMap { PQresultErrorField($0, Int32(UInt8(ascii: "C"))) }.map { String(cString: $0) }
        let text = result.flatMap { PQresultErrorMessage($0) } ?? handle.flatMap { PQerrorMessage($0) }
        let isBroken = handle.map { PQstatus($0) == CONNECTION_BAD } ?? true
        return PostgresFailure(settings).statement(
            text.map { String(cString: $0) } ?? "", state: state, isBroken: isBroken, doing: what)
    }

    private func open() throws -> OpaquePointer {
        guard let handle else {
            throw ExtractError(.unavailable, "the connection to \(settings.location) was given up")
        }
        return handle
    }

    // MARK: Ending

    /// Makes whatever runs on the connection end soon: asks the server to cancel it, and shuts the socket if that does not help. From any
    /// thread.
    func interrupt() {
        let cancel = line.withLock { line -> OpaquePointer? in
            // Taken out: it is used and freed here, once.
            defer { line.cancel = nil }
            return line.isOpen ? line.cancel : nil
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + Self.cancelPatience) { self.shutSocket() }
        guard let cancel else { return }
        var message = [CChar](repeating: 0, count: 256)
        PQcancel(cancel, &message, Int32(message.count))
        PQfreeCancel(cancel)
    }

    private func shutSocket() {
        line.withLock { if $0.isOpen, $0.socket >= 0 { shutdown($0.socket, Int32(SHUT_RDWR)) } }
    }

    /// Ends the connection; the server gives up what still runs in it. On the session's queue.
    func finish() {
        let cancel = line.withLock { line -> OpaquePointer? in
            line.isOpen = false
            defer { line.cancel = nil }
            return line.cancel
        }
        if let cancel {
            // A server that is still sorting would notice only when it has something to send.
            var message = [CChar](repeating: 0, count: 256)
            if isCopying { PQcancel(cancel, &message, Int32(message.count)) }
            PQfreeCancel(cancel)
        }
        if let handle { PQfinish(handle) }
        handle = nil
    }
}
