/// Takes a database's URL apart where its password may hold characters that should have been percent-encoded: it mostly comes from a
/// variable.
struct SQLAddressText {
    var scheme: Substring
    var user: Substring?
    var password: Substring?
    /// Host, path and query.
    var rest: Substring

    /// Nil without `://`.
    init?(_ url: String) {
        guard let separator = url.firstRange(of: "://") else { return nil }
        scheme = url[..<separator.lowerBound]
        rest = url[separator.upperBound...]
        var end = rest.endIndex
        // The last @ behind which a host can stand; one inside the query's values has none behind it.
        while let at = rest[..<end].lastIndex(of: "@") {
            let host = rest[rest.index(after: at)...].prefix { !"/?#".contains($0) }
            let question = rest[..<at].firstIndex(of: "?")
            let isInQuery = question.map { rest[$0..<at].contains("=") } ?? false
            if !isInQuery, !host.contains(where: { "=&@ ".contains($0) }) {
                let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                user = parts[0]
                password = parts.count > 1 ? parts[1] : nil
                rest = rest[rest.index(after: at)...]
                return
            }
            end = at
        }
    }

    /// The URL with everything in user and password encoded that a URL can't hold there.
    var encoded: String {
        guard let user else { return "\(scheme)://\(rest)" }
        let credentials = password.map { Self.encode(user) + ":" + Self.encode($0) } ?? Self.encode(user)
        return "\(scheme)://\(credentials)@\(rest)"
    }

    /// Sequences such as `%40` stay what they are.
    private static func encode(_ text: Substring) -> String {
        let bytes = Array(text.utf8)
        var result = ""
        for (index, byte) in bytes.enumerated() {
            let isSequence =
                byte == UInt8(ascii: "%") && index + 2 < bytes.count && isHexadecimal(bytes[index + 1])
                && isHexadecimal(bytes[index + 2])
            if isSequence || isPlain(byte) {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return result
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte & 0xDF)
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte & 0xDF) || "-._~!$&'()*+,;=".utf8.contains(byte)
    }
}
