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

    /// - Parameter environment: libpq takes from `PG*` what a PostgreSQL URL leaves out.
    /// - Returns: nil where there is no `scheme://`.
    init?(_ text: String, environment: [String: String] = [:]) {
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
        let isMySQL = scheme == "mysql" || scheme == "mariadb"
        target = Self.target(
            location: location, query: Self.queryItems(of: rest), environment: isMySQL ? nil : environment)
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

    /// - Parameter environment: nil for MySQL, which reads none.
    private static func target(
        location: Substring, query: [(name: String, value: String)], environment: [String: String]?
    ) -> String {
        func given(_ parameter: String, _ variable: String) -> String? {
            // libpq takes host, port and database from the query too.
            let value = query.last { $0.name == parameter }?.value ?? environment?[variable]
            return value.flatMap { $0.isEmpty ? nil : $0 }
        }
        let slash = location.firstIndex(of: "/")
        let authority = location[..<(slash ?? location.endIndex)]
        let path = slash.map { String(location[location.index(after: $0)...]) } ?? ""
        let hosts =
            authority.isEmpty ? given("host", "PGHOST") ?? given("hostaddr", "PGHOSTADDR") ?? "" : String(authority)
        let database = path.isEmpty ? given("dbname", "PGDATABASE") ?? "" : path
        let port = given("port", "PGPORT") ?? (environment == nil ? "3306" : "5432")
        let named = hosts.split(separator: ",", omittingEmptySubsequences: false).map { host in
            let hasPort = host.drop { $0 != "]" }.contains(":") || !host.contains("]") && host.contains(":")
            return hasPort ? host.lowercased() : "\(host.lowercased()):\(port)"
        }
        let service = given("service", "PGSERVICE").map { "?service=\($0)" } ?? ""
        return "\(environment == nil ? "mysql" : "postgres")://\(named.joined(separator: ","))/\(database)\(service)"
    }
}
