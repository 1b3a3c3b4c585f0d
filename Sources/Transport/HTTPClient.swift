import FoundationEssentials

/// What holds for every request of one client.
struct ClientSettings: Sendable {
    var userAgent: String
    var certificateFile: String?
    var certificateFolder: String?
}

/// Sends HTTP requests over libcurl: connections kept alive, bodies decoded, certificates always verified; HTTP/2 where
/// TLS offers it, but HTTP/1.1 for streams.
///
/// It never follows redirects and never retries; what an error means for the next attempt, ``HTTPError`` says. Proxies
/// come from libcurl's environment variables (`https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`); loopback hosts are
/// always reached directly.
///
/// A client owns one thread and its connections; both end with the last reference to the client and its streams.
package final class HTTPClient: Sendable {
    private let thread: TransferThread

    /// - Parameters:
    ///   - userAgent: `gzip` in it makes Google's servers compress their answers.
    ///   - environment: for the CA bundle alone: `CURL_CA_BUNDLE`, else `SSL_CERT_FILE` and `SSL_CERT_DIR`, as the curl
    ///     command has it; else the system's. libcurl reads the proxy variables from the process by itself.
    package init(
        userAgent: String = "etlctl/0.1 (gzip)",
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        let bundle = value("CURL_CA_BUNDLE")
        thread = TransferThread(
            settings: ClientSettings(
                userAgent: userAgent,
                certificateFile: bundle ?? value("SSL_CERT_FILE"),
                certificateFolder: bundle == nil ? value("SSL_CERT_DIR") : nil))
    }

    /// Sends the request and gathers the response in memory.
    ///
    /// - Throws: ``HTTPError``: `responseTooLarge` beyond the limit (counted after decoding), `cancelled` when the task
    ///   is cancelled, which ends the transfer at once. A status of any kind is a response.
    package func send(
        _ request: HTTPRequest, maximumResponseBytes: Int = 64 << 20
    ) async throws(HTTPError) -> HTTPResponse {
        let sink = WholeResponse(limit: maximumResponseBytes)
        let (loop, transfer) = try prepare(request, sink: sink)
        let outcome = await withTaskCancellationHandler {
            loop.start(transfer)
            return await sink.outcome()
        } onCancel: {
            loop.cancel(transfer)
        }
        return try outcome.get()
    }

    /// Sends the request and returns when the head of the response is there.
    ///
    /// - Returns: a response of any status; the caller reads the body, or lets it go, which ends the transfer.
    /// - Throws: ``HTTPError`` when there is no head.
    package func stream(_ request: HTTPRequest) async throws(HTTPError) -> HTTPStreamedResponse {
        let queue = ChunkQueue()
        let (loop, transfer) = try prepare(request, sink: queue)
        let reader = StreamReader(transfer: transfer, queue: queue, loop: loop, thread: thread)
        let outcome = await withTaskCancellationHandler {
            loop.start(transfer)
            return await queue.head()
        } onCancel: {
            loop.cancel(transfer)
        }
        let head = try outcome.get()
        return HTTPStreamedResponse(status: head.status, headers: head.headers, body: HTTPStream(reader))
    }

    private func prepare(
        _ request: HTTPRequest, sink: any ResponseSink
    ) throws(HTTPError) -> (TransferLoop, Transfer) {
        guard let target = HTTPTarget(url: request.url) else {
            throw HTTPError(
                kind: .invalidURL, host: "",
                message: "a URL can't be used: it must begin with http:// or https:// and carry no user name")
        }
        // A line break in a header would start another header, or another request.
        let isClean = request.headers.allSatisfy { header in
            !header.name.isEmpty && header.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3A && $0 != 0x3B }
                && header.value.utf8.allSatisfy { ($0 >= 0x20 || $0 == 0x09) && $0 != 0x7F }
        }
        guard isClean else {
            throw HTTPError(
                kind: .other(code: 0), host: target.description,
                message: "a header of a request to \(target) holds a character that HTTP does not allow")
        }
        guard let loop = thread.loop else {
            throw HTTPError(
                kind: .other(code: 0), host: target.description,
                message: "no request to \(target): the system gave no thread or memory for network connections")
        }
        return (loop, Transfer(request, to: target, sink: sink))
    }
}
