/// What errors of libpq and of the server mean: worth another attempt, refused, or a wrong configuration. Never with a password in it.
struct PostgresFailure {
    private let settings: PostgresSource.Configuration

    init(_ settings: PostgresSource.Configuration) { self.settings = settings }

    // MARK: Connecting

    func connecting(_ text: String) -> ExtractError {
        let message = clean(text)
        let subject = "connecting to \(settings.location) failed: \(message)"
        if let state = Self.state(in: text) { return error(state, subject) }
        let lower = message.lowercased()
        let isInvalid = lower.contains("invalid") && ["uri", "option", "value"].contains { lower.contains($0) }
        let concernsTLS = !isInvalid && ["ssl", "certificate", "tls"].contains { lower.contains($0) }
        if concernsTLS, !lower.contains("closed the connection unexpectedly"), !lower.contains("syscall") {
            var failure = ExtractError(
                .unavailable, subject,
                hint:
                    "sslmode in the URL says what is demanded; sslrootcert names the file of the authority that signs the server"
            )
            failure.isFinal = true
            return failure
        }
        if lower.contains("no password supplied") || lower.contains("password authentication failed") {
            return ExtractError(.denied, subject, hint: Self.passwordHint)
        }
        if isInvalid || lower.contains("definition of service") || lower.contains("missing \"=\"")
            || lower.contains("could not look up")
        {
            return ExtractError(.configuration, subject, at: .source("url"), hint: "check the source's url")
        }
        return ExtractError(.unavailable, subject, hint: "check host, port and network, and that the server runs")
    }

    /// The verbose form is `FATAL:  28P01: password ...`.
    private static func state(in text: String) -> String? {
        for word in text.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
            guard word.utf8.count == 6, word.hasSuffix(":") else { continue }
            let code = word.dropLast()
            if code.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) }),
                code.utf8.contains(where: { (0x30...0x39).contains($0) })
            {
                return String(code)
            }
        }
        return nil
    }

    // MARK: Statements

    func statement(_ text: String, state: String?, isBroken: Bool, doing what: String) -> ExtractError {
        let subject = "\(what) in \(settings.location) failed: \(clean(text))"
        if let state, !isBroken || !state.hasPrefix("08") { return error(state, subject) }
        return ExtractError(
            isBroken ? .unavailable : .unexpected, subject,
            hint: "check the network and the server, then run the same command again: it goes on where it stopped")
    }

    private static let passwordHint =
        "check user and password: in the URL, in PGPASSWORD, in the file of credentials: or in ~/.pgpass"

    /// By SQLSTATE (PostgreSQL manual, appendix A).
    private func error(_ state: String, _ subject: String) -> ExtractError {
        let text = "\(subject) (\(state))"
        switch state {
        case "28P01", "28000":
            return ExtractError(.denied, text, hint: Self.passwordHint + "; pg_hba.conf decides who may connect")
        case "42501":
            return ExtractError(.denied, text, hint: "GRANT SELECT on the table and USAGE on its schema to the user")
        case "3D000":
            return ExtractError(
                .configuration, text, at: .source("url"), hint: "check the database's name in the source's url")
        case "42P01", "3F000":
            return ExtractError(.configuration, text, at: .stream("from"), hint: "check from: or query: of the stream")
        case "42703": return ExtractError(.configuration, text, hint: "check the names of columns in the stream")
        case "57014":
            return ExtractError(
                .unavailable, text,
                hint: "statement_timeout of the source allows more time; without it there is no limit of ours")
        case "55P03":
            return ExtractError(
                .unavailable, text,
                hint: "someone holds a lock on the table; lock_timeout of the source allows more time")
        case _ where state.hasPrefix("22"):
            return ExtractError(.malformed, text, hint: "see to the value in the source")
        default: break
        }
        // Lost connections, a server going down or coming up, no room for another one, conflicts with recovery on a replica.
        let transient = ["08", "57P", "53", "40", "58", "25P", "XX"]
        if transient.contains(where: state.hasPrefix) {
            return ExtractError(
                .unavailable, text, hint: "run the same command again: it goes on where it stopped")
        }
        return ExtractError(.configuration, text, hint: "check what the stream reads")
    }

    // MARK: Text

    /// One line, without the places in the server's source that the verbose form adds, and without passwords.
    private func clean(_ text: String) -> String {
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("LOCATION:") }
        var message = lines.joined(separator: " ")
        while let double = message.firstRange(of: "  ") { message.replaceSubrange(double, with: " ") }
        for secret in settings.secrets where !secret.isEmpty {
            while let place = message.firstRange(of: secret) { message.replaceSubrange(place, with: "<redacted>") }
        }
        return message
    }
}
