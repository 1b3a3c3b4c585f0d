import CCurl

/// One of libcurl's easy handles, for one transfer. Not Sendable: it lives on the loop's thread.
///
/// A handle costs a microsecond. Using it again would not pay: after a transfer over a shared HTTP/2 connection 7.88
/// leaves buffers of the last transfer in it. Connections are kept by the multi handle.
final class EasyHandle {
    let curl: UnsafeMutableRawPointer
    // Allocated in init, freed in deinit after the handle: libcurl writes its reasons there while a transfer runs.
    private let reason: UnsafeMutablePointer<CChar>
    // libcurl reads the list until the transfer is over; freed in deinit.
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var firstFailure = CURLE_OK

    init?() {
        guard let curl = curl_easy_init() else { return nil }
        self.curl = curl
        reason = .allocate(capacity: Int(CURL_ERROR_SIZE))
        reason.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        curl_easy_cleanup(curl)
        curl_slist_free_all(headerList)
        reason.deallocate()
    }

    /// What libcurl wrote about the failure; empty if nothing.
    var failureReason: String { String(cString: reason) }

    /// Bytes moved in either direction, heads included.
    var bytesMoved: Int64 {
        let bodies = etl_get_offset(curl, CURLINFO_SIZE_UPLOAD_T) + etl_get_offset(curl, CURLINFO_SIZE_DOWNLOAD_T)
        let heads = etl_get_long(curl, CURLINFO_HEADER_SIZE) + etl_get_long(curl, CURLINFO_REQUEST_SIZE)
        return Int64(bodies) + Int64(heads)
    }

    /// Bytes of the body that libcurl knows to have left; inside TLS it learns of them late.
    var bodyBytesSent: Int64 { Int64(etl_get_offset(curl, CURLINFO_SIZE_UPLOAD_T)) }

    /// The proxy's answer to CONNECT; 0 without one.
    var proxyStatus: Int { etl_get_long(curl, CURLINFO_HTTP_CONNECTCODE) }

    /// Sets everything for one transfer. The transfer must outlive it: libcurl keeps its address for the callbacks.
    func prepare(for transfer: Transfer, settings: ClientSettings) -> CURLcode {
        let request = transfer.request
        set(CURLOPT_URL, request.url)
        set(CURLOPT_PROTOCOLS_STR, "http,https")
        set(CURLOPT_PATH_AS_IS, 1)
        set(CURLOPT_FOLLOWLOCATION, 0)  // credentials never reach a host the caller did not name
        set(CURLOPT_USERAGENT, settings.userAgent)
        set(CURLOPT_NOSIGNAL, 1)
        note(etl_set_pointer(curl, CURLOPT_ERRORBUFFER, reason))
        setConnection(transfer, settings: settings)
        setMethod(request)
        setHeaders(request)
        setCallbacks(transfer)
        return firstFailure
    }

    private func setConnection(_ transfer: Transfer, settings: ClientSettings) {
        let isStreamed = transfer.sink.canPause
        // A paused HTTP/2 stream holds up every other stream of its connection in 7.88, and a reader may wait for one
        // of those.
        set(CURLOPT_HTTP_VERSION, isStreamed ? Int(CURL_HTTP_VERSION_1_1) : Int(CURL_HTTP_VERSION_2TLS))
        set(CURLOPT_TCP_NODELAY, 1)
        set(CURLOPT_TCP_KEEPALIVE, 1)
        // An idle connection is more likely to be closed by the server the longer it waits, and a body is not sent
        // twice.
        set(CURLOPT_MAXAGE_CONN, 60)
        set(CURLOPT_CONNECTTIMEOUT_MS, max(1, transfer.request.timeouts.connect.milliseconds))
        // Otherwise ending a transfer would wait for its name resolution.
        set(CURLOPT_QUICK_EXIT, 1)
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        // One block of compressed bytes is decoded into memory even while paused: smaller blocks for streams that are
        // decoded.
        let isDecodedStream = isStreamed && transfer.request.decodesContent
        // What answers a body is mostly small. Buffers of 64 KiB come from the heap and stay in the processor's cache; larger ones would be
        // mapped, zeroed and unmapped by the kernel for every request.
        let isUpload = transfer.request.body != nil
        set(CURLOPT_BUFFERSIZE, isDecodedStream || isUpload ? 64 << 10 : 512 << 10)
        set(CURLOPT_UPLOAD_BUFFERSIZE, 64 << 10)
        set(CURLOPT_SSL_VERIFYPEER, 1)
        set(CURLOPT_SSL_VERIFYHOST, 2)
        set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        if let file = settings.certificateFile { set(CURLOPT_CAINFO, file) }
        if let folder = settings.certificateFolder { set(CURLOPT_CAPATH, folder) }
        if transfer.target.isLoopback || transfer.target.isMetadataServer {
            set(CURLOPT_PROXY, "")  // the empty string turns the environment's proxies off too
        }
        if transfer.request.decodesContent { set(CURLOPT_ACCEPT_ENCODING, "") }
    }

