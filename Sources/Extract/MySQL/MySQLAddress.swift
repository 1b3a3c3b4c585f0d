/// What a MySQL URL says, percent-decoded. What it leaves out comes from option files.
struct MySQLAddress: Equatable {
    enum TLS: String {
        case disabled
        case preferred
        case required
        case verifyCA = "verify_ca"
        case verifyIdentity = "verify_identity"
    }

    var host: String?
    var port: UInt32 = 0
    var user: String?
    var password: String?
    var database: String?
    var socket: String?
    var tls: TLS?
    var certificateAuthority: String?
    var certificate: String?
    var key: String?
    /// Seconds.
    var connectTimeout: UInt32 = 10

    /// - Throws: `ExtractError` of kind `.configuration`; the message never quotes the URL.
    init(_ settings: MySQLSource.Configuration) throws {
        func refuse(_ what: String) -> ExtractError {
            ExtractError(
                .configuration, "the url of \(settings.location) \(what)",
                at: .source("url"),
                hint: "mysql://user:password@host:port/database?ssl-mode=VERIFY_IDENTITY&ssl-ca=FILE")
        }
        guard let text = SQLAddressText(settings.url) else { throw refuse("has no scheme") }
        user = text.user.map { Self.decoded($0) }
        password = text.password.map { Self.decoded($0) }
        var rest = text.rest
        var query: Substring = ""
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count > 1, !parts[1].isEmpty { database = Self.decoded(parts[1]) }
        try readAuthority(parts.first ?? "", refuse)
        for item in query.split(separator: "&") {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            try set(pair[0].lowercased(), pair.count > 1 ? Self.decoded(pair[1]) : "", refuse)
        }
        if user?.isEmpty ?? false { user = nil }
    }

    private mutating func readAuthority(_ text: Substring, _ refuse: (String) -> ExtractError) throws {
        var name = text
        var portText: Substring?
        if name.hasPrefix("["), let end = name.firstIndex(of: "]") {
            let after = name[name.index(after: end)...]
            if after.hasPrefix(":") { portText = after.dropFirst() }
            name = name[name.index(after: name.startIndex)..<end]
        } else if let colon = name.lastIndex(of: ":") {
            portText = name[name.index(after: colon)...]
            name = name[..<colon]
        }
        if let portText, !portText.isEmpty {
            guard let number = UInt32(portText), (1...65_535).contains(number) else {
                throw refuse("has no valid port")
            }
            port = number
        }
        let decoded = Self.decoded(name)
        // A host that is a path is a socket.
        if decoded.hasPrefix("/") { socket = decoded } else if !decoded.isEmpty { host = decoded }
    }

    private mutating func set(_ name: String, _ value: String, _ refuse: (String) -> ExtractError) throws {
        switch name {
        case "ssl-mode", "sslmode", "ssl_mode":
            let word = value.lowercased().split(separator: "-").joined(separator: "_")
            let synonyms = [
                "disable": "disabled", "prefer": "preferred", "require": "required", "verify_full": "verify_identity",
            ]
            guard let mode = TLS(rawValue: synonyms[word] ?? word) else {
                throw refuse("has an unknown ssl-mode \(value)")
            }
            tls = mode
        case "ssl-ca", "sslrootcert", "ssl_ca": certificateAuthority = value
        case "ssl-cert", "sslcert", "ssl_cert": certificate = value
        case "ssl-key", "sslkey", "ssl_key": key = value
        case "socket", "unix_socket": socket = value
        case "password": password = value
        case "user": user = value
        case "connect-timeout", "connect_timeout":
            guard let seconds = UInt32(value), seconds > 0 else { throw refuse("has no valid connect_timeout") }
            connectTimeout = seconds
        case "charset": break
        default: throw refuse("has the unknown parameter \(name)")
        }
    }

    private static func decoded(_ text: some StringProtocol) -> String {
        var bytes: [UInt8] = []
        let source = Array(text.utf8)
        var index = 0
        while index < source.count {
            if source[index] == UInt8(ascii: "%"), index + 2 < source.count,
                let value = UInt8(String(decoding: source[(index + 1)...(index + 2)], as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                index += 3
            } else {
                bytes.append(source[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
