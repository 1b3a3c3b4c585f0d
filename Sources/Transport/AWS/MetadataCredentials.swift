import FoundationEssentials
import JSONBytes

/// What the container's and the instance's services answer.
private struct MetadataReply {
    var credentials: AWSCredentials?
    /// `Code: Message` of an answer that is a refusal, also with status 200.
    var refusal: String?

    init(_ body: [UInt8]) {
        guard let json = try? JSONValue(parsing: body) else { return }
        if let id = json["AccessKeyId"]?.stringValue, let secret = json["SecretAccessKey"]?.stringValue {
            let end = json["Expiration"]?.stringValue.flatMap(AWSDate.parse)
            let keys = AWSCredentials(
                accessKeyID: id, secretAccessKey: secret,
                sessionToken: json["Token"]?.stringValue, expiresAt: end ?? .distantFuture)
            if keys.isUsable { credentials = keys }
        }
        let parts = ["Code", "code", "Message", "message"].compactMap { json[$0]?.stringValue }
        refusal = parts.isEmpty ? nil : String(parts.joined(separator: ": ").prefix(200))
    }
}

/// The credentials of a task (ECS) or pod (EKS Pod Identity).
struct ContainerCredentials: Sendable {
    private let search: AWSCredentialSearch
    private let url: String

    /// - Returns: nil where the environment names no such service.
    /// - Throws: `unreadableFile` for a service that is neither on TLS nor on this machine.
    init?(_ search: AWSCredentialSearch) throws(AuthError) {
        self.search = search
        if let path = search.value("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            url = "http://169.254.170.2" + path
            return
        }
        guard let full = search.value("AWS_CONTAINER_CREDENTIALS_FULL_URI") else { return nil }
        guard let target = HTTPTarget(url: full),
            target.scheme == "https" || target.isLoopback
                || ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"].contains(target.host)
        else {
            throw .unreadableFile(
                path: "AWS_CONTAINER_CREDENTIALS_FULL_URI", reason: "it is neither https nor an address of this machine"
            )
        }
        url = full
    }

    var provider: AWSCredentialProvider {
        search.provider(place: "the container's credentials", region: nil) { () async throws(AuthError) in
            try await fetch()
        }
    }

    private func fetch() async throws(AuthError) -> AWSCredentials {
        var request = HTTPRequest(.get, url, headers: [HTTPHeader("Accept", "application/json")])
        if let file = search.value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            switch readFile(file, maximumBytes: 64 << 10) {
            case .success(let read):
                let token = String(decoding: read, as: UTF8.self).filter { $0 != "\n" && $0 != "\r" }
                request.setHeader("Authorization", token)
            case .failure(let failure): throw .unreadableFile(path: file, reason: failure.reason)
            }
        } else if let token = search.value("AWS_CONTAINER_AUTHORIZATION_TOKEN") {
            request.setHeader("Authorization", token)
        }
        let response = try await search.service.send(request)
        let reply = MetadataReply(response.body)
        if response.isSuccess, let keys = reply.credentials { return keys }
        let reason =
            "the container's credentials service answered HTTP \(response.status)"
            + (reply.refusal.map { ": \($0)" } ?? "")
        if (400..<500).contains(response.status), response.status != 429 {
            throw .refused(principal: "this container", reason: reason)
        }
        throw .unavailable(reason: reason)
    }
}

/// The credentials of the EC2 instance's role, by the metadata service's second version, which alone is asked.
struct InstanceCredentials: Sendable {
    private let search: AWSCredentialSearch
    private let base: String
    private let timeout: Duration
    /// AWS' figure for a token's longest life is 6 hours.
    private static let tokenSeconds = "21600"

    init(_ search: AWSCredentialSearch) {
        self.search = search
        let isIPv6 = search.value("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")?.lowercased() == "ipv6"
        let given = search.value("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        let url = given ?? (isIPv6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254")
        base = url.hasSuffix("/") ? String(url.dropLast()) : url
        // botocore's default is one second; that is short for a machine that starts up.
        timeout = .seconds(search.value("AWS_METADATA_SERVICE_TIMEOUT").flatMap { Double($0) } ?? 2)
    }

    var provider: AWSCredentialProvider {
        search.provider(place: "the instance's role (\(base))", region: nil) { () async throws(AuthError) in
            try await fetch()
        }
    }

    func isPresent() async throws(AuthError) -> Bool {
        do {
            return try await token() != nil
        } catch {
            if error == .cancelled { throw error }
            return false
        }
    }

    /// Nil where something answers that is no metadata service.
    private func token() async throws(AuthError) -> String? {
        let request = HTTPRequest(
            .put, "\(base)/latest/api/token",
            headers: [HTTPHeader("X-aws-ec2-metadata-token-ttl-seconds", Self.tokenSeconds)], body: HTTPBody([]),
            timeouts: HTTPTimeouts(connect: timeout, silence: timeout, total: timeout))
        do throws(HTTPError) {
            let response = try await search.service.client.send(
                request, maximumResponseBytes: TokenService.maximumResponseBytes)
            guard response.isSuccess, !response.body.isEmpty, response.body.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            else { return nil }
            return response.text
        } catch {
            throw error.kind == .cancelled ? .cancelled : .unavailable(reason: error.message)
        }
    }

    private func fetch() async throws(AuthError) -> AWSCredentials {
        guard let token = try await token() else {
            throw .unavailable(reason: "the instance metadata service \(base) gives no token")
        }
        func get(_ path: String) async throws(AuthError) -> HTTPResponse {
            try await search.service.send(
                HTTPRequest(.get, base + path, headers: [HTTPHeader("X-aws-ec2-metadata-token", token)]))
        }
        let path = "/latest/meta-data/iam/security-credentials/"
        let roles = try await get(path)
        let role = roles.text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        guard roles.isSuccess, !role.isEmpty else {
            if roles.status == 404 || roles.isSuccess {
                throw .refused(principal: "this instance", reason: "it has no role attached")
            }
            throw .unavailable(reason: "the instance metadata service answered HTTP \(roles.status)")
        }
        let response = try await get(path + PercentEncoding.encode(role))
        let reply = MetadataReply(response.body)
        guard response.isSuccess, let keys = reply.credentials else {
            throw .unavailable(
                reason: "the instance metadata service answered HTTP \(response.status) for the role \(role)"
                    + (reply.refusal.map { ": \($0)" } ?? ""))
        }
        return keys
    }
}