    private func setMethod(_ request: HTTPRequest) {
        switch request.method {
        case .get where request.body == nil:
            set(CURLOPT_HTTPGET, 1)
        case .head:
            set(CURLOPT_NOBODY, 1)
        case .delete where request.body == nil:
            set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        case .get, .post, .put, .patch, .delete:
            // The body goes through the read callback, which knows when the first byte was taken; CURLOPT_POSTFIELDS
            // would not tell.
            set(CURLOPT_POST, 1)
            if request.method != .post { set(CURLOPT_CUSTOMREQUEST, request.method.rawValue) }
            note(etl_set_offset(curl, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request.body?.count ?? 0)))
        }
    }

    private func setHeaders(_ request: HTTPRequest) {
        // Without a value after the colon libcurl leaves its own header out: no waiting for 100 Continue, no form
        // content type.
        append("Expect:")
        if !request.headers.contains(where: { $0.name.lowercased() == "content-type" }) { append("Content-Type:") }
        for header in request.headers {
            append(header.value.isEmpty ? "\(header.name);" : "\(header.name): \(header.value)")
        }
        note(etl_set_list(curl, CURLOPT_HTTPHEADER, headerList))
    }

    private func setCallbacks(_ transfer: Transfer) {
        // Unretained: the loop holds the transfer until the handle is out of the multi handle.
        let context = Unmanaged.passUnretained(transfer).toOpaque()
        note(etl_set_write_function(curl, receiveBody))
        note(etl_set_header_function(curl, receiveHeader))
        note(etl_set_read_function(curl, sendBody))
        note(etl_set_seek_function(curl, rewindBody))
        note(etl_set_prereq_function(curl, connectionReady))
        for option in [
            CURLOPT_WRITEDATA, CURLOPT_HEADERDATA, CURLOPT_READDATA, CURLOPT_SEEKDATA, CURLOPT_PREREQDATA,
            CURLOPT_PRIVATE,
        ] {
            note(etl_set_pointer(curl, option, context))
        }
    }

    private func append(_ line: String) {
        if let longer = curl_slist_append(headerList, line) {
            headerList = longer
        } else {
            note(CURLE_OUT_OF_MEMORY)
        }
    }

    private func set(_ option: CURLoption, _ value: Int) { note(etl_set_long(curl, option, value)) }
    private func set(_ option: CURLoption, _ value: String) { note(etl_set_string(curl, option, value)) }

    private func note(_ code: CURLcode) {
        if firstFailure == CURLE_OK { firstFailure = code }
    }
}

// MARK: - Callbacks

// Global and nonisolated: libcurl calls them on the loop's thread.

private func transfer(at context: UnsafeMutableRawPointer?) -> Transfer? {
    context.map { Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }
}

private func receiveBody(
    _ data: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let transfer = transfer(at: context) else { return 0 }
    switch transfer.receiveBody(UnsafeRawBufferPointer(start: data, count: size * count)) {
    case .taken: return size * count
    case .pause: return Int(CURL_WRITEFUNC_PAUSE)
    case .tooLarge: return -1  // any other number than the one offered stops the transfer, also when that is 0
    }
}

private func receiveHeader(
    _ data: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let transfer = transfer(at: context) else { return 0 }
    return transfer.receiveHeaderLine(UnsafeRawBufferPointer(start: data, count: size * count)) ? size * count : 0
}

private func sendBody(
    _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let transfer = transfer(at: context) else { return Int(CURL_READFUNC_ABORT) }
    return transfer.takeBody(into: UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
}

/// libcurl rewinds only to send again, which `Transfer.connectionIsReady` decides; it stops a body of which anything
/// was taken.
private func rewindBody(_ context: UnsafeMutableRawPointer?, _ offset: curl_off_t, _ origin: Int32) -> Int32 {
    CURL_SEEKFUNC_OK
}

private func connectionReady(
    _ context: UnsafeMutableRawPointer?, _ remote: UnsafeMutablePointer<CChar>?, _ local: UnsafeMutablePointer<CChar>?,
    _ remotePort: Int32, _ localPort: Int32
) -> Int32 {
    guard let transfer = transfer(at: context) else { return CURL_PREREQFUNC_ABORT }
    return transfer.connectionIsReady(at: .now) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
}
