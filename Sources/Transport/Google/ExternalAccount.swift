import FoundationEssentials

/// An identity of another provider (workload identity federation): its own token, from a file or an address, is
/// exchanged for Google's.
struct ExternalAccount: Sendable {
    static let defaultTokenURL = "https://sts.googleapis.com/v1/token"
    /// Tokens of other providers; real ones have a few KB.
    static let maximumSubjectBytes = 256 << 10

    private enum Origin {
        case file(String)
        case url(HTTPRequest)
    }

    let name: String
    private let path: String
    private let audience: String
    private let subjectTokenType: String
    private let tokenURL: String
    private let origin: Origin
    /// Where in a JSON object the token is; nil: the whole text.
    private let field: String?

    init(_ document: CredentialsDocument, path: String) throws(AuthError) {
        guard let audience = document.audience, let type = document.subjectTokenType else {
            throw .unreadableFile(path: path, reason: "audience or subject_token_type is missing")
        }
        guard let source = document.credentialSource else {
            throw .unreadableFile(path: path, reason: "credential_source is missing")
        }
        if let file = source.file {
            origin = .file(file)
        } else if let url = source.url, source.environmentId == nil, HTTPTarget(url: url) != nil {
            let headers = (source.headers ?? [:]).sorted { $0.key < $1.key }
            origin = .url(HTTPRequest(.get, url, headers: headers.map { HTTPHeader($0.key, $0.value) }))
        } else {
            throw .unreadableFile(
                path: path,
                reason:
                    "credential_source names neither a file nor a url; "
                    + "AWS, executables and certificates are not supported"
            )
        }
        let format = source.format?.type ?? "text"
        guard format == "text" || (format == "json" && source.format?.subjectTokenFieldName != nil) else {
            throw .unreadableFile(
                path: path, reason: "credential_source.format is neither text nor json with its field")
        }
        field = format == "json" ? source.format?.subjectTokenFieldName : nil
        name = "the federated identity of \(path)"
        self.path = path
        self.audience = audience
        subjectTokenType = type
        tokenURL = try GoogleCredentials.secureURL(
            document.tokenUrl ?? Self.defaultTokenURL, member: "token_url", path: path)
    }

    func token(scopes: [String], service: TokenService) async throws(AuthError) -> AccessToken {
        let subject = try await subjectToken(service: service)
        let request = TokenService.form(
            [
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": audience,
                "scope": scopes.joined(separator: " "),
                "requested_token_type": "urn:ietf:params:oauth:token-type:access_token", "subject_token": subject,
                "subject_token_type": subjectTokenType,
            ], to: tokenURL)
        return try await service.token(request, principal: name, secrets: [subject])
    }

    /// Read anew each time: the other provider renews it.
    private func subjectToken(service: TokenService) async throws(AuthError) -> String {
        let bytes: [UInt8]
        let place: String
        switch origin {
        case .file(let file):
            place = file
            switch readFile(file, maximumBytes: Self.maximumSubjectBytes) {
            case .success(let read): bytes = read
            case .failure(let failure): throw .unreadableFile(path: file, reason: failure.reason)
            }
        case .url(let request):
            place = HTTPTarget(url: request.url)?.description ?? ""
            let response = try await service.send(request)
            guard response.isSuccess else {
                throw .unavailable(
                    reason: "\(place) answered HTTP \(response.status) when asked for the token of \(name)")
            }
            bytes = response.body
        }
        let text: String?
        if let field {
            text = (try? JSONDecoder().decode([String: Loose].self, from: Data(bytes)))?[field]?.text
        } else {
            text = String(validating: bytes, as: UTF8.self)
        }
        guard let token = text?.split(whereSeparator: \.isWhitespace).first, !token.isEmpty else {
            throw .unreadableFile(path: path, reason: "there is no token at \(place)")
        }
        return String(token)
    }

    /// A member that may be anything; only text counts.
    private struct Loose: Decodable {
        var text: String?
        init(from decoder: any Decoder) throws { text = try? decoder.singleValueContainer().decode(String.self) }
    }
}
