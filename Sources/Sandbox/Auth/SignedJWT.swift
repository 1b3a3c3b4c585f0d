internal import JSONBytes

/// A JSON Web Token in compact form (RFC 7519), taken apart but not yet believed.
struct SignedJWT {
    var header: JSONValue
    var claims: JSONValue
    var signature: [UInt8]
    /// What the signature is over.
    var signedPart: [UInt8]

    /// Nil if the text is no such token.
    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3,
            let header = Self.json(parts[0]), let claims = Self.json(parts[1]),
            let signature = parts[2].withBytes({ Base64.decode($0, isURLSafe: true) }), !signature.isEmpty
        else { return nil }
        self.header = header
        self.claims = claims
        self.signature = signature
        signedPart = Array((parts[0] + "." + parts[1]).utf8)
    }

    private static func json(_ part: String) -> JSONValue? {
        // RFC 7515: no padding.
        guard !part.contains("="), let bytes = part.withBytes({ Base64.decode($0, isURLSafe: true) }),
            let value = try? JSONValue(parsing: bytes), value.objectValue != nil
        else { return nil }
        return value
    }
}
