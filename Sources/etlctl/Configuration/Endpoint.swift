/// The base URL of a service: `http` or `https`, host, port and an optional path, without a slash at the end.
struct Endpoint: Sendable, Equatable, CustomStringConvertible {
    let url: String
    /// Lower case, without port and brackets.
    let host: String

    /// - Parameter text: with a scheme, or `host:port`, which the emulators' variables hold and which means `http`.
    /// - Returns: nil where it is no such URL, or holds a user, a query or a fragment.
    init?(_ text: String) {
        var url = text.contains("://") ? text : "http://\(text)"
        while url.hasSuffix("/") { url.removeLast() }
        guard let separator = url.firstRange(of: "://") else { return nil }
        let scheme = url[..<separator.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { return nil }
        guard !url.contains(where: { $0 == "@" || $0 == "?" || $0 == "#" || $0.isWhitespace }) else { return nil }
        let authority = url[separator.upperBound...].prefix { $0 != "/" }
        var host = authority
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = authority[authority.index(after: authority.startIndex)..<end]
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            guard let port = Int(authority[authority.index(after: colon)...]), (1...65_535).contains(port) else {
                return nil
            }
        }
        guard !host.isEmpty else { return nil }
        self.url = url
        self.host = host.lowercased()
    }

    private init(trusted url: String, host: String) {
        self.url = url
        self.host = host
    }

    static let bigQuery = Endpoint(trusted: "https://bigquery.googleapis.com", host: "bigquery.googleapis.com")
    static let firestore = Endpoint(trusted: "https://firestore.googleapis.com", host: "firestore.googleapis.com")

    /// This machine: nothing sent there leaves it, so no credentials are needed and bodies are not compressed.
    var isLoopback: Bool {
        let octets = host.split(separator: ".", omittingEmptySubsequences: false)
        let isLoopbackAddress = octets.count == 4 && octets[0] == "127" && octets.allSatisfy { UInt8($0) != nil }
        return isLoopbackAddress || host == "localhost" || host.hasSuffix(".localhost") || host == "::1"
    }

    /// What a position or a spooled row is bound to: loopback endpoints count as one, whatever their port.
    var identity: String { isLoopback ? "loopback" : url.lowercased() }

    var description: String { url }
}
