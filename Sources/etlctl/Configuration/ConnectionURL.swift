import Foundation

/// The URL of a database with the parts that may be shown.
struct ConnectionURL: Sendable, Equatable {
    /// The whole URL as configured, password included.
    let secret: SecretString
    /// Scheme, user, host, port and path: without the password and without the query, which can hold one.
    let safeURL: String
    /// The password as it stands in the URL, and decoded: what must never be printed.
    let passwords: [SecretString]
    /// Host, port and database in one spelling: what the URL points at, whoever signs in.
    let target: String

    /// - Returns: nil where there is no `scheme://`.
    init?(_ text: String) {
        guard let separator = text.firstRange(of: "://") else { return nil }
        secret = SecretString(text)
        let scheme = text[..<separator.lowerBound].lowercased()
        let rest = text[separator.upperBound...]
        let beforeQuery = rest.prefix { $0 != "?" && $0 != "#" }

        // A password that was not percent-encoded may hold `/`, `?`, `#` or `@`: then the last `@` of all ends it, so
        // that no piece of it is taken for a host or a path.
        var location = beforeQuery
        var userInformation: Substring?
        if let at = beforeQuery.lastIndex(of: "@") {
            userInformation = beforeQuery[..<at]
            location = beforeQuery[beforeQuery.index(after: at)...]
        } else if let at = rest.lastIndex(of: "@"), Self.holdsPassword(beforeQuery) {
            userInformation = rest[..<at]
            location = rest[rest.index(after: at)...].prefix { $0 != "?" && $0 != "#" }
        }

        var passwords: [String] = []
        var user = ""
        if let userInformation {
            if let colon = userInformation.firstIndex(of: ":") {
                user = String(userInformation[..<colon])
                passwords.append(String(userInformation[userInformation.index(after: colon)...]))
            } else {
                user = String(userInformation)
            }
        }
        for (name, value) in Self.queryItems(of: rest) where name.lowercased().contains("password") {
            passwords.append(value)
        }
        safeURL = "\(scheme)://\(user.isEmpty ? "" : user + "@")\(location)"
        self.passwords =
            passwords.filter { !$0.isEmpty }
            .flatMap { password in
                let decoded = password.removingPercentEncoding ?? password
                return decoded == password ? [SecretString(password)] : [SecretString(password), SecretString(decoded)]
            }
        target = Self.target(scheme: scheme, location: location, query: Self.queryItems(of: rest))
    }

    /// Whether the part up to the first `/` reads as `user:something` where something is no port.
    private static func holdsPassword(_ text: Substring) -> Bool {
        let authority = text.prefix { $0 != "/" }
        guard let colon = authority.firstIndex(of: ":") else { return false }
        return !authority[authority.index(after: colon)...].allSatisfy(\.isNumber)
    }

    private static func queryItems(of rest: Substring) -> [(name: String, value: String)] {
        guard let mark = rest.firstIndex(of: "?") else { return [] }
        return rest[rest.index(after: mark)...].split(separator: "&").map { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
        }
    }

    private static func target(scheme: String, location: Substring, query: [(name: String, value: String)]) -> String {
        // libpq takes host, port and database from the query too.
        func item(_ name: String) -> String? { query.last { $0.name == name && !$0.value.isEmpty }?.value }
        let slash = location.firstIndex(of: "/")
        var hosts = slash.map { String(location[..<$0]) } ?? String(location)
        var database = slash.map { String(location[location.index(after: $0)...]) } ?? ""
        let isMySQL = scheme == "mysql" || scheme == "mariadb"
        if hosts.isEmpty { hosts = item("host") ?? item("hostaddr") ?? "" }
        if let port = item("port") { hosts += ":\(port)" }
        if let name = item("dbname") { database = name }
        let defaultPort = isMySQL ? "3306" : "5432"
        let named = hosts.split(separator: ",").map { host in
            let name = host.lowercased()
            return name.hasSuffix("]") || !name.contains(":") ? "\(name):\(defaultPort)" : name
        }
        return "\(isMySQL ? "mysql" : "postgres")://\(named.joined(separator: ","))/\(database)"
    }
}
