internal import CMicrohttpd
internal import Foundation
internal import JSONBytes

/// An HTTP/1.1 server on 127.0.0.1: hands each request, read to its end, to one handler and sends what comes back.
///
/// Each connection has a thread of its own, so a handler may block; `stop` waits for those that run.
/// @unchecked: the handles are set once in `init` and libmicrohttpd guards what is behind them.
package final class HTTPListener: @unchecked Sendable {
    package typealias Handler = @Sendable (HTTPRequest) -> HTTPReply

    /// What is asked and told while a body arrives, before there is a request.
    package struct UploadPolicy: Sendable {
        /// Bytes after which the connection is reset; nil for never.
        var limit: @Sendable () -> Int?
        /// Told of a connection that was reset: method, path, bytes that had come.
        var wasCut: @Sendable (String, String, Int) -> Void

        package init(
            limit: @escaping @Sendable () -> Int?,
            wasCut: @escaping @Sendable (String, String, Int) -> Void = { _, _, _ in }
        ) {
            self.limit = limit
            self.wasCut = wasCut
        }
    }

    /// What clients may take of this process.
    package struct Limits: Sendable {
        /// Connections at once, each with its thread; nil: as many as come.
        var connections: UInt32?
        /// How long a connection may be silent; nil: for ever. Whole seconds.
        var silence: Duration?

        package init(connections: UInt32? = nil, silence: Duration? = nil) {
            self.connections = connections
            self.silence = silence
        }
    }

    /// Bytes of body that are kept; what comes beyond is counted and dropped, so that a reply can be sent at all.
    package static let maximumBodyBytes = 16 << 20

    package let port: UInt16
    // The daemon's handle; freed by `stop`, which runs once.
    private let daemon: OpaquePointer
    private let isStopped = NSLock()
    private var stopped = false

    /// - Parameters:
    ///   - port: 0 takes a free one.
    ///   - handler: runs on the connection's thread.
    /// - Throws: ``ListenError``, for instance when the port is taken.
    package init(
        port: UInt16, uploads: UploadPolicy, limits: Limits = Limits(), handler: @escaping Handler
    ) throws(ListenError) {
        let context = ListenerContext(handler: handler, uploads: uploads)
        // Handed to the callbacks; released when the daemon is stopped, after its last callback.
        let pointer = Unmanaged.passRetained(context).toOpaque()
        let silentSeconds = UInt32(limits.silence?.components.seconds ?? 0)
        errno = 0
        let started = etl_mhd_start(
            port, 256 << 10, limits.connections ?? 0, silentSeconds, handleAccess, handleCompleted, pointer)
        guard let daemon = started else {
            let code = errno
            Unmanaged<ListenerContext>.fromOpaque(pointer).release()
            throw ListenError(port: port, code: code)
        }
        self.daemon = daemon
        self.context = pointer
        self.port = etl_mhd_port(daemon)
    }

    // The retained `ListenerContext` that the callbacks borrow.
    private let context: UnsafeMutableRawPointer

    /// Ends every connection and waits for the handlers that run. A second call does nothing.
    package func stop() {
        let isFirst = isStopped.withLock {
            defer { stopped = true }
            return !stopped
        }
        guard isFirst else { return }
        MHD_stop_daemon(daemon)
        Unmanaged<ListenerContext>.fromOpaque(context).release()
    }

    deinit { stop() }
}

/// What the callbacks need of the listener, without keeping the listener itself alive.
private final class ListenerContext {
    let handler: HTTPListener.Handler
    let uploads: HTTPListener.UploadPolicy

    init(handler: @escaping HTTPListener.Handler, uploads: HTTPListener.UploadPolicy) {
        self.handler = handler
        self.uploads = uploads
    }
}

/// A request while its body arrives; belongs to the connection's thread.
private final class PendingRequest {
    let body = ByteBuffer(capacity: 64 << 10)
    var received = 0
    var isAnswered = false
    let uploadLimit: Int?

    init(uploadLimit: Int?) { self.uploadLimit = uploadLimit }
}

