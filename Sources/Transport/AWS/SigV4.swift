package import FoundationEssentials

/// AWS Signature Version 4 in headers (docs.aws.amazon.com, "Signature Version 4 signing process").
///
/// Every header of the request is signed, with `Host` and the ones it adds. The URL is signed as it stands, so it must be strictly
/// percent-encoded; S3's paths are encoded once, other services' are encoded once more for the signature alone.
package struct SigV4: Sendable {
    package var region: String
    package var service: String

    package init(region: String, service: String) {
        self.region = region
        self.service = service
    }

    /// Adds `X-Amz-Date`, `X-Amz-Content-Sha256`, the session token's header and `Authorization`.
    package func sign(_ request: inout HTTPRequest, by credentials: AWSCredentials, at date: Date) {
        let time = WireDate.basic(date)
        let payload = Digest.hex(request.body.map { $0.withUnsafeBytes(Digest.sha256) } ?? Digest.sha256([]))
        request.setHeader("X-Amz-Date", time)
        if service == "s3" { request.setHeader("X-Amz-Content-Sha256", payload) }
        if let token = credentials.sessionToken { request.setHeader("X-Amz-Security-Token", token) }
        let scope = "\(time.prefix(8))/\(region)/\(service)/aws4_request"
        let (canonical, signed) = canonicalRequest(request, payload: payload)
        let text = "AWS4-HMAC-SHA256\n\(time)\n\(scope)\n\(Digest.hex(Digest.sha256(Array(canonical.utf8))))"
        var key = Array("AWS4\(credentials.secretAccessKey)".utf8)
        for part in [String(time.prefix(8)), region, service, "aws4_request", text] {
            key = Digest.hmacSHA256(key: key, data: Array(part.utf8))
        }
        request.setHeader(
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), SignedHeaders=\(signed), "
                + "Signature=\(Digest.hex(key))")
    }

    private func canonicalRequest(_ request: HTTPRequest, payload: String) -> (text: String, signed: String) {
        let url = SplitURL(request.url)
        var headers = request.headers.map { (name: $0.name.lowercased(), value: Self.collapsed($0.value)) }
        headers.removeAll { $0.name == "authorization" }
        if !headers.contains(where: { $0.name == "host" }) { headers.append((name: "host", value: url.host)) }
        headers.sort { $0.name < $1.name }
        let signed = headers.map(\.name).joined(separator: ";")
        let path = url.path.isEmpty ? "/" : String(url.path)
        let lines = [
            request.method.rawValue,
            service == "s3" ? path : PercentEncoding.encode(path, keepsSlashes: true),
            Self.canonicalQuery(url.query),
            headers.map { "\($0.name):\($0.value)\n" }.joined(),
            signed,
            payload,
        ]
        return (lines.joined(separator: "\n"), signed)
    }

    /// Parameters sorted by their encoded bytes, every one with its `=`.
    private static func canonicalQuery(_ query: Substring) -> String {
        let parameters = query.split(separator: "&").map { parameter -> (name: Substring, value: Substring) in
            let end = parameter.firstIndex(of: "=") ?? parameter.endIndex
            return (parameter[..<end], parameter[end...].dropFirst())
        }
        let sorted = parameters.sorted {
            $0.name == $1.name
                ? $0.value.utf8.lexicographicallyPrecedes($1.value.utf8)
                : $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
        }
        return sorted.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
    }

    /// Spaces at the ends go, those inside become one.
    private static func collapsed(_ value: String) -> String {
        value.split(separator: " ").joined(separator: " ")
    }
}

/// A URL in the parts that signatures are made of, as they stand.
struct SplitURL {
    let scheme: Substring
    /// With the port, unless it is the scheme's own: what goes into `Host`.
    let host: String
    let path: Substring
    let query: Substring

    init(_ url: String) {
        let separator = url.firstRange(of: "://")
        scheme = separator.map { url[..<$0.lowerBound] } ?? ""
        let rest = separator.map { url[$0.upperBound...] } ?? url[...]
        let authorityEnd = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<authorityEnd]
        let defaultPort = scheme.lowercased() == "https" ? ":443" : ":80"
        host = String(authority.hasSuffix(defaultPort) ? authority.dropLast(defaultPort.count) : authority)
        let queryStart = rest.firstIndex(of: "?") ?? rest.endIndex
        path = rest[authorityEnd..<queryStart]
        query = rest[queryStart...].dropFirst()
    }
}
