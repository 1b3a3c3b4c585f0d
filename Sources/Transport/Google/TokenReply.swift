import FoundationEssentials

/// What token services answer: RFC 6749 from the token endpoints and the metadata server, `accessToken` and
/// `expireTime` from IAM.
struct TokenReply: Decodable {
    var token: String?
    var expiresIn: Double?
    var expireTime: String?
    var error: String?
    var errorDescription: String?

    private enum CodingKeys: String, CodingKey {
        case accessToken = "access_token"
        case expiresIn = "expires_in"
        case errorDescription = "error_description"
        case error
        case iamToken = "accessToken"
        case expireTime
    }

    /// Google's API services nest it: `{"error":{"code":403,"message":"..","status":"PERMISSION_DENIED"}}`.
    private struct ServiceError: Decodable {
        var message: String?
        var status: String?
    }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        token =
            (try? values.decode(String.self, forKey: .accessToken))
            ?? (try? values.decode(String.self, forKey: .iamToken))
        // Some token services write the number as a string.
        expiresIn =
            (try? values.decode(Double.self, forKey: .expiresIn))
            ?? (try? values.decode(String.self, forKey: .expiresIn)).flatMap { Double($0) }
        expireTime = try? values.decode(String.self, forKey: .expireTime)
        if let nested = try? values.decode(ServiceError.self, forKey: .error) {
            error = nested.status
            errorDescription = nested.message
        } else {
            error = try? values.decode(String.self, forKey: .error)
            errorDescription = try? values.decode(String.self, forKey: .errorDescription)
        }
    }

    /// - Returns: nil for what is no JSON object.
    static func parse(_ body: [UInt8]) -> TokenReply? {
        try? JSONDecoder().decode(TokenReply.self, from: Data(body))
    }

    /// - Returns: nil without a token that fits into a header, or without a time that is later than `now`.
    func accessToken(at now: Date) -> AccessToken? {
        guard let token, !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
        // A year is more than any service grants; it keeps a wrong unit from making a token eternal.
        if let expiresIn, expiresIn > 0 { return AccessToken(token, expiresAt: now + min(expiresIn, 31_536_000)) }
        guard let expireTime, let end = try? Date(expireTime, strategy: .iso8601), end > now else { return nil }
        return AccessToken(token, expiresAt: end)
    }
}