/// Called by libmicrohttpd: once for the header, once for each piece of the body, once at its end.
private func handleAccess(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ url: UnsafePointer<CChar>?,
    _ method: UnsafePointer<CChar>?, _ version: UnsafePointer<CChar>?, _ uploadData: UnsafePointer<CChar>?,
    _ uploadSize: UnsafeMutablePointer<Int>?, _ requestState: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
    guard let context, let connection, let url, let method, let uploadSize, let requestState else { return .NO }
    let listener = Unmanaged<ListenerContext>.fromOpaque(context).takeUnretainedValue()
    guard let state = requestState.pointee else {
        let pending = PendingRequest(uploadLimit: listener.uploads.limit())
        // Released in `handleCompleted`, which runs once for every request that got here.
        requestState.pointee = Unmanaged.passRetained(pending).toOpaque()
        return .YES
    }
    let pending = Unmanaged<PendingRequest>.fromOpaque(state).takeUnretainedValue()
    if uploadSize.pointee > 0, let uploadData {
        pending.received += uploadSize.pointee
        if let limit = pending.uploadLimit, pending.received > limit {
            listener.uploads.wasCut(String(cString: method), String(cString: url), pending.received)
            return send(.reset, on: connection)
        }
        if pending.received <= HTTPListener.maximumBodyBytes {
            pending.body.append(UnsafeRawBufferPointer(start: uploadData, count: uploadSize.pointee))
        }
        uploadSize.pointee = 0
        return .YES
    }
    guard !pending.isAnswered else { return .NO }
    pending.isAnswered = true
    let request = HTTPRequest(
        method: String(cString: method), path: String(cString: url),
        query: values(of: connection, kind: etl_mhd_query_kind(), decoding: true),
        headers: values(of: connection, kind: etl_mhd_header_kind(), decoding: false),
        body: pending.body, receivedBytes: pending.received)
    return send(listener.handler(request), on: connection)
}

private func handleCompleted(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
    _ requestState: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ reason: MHD_RequestTerminationCode
) {
    guard let requestState, let state = requestState.pointee else { return }
    Unmanaged<PendingRequest>.fromOpaque(state).release()
    requestState.pointee = nil
}

private func send(_ reply: HTTPReply, on connection: OpaquePointer) -> MHD_Result {
    switch reply {
    case .response(let response):
        return queue(response, made: etl_mhd_response(response.body, response.body.count), on: connection)
    case .truncated(let response):
        // Owned by the response; released by `releaseTruncated` when libmicrohttpd frees it.
        let half = Unmanaged.passRetained(HalfBody(response.body)).toOpaque()
        let made = MHD_create_response_from_callback(
            UInt64(response.body.count), 64 << 10, readTruncated, half, releaseTruncated)
        return queue(response, made: made, on: connection)
    case .cut:
        return .NO
    case .reset:
        etl_mhd_reset_on_close(etl_mhd_socket(connection))
        return .NO
    case .raw(let bytes):
        _ = etl_mhd_send_raw(etl_mhd_socket(connection), bytes, bytes.count)
        return .NO
    }
}

private func queue(_ response: HTTPResponse, made: OpaquePointer?, on connection: OpaquePointer) -> MHD_Result {
    guard let made else { return .NO }
    defer { MHD_destroy_response(made) }
    for header in response.headers { MHD_add_response_header(made, header.name, header.value) }
    return MHD_queue_response(connection, UInt32(response.status), made)
}

/// A body that ends half way.
private final class HalfBody {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }
}

private func readTruncated(
    _ context: UnsafeMutableRawPointer?, _ position: UInt64, _ buffer: UnsafeMutablePointer<CChar>?, _ room: Int
) -> Int {
    guard let context, let buffer else { return etl_mhd_fail_content() }
    let bytes = Unmanaged<HalfBody>.fromOpaque(context).takeUnretainedValue().bytes
    let count = min(room, bytes.count / 2 - Int(position))
    guard count > 0 else { return etl_mhd_fail_content() }
    bytes.withUnsafeBytes { source in
        UnsafeMutableRawPointer(buffer).copyMemory(
            from: source.baseAddress.map { $0 + Int(position) } ?? UnsafeRawPointer(buffer), byteCount: count)
    }
    return count
}

private func releaseTruncated(_ context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    Unmanaged<HalfBody>.fromOpaque(context).release()
}

/// Collects name-value pairs from libmicrohttpd's iterator.
private final class PairCollector {
    var pairs: [String: String] = [:]
    let decoding: Bool

    init(decoding: Bool) { self.decoding = decoding }
}

private func values(of connection: OpaquePointer, kind: MHD_ValueKind, decoding: Bool) -> [String: String] {
    let collector = PairCollector(decoding: decoding)
    // Lent for the length of the call, in which the iterator runs.
    let pointer = Unmanaged.passUnretained(collector).toOpaque()
    withExtendedLifetime(collector) { _ = MHD_get_connection_values(connection, kind, collectPair, pointer) }
    return collector.pairs
}

private func collectPair(
    _ context: UnsafeMutableRawPointer?, _ kind: MHD_ValueKind, _ name: UnsafePointer<CChar>?,
    _ value: UnsafePointer<CChar>?
) -> MHD_Result {
    guard let context, let name else { return .YES }
    let collector = Unmanaged<PairCollector>.fromOpaque(context).takeUnretainedValue()
    let key = String(cString: name)
    let text = value.map { String(cString: $0) } ?? ""
    if collector.decoding {
        collector.pairs[percentDecoded(key)] = percentDecoded(text)
    } else {
        // As one field, like RFC 9110 has it: nobody hides a second value behind a first.
        let name = key.lowercased()
        collector.pairs[name] = collector.pairs[name].map { "\($0), \(text)" } ?? text
    }
    return .YES
}
