internal import CMariaDB

/// What errors of libmariadb and of the server mean: worth another attempt, refused, or a wrong configuration. Never with a password in it.
struct MySQLFailure {
    private let settings: MySQLSource.Configuration

    init(_ settings: MySQLSource.Configuration) { self.settings = settings }

    func connecting(_ handle: UnsafeMutablePointer<MYSQL>) -> ExtractError {
        let number = mysql_errno(handle)
        let subject = "connecting to \(settings.location) failed: \(message(handle))"
        // CR_SSL_CONNECTION_ERROR
        if number == 2026 {
            var failure = ExtractError(
                .unavailable, subject,
                hint:
                    "ssl-mode in the url says what is demanded; ssl-ca names the file of the authority that signs the server"
            )
            failure.isFinal = true
            return failure
        }
        return error(number, subject)
    }

    func statement(_ handle: UnsafeMutablePointer<MYSQL>?, doing what: String) -> ExtractError {
        guard let handle else {
            return ExtractError(.unavailable, "\(what) in \(settings.location) failed: the connection was given up")
        }
        return error(mysql_errno(handle), "\(what) in \(settings.location) failed: \(message(handle))")
    }

    /// By number (MySQL and MariaDB reference manuals, server and client error references).
    private func error(_ number: UInt32, _ subject: String) -> ExtractError {
        let text = "\(subject) (\(number))"
        switch number {
        case 1045, 1698, 1251, 2059, 2061:
            return ExtractError(
                .denied, text,
                hint: "check user and password: in the URL, in the option file of credentials: or in ~/.my.cnf")
        case 1044, 1142, 1143, 1227, 1370, 4151:
            return ExtractError(.denied, text, hint: "GRANT SELECT on the table to the user")
        case 1049:
            return ExtractError(
                .configuration, text, at: .source("url"), hint: "check the database's name in the source's url")
        case 1146, 1051:
            return ExtractError(.configuration, text, at: .stream("from"), hint: "check from: or query: of the stream")
        case 1054: return ExtractError(.configuration, text, hint: "check the names of columns in the stream")
        // Statement and lock timeouts.
        case 1969, 3024:
            return ExtractError(
                .unavailable, text,
                hint: "statement_timeout of the source allows more time; without it there is no limit of ours")
        case 1205, 1213:
            return ExtractError(
                .unavailable, text,
                hint: "someone holds a lock on the table; lock_timeout of the source allows more time")
        // Too many connections, shutdown, killed, out of resources, aborted; everything of the client library's own.
        case 1040, 1053, 1077, 1129, 1152, 1158...1161, 1184, 1203, 1226, 1317, 1927, 1953, 4031, 2000...2099:
            return ExtractError(
                .unavailable, text,
                hint: "check the network and the server, then run the same command again: it goes on where it stopped")
        default: return ExtractError(.configuration, text, hint: "check what the stream reads")
        }
    }

    private func message(_ handle: UnsafeMutablePointer<MYSQL>) -> String {
        var message = mysql_error(handle).map { String(cString: $0) } ?? ""
        for secret in settings.secrets where !secret.isEmpty {
            while let place = message.firstRange(of: secret) { message.replaceSubrange(place, with: "<redacted>") }
        }
        return message
    }
}
