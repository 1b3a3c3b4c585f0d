import HTTPServer
import JSONBytes

/// What `serve` answers: a page, metrics, health. Every answer is made of one reading of the spool.
struct StatusServer: Sendable {
    private let reader: SpoolReader

    init(_ reader: SpoolReader) { self.reader = reader }

    /// Blocks while the spool is read.
    func response(to request: HTTPRequest) -> HTTPResponse {
        guard Self.isOfThisMachine(host: request.headers["host"]) else {
            return .text(403, "This address answers to localhost and 127.0.0.1 alone.\n")
        }
        let answer: () -> HTTPResponse
        switch request.path {
        case "/": answer = page
        case "/metrics": answer = metrics
        case "/healthz": answer = health
        default: return .text(404, "There are /, /metrics and /healthz.\n")
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            var refusal = HTTPResponse.text(405, "Only GET and HEAD.\n")
            refusal.headers.append(("Allow", "GET, HEAD"))
            return refusal
        }
        // libmicrohttpd leaves the body out where the method is HEAD.
        return answer()
    }

    /// Whether a `Host` names this machine. A browser that was led here by another site's name (DNS rebinding) sends that name.
    static func isOfThisMachine(host: String?) -> Bool {
        guard let host = host?.lowercased() else { return false }
        for name in ["localhost", "127.0.0.1", "[::1]"] where host.hasPrefix(name) {
            let port = host.dropFirst(name.count)
            if port.isEmpty { return true }
            if port.first == ":", port.count > 1, port.dropFirst().utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
                return true
            }
        }
        return false
    }

    private func page() -> HTTPResponse {
        let reading = reader.reading()
        let page = StatusPage(reading, redact: reader.redacted)
        return .guarded(
            reading.failure == nil ? 200 : 503, "text/html; charset=utf-8", page.text,
            policy: StatusPage.contentSecurityPolicy)
    }

    /// 200 also where the spool can't be read: `etlctl_up` says so.
    private func metrics() -> HTTPResponse {
        let text = MetricsText.text(of: SpoolMetrics.families(of: reader.reading()))
        return .guarded(200, "text/plain; version=0.0.4; charset=utf-8", text)
    }

    private func health() -> HTTPResponse {
        guard let failure = reader.reading().failure else { return .text(200, "ok\n") }
        let body: JSONValue = ["error": failure.json]
        return .guarded(503, "application/json; charset=utf-8", body.text + "\n")
    }
}

extension HTTPResponse {
    fileprivate static func text(_ status: Int, _ text: String) -> HTTPResponse {
        guarded(status, "text/plain; charset=utf-8", text)
    }

    /// With the header fields that keep a browser from storing it, guessing its type, or showing it inside of another site.
    fileprivate static func guarded(
        _ status: Int, _ contentType: String, _ text: String,
        policy: String = "default-src 'none'; frame-ancestors 'none'"
    ) -> HTTPResponse {
        var response = HTTPResponse(status: status, contentType: contentType, body: Array(text.utf8))
        response.headers += [
            ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"),
            ("Content-Security-Policy", policy), ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ]
        return response
    }
}
