import FoundationEssentials

/// AWS STS: trades an identity for a role's short-lived access key.
struct SecurityTokenService: Sendable {
    private let service: TokenService
    private let endpoint: String
    private let region: String

    init(_ search: AWSCredentialSearch, region: String?) {
        service = search.service
        let region = search.value("AWS_REGION") ?? search.value("AWS_DEFAULT_REGION") ?? region
        self.region = region ?? "us-east-1"
        let domain = self.region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        endpoint =
            search.value("AWS_ENDPOINT_URL_STS") ?? search.value("AWS_ENDPOINT_URL")
            ?? (region.map { "https://sts.\($0).\(domain)" } ?? "https://sts.amazonaws.com")
    }

    func assumeRole(
        _ role: String, session: String?, externalID: String?, by credentials: AWSCredentials
    ) async throws(AuthError) -> AWSCredentials {
        var request = form([
            "Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": role,
            "RoleSessionName": session ?? Self.defaultSession, "ExternalId": externalID,
        ])
        SigV4(region: region, service: "sts").sign(&request, by: credentials, at: service.now())
        return try await send(request, role: role)
    }

    /// The file holds a token of the identity provider, which renews it: it is read each time.
    func assumeRole(_ role: String, session: String?, identityFile: String) async throws(AuthError) -> AWSCredentials {
        let token: [UInt8]
        switch readFile(identityFile, maximumBytes: 64 << 10) {
        case .success(let read): token = read
        case .failure(let failure): throw .unreadableFile(path: identityFile, reason: failure.reason)
        }
        let text = String(decoding: token, as: UTF8.self).filter { !$0.isWhitespace }
        let request = form([
            "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": role,
            "RoleSessionName": session ?? Self.defaultSession, "WebIdentityToken": text,
        ])
        return try await send(request, role: role)
    }

    private static let defaultSession = "etlctl"

    private func form(_ fields: KeyValuePairs<String, String?>) -> HTTPRequest {
        HTTPRequest(
            .post, endpoint.hasSuffix("/") ? endpoint : endpoint + "/",
            headers: [HTTPHeader("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")],
            body: HTTPBody(Array(PercentEncoding.query(fields).utf8)))
    }

    private func send(_ request: HTTPRequest, role: String) async throws(AuthError) -> AWSCredentials {
        let response = try await service.send(request)
        let answer = try? XMLElement(parsing: response.body)
        if response.isSuccess {
            guard let keys = answer?.descendant("Credentials"), let id = keys["AccessKeyId"]?.text,
                let secret = keys["SecretAccessKey"]?.text, let token = keys["SessionToken"]?.text,
                let end = keys["Expiration"].flatMap({ AWSDate.parse($0.text) })
            else { throw .unavailable(reason: "AWS STS answered HTTP \(response.status) without credentials") }
            return AWSCredentials(accessKeyID: id, secretAccessKey: secret, sessionToken: token, expiresAt: end)
        }
        let code = answer?.descendant("Code")?.text ?? ""
        // STS's texts name roles and accounts, never keys or tokens.
        let message = answer?.descendant("Message")?.text ?? "no explanation"
        let text = "AWS STS answered HTTP \(response.status) \(code): \(message)".prefix(400)
        if response.status >= 500 || response.status == 429 || code == "Throttling" || code == "IDPCommunicationError" {
            throw .unavailable(reason: String(text))
        }
        throw .refused(principal: role, reason: String(text))
    }
}

enum AWSDate {
    /// `2025-11-25T14:57:57Z`, with or without a fraction.
    static func parse(_ text: String) -> Date? {
        (try? Date(text, strategy: .iso8601))
            ?? (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
    }
}
