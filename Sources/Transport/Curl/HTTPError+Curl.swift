import CCurl

extension HTTPError {
    /// - Returns: nil when the transfer ended well, or has an answer that stands although the body did not leave whole.
    init?(_ transfer: Transfer, code: CURLcode) {
        guard code != CURLE_OK else { return nil }
        let sent = transfer.bodyBytesSent
        let bodySize = Int64(transfer.request.body?.count ?? 0)
        let kind = Self.kind(of: code, transfer: transfer)
        // A server that refuses (413) may close while the body is still being sent: its status is the better answer.
        if kind == .connectionLost, transfer.isHeadComplete, transfer.head.status >= 400, sent < bodySize { return nil }
        self.init(
            kind: kind, host: transfer.target.description, bodyBytesSent: sent,
            message: Self.message(kind, transfer: transfer, reason: Self.reason(for: code, transfer: transfer)))
    }

    static func cancelled(_ transfer: Transfer) -> HTTPError {
        of(.cancelled, transfer)
    }

    static func timedOut(_ timeout: HTTPTimeout, _ transfer: Transfer) -> HTTPError {
        of(.timeout(timeout), transfer)
    }

    /// libcurl refused to start.
    static func unprepared(_ transfer: Transfer, code: CURLcode) -> HTTPError {
        let kind = Kind.other(code: Int(code.rawValue))
        return HTTPError(
            kind: kind, host: transfer.target.description,
            message: message(kind, transfer: transfer, reason: String(cString: curl_easy_strerror(code))))
    }

    private static func of(_ kind: Kind, _ transfer: Transfer) -> HTTPError {
        HTTPError(
            kind: kind, host: transfer.target.description, bodyBytesSent: transfer.bodyBytesSent,
            message: message(kind, transfer: transfer, reason: ""))
    }

    private static func kind(of code: CURLcode, transfer: Transfer) -> Kind {
        switch transfer.stop {
        case .responseTooLarge, .headTooLarge: return .responseTooLarge
        case .resend: return .connectionLost
        case nil: break
        }
        switch code {
        case CURLE_URL_MALFORMAT: return .invalidURL
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: return .resolve
        case CURLE_COULDNT_CONNECT: return .connect
        // The only limit libcurl keeps; the loop keeps the others.
        case CURLE_OPERATION_TIMEDOUT: return .timeout(.connect)
        case CURLE_PROXY: return .proxy
        case CURLE_SSL_CONNECT_ERROR:
            // A handshake that was cut off is a lost connection, which may be well a moment later; a failed one is not.
            return isCut(transfer.handle?.failureReason ?? "") ? .connectionLost : .tls
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_ISSUER_ERROR, CURLE_SSL_CRL_BADFILE, CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_ENGINE_SETFAILED,
            CURLE_SSL_ENGINE_INITFAILED, CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS,
            CURLE_SSL_CLIENTCERT, CURLE_USE_SSL_FAILED:
            return .tls
        case CURLE_SEND_ERROR, CURLE_RECV_ERROR:
            return proxyRefusal(transfer) ?? .connectionLost
        case CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_SEND_FAIL_REWIND,
            CURLE_SSL_SHUTDOWN_FAILED, CURLE_UPLOAD_FAILED:
            return .connectionLost
        default: return .other(code: Int(code.rawValue))
        }
    }

    /// A proxy that answers CONNECT with 5xx could not reach the host; 4xx are its rules.
    private static func proxyRefusal(_ transfer: Transfer) -> Kind? {
        guard !transfer.isConnected, let status = transfer.handle?.proxyStatus, status >= 300 else { return nil }
        return status >= 500 || status == 429 ? .connect : .proxy
    }

    private static func isCut(_ reason: String) -> Bool {
        ["SSL_ERROR_SYSCALL", "reset by peer", "unexpected eof", "Broken pipe", "timed out"].contains {
            reason.contains($0)
        }
    }

    private static func reason(for code: CURLcode, transfer: Transfer) -> String {
        switch transfer.stop {
        case .responseTooLarge(let limit): return "it has more than \(limit) bytes"
        case .headTooLarge: return "its header fields have more than \(Transfer.maximumHeadBytes) bytes"
        case .resend: return "it was closed while it waited to be used again, after the request had been sent"
        case nil: break
        }
        let reason = transfer.handle?.failureReason ?? ""
        return reason.isEmpty ? String(cString: curl_easy_strerror(code)) : reason
    }

    private static func message(_ kind: Kind, transfer: Transfer, reason: String) -> String {
        let host = transfer.target.description
        let timeouts = transfer.request.timeouts
        let what =
            switch kind {
            case .resolve: "the address of \(host) could not be found"
            case .connect: "no connection to \(host)"
            case .tls: "no secure connection to \(host)"
            case .timeout(.connect): "no connection to \(host) within \(timeouts.connect.inSeconds)"
            case .timeout(.silence): "\(host) was silent for \(timeouts.silence.inSeconds)"
            case .timeout(.total): "no complete answer from \(host) within \((timeouts.total ?? .zero).inSeconds)"
            case .connectionLost: "the connection to \(host) was lost"
            case .responseTooLarge: "the answer of \(host) is too large"
            case .invalidURL: "the URL of \(host) can't be used"
            case .proxy: "the proxy refused a connection to \(host)"
            case .cancelled: "the request to \(host) was cancelled"
            case .other(let code): "the request to \(host) failed (libcurl \(code))"
            }
        return reason.isEmpty ? what : "\(what): \(reason)"
    }
}

extension Transfer {
    /// See ``HTTPError/bodyBytesSent``: what libcurl counts, but never 0 once it was given a byte.
    var bodyBytesSent: Int64 {
        guard bodyBytesTaken > 0 else { return 0 }
        return max(1, min(handle?.bodyBytesSent ?? 0, Int64(bodyBytesTaken)))
    }
}
