import CCurl

/// Where a URL points, as libcurl's own parser reads it.
package struct HTTPTarget: Sendable, Equatable, CustomStringConvertible {
    package let scheme: String
    /// Without the brackets of an IPv6 address.
    package let host: String
    package let port: Int

    /// - Returns: nil for what is no absolute `http` or `https` URL, or carries a user name.
    package init?(url: String) {
        guard let handle = curl_url() else { return nil }
        defer { curl_url_cleanup(handle) }
        func part(_ part: CURLUPart, _ flags: Int32 = 0) -> String? {
            var text: UnsafeMutablePointer<CChar>?
            guard curl_url_get(handle, part, &text, UInt32(flags)) == CURLUE_OK, let text else { return nil }
            defer { curl_free(text) }
            return String(cString: text)
        }
        // A zero byte would end the URL early for libcurl.
        guard !url.utf8.contains(0),
            curl_url_set(handle, CURLUPART_URL, url, UInt32(CURLU_DISALLOW_USER)) == CURLUE_OK,
            let scheme = part(CURLUPART_SCHEME)?.lowercased(), scheme == "http" || scheme == "https",
            let host = part(CURLUPART_HOST), !host.isEmpty,
            let port = part(CURLUPART_PORT, CURLU_DEFAULT_PORT).flatMap({ Int($0) })
        else { return nil }
        self.scheme = scheme
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        self.port = port
    }

    /// `host:port`
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// This machine by name or address. A name that merely resolves to it does not count.
    package var isLoopback: Bool {
        let name = host.lowercased()
        return name == "localhost" || name.hasSuffix(".localhost") || name == "::1"
            || (name.hasPrefix("127.") && name.split(separator: ".", omittingEmptySubsequences: false).count == 4
                && name.allSatisfy { $0.isNumber || $0 == "." })
    }

    /// A cloud's metadata server: it answers to this machine alone, so no proxy may come between (it would give us the
    /// proxy's identity).
    var isMetadataServer: Bool {
        host.hasPrefix("169.254.")
            || ["metadata.google.internal", "fd00:ec2::254", "fd00:ec2::23"].contains(host.lowercased())
    }
}
