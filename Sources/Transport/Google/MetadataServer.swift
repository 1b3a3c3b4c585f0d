/// The metadata server of Compute Engine, Kubernetes Engine and Cloud Run, which gives tokens of the machine's service
/// account.
struct MetadataServer: Sendable {
    /// google-auth's figures (compute_engine/_metadata.py). A server that starts up may miss the first probe.
    static let probeTimeout = Duration.seconds(3)
    static let probes = 3

    let host: String
    private let probeHost: String
    let service: TokenService

    /// - Returns: nil when the environment says not to look for one.
    init?(environment: [String: String], service: TokenService) {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        guard environment["NO_GCE_CHECK"]?.lowercased() != "true" else { return nil }
        let given = value("GCE_METADATA_HOST") ?? value("GCE_METADATA_ROOT")
        host = given ?? "metadata.google.internal"
        // By address: elsewhere the name may take long not to resolve.
        probeHost = given ?? value("GCE_METADATA_IP") ?? "169.254.169.254"
        self.service = service
    }

    /// Whether one answers. It has to name itself: many networks answer for any address.
    func isPresent() async throws(AuthError) -> Bool {
        var request = HTTPRequest(.get, "http://\(probeHost)", headers: [HTTPHeader("Metadata-Flavor", "Google")])
        request.timeouts = HTTPTimeouts(
            connect: Self.probeTimeout, silence: Self.probeTimeout, total: Self.probeTimeout)
        for _ in 0..<Self.probes {
            do throws(HTTPError) {
                let response = try await service.client.send(
                    request, maximumResponseBytes: TokenService.maximumResponseBytes)
                return response.headers["metadata-flavor"] == "Google"
            } catch {
                switch error.kind {
                case .cancelled: throw .cancelled
                case .timeout: continue
                default: return false
                }
            }
        }
        return false
    }

    func token(scopes: [String]) async throws(AuthError) -> AccessToken {
        let list = PercentEncoding.encode(scopes.joined(separator: ","))
        let query = scopes.isEmpty ? "" : "?scopes=\(list)"
        return try await service.token(request("instance/service-accounts/default/token\(query)"), principal: name) {
            _, _ in "a service account has to be attached to this machine"
        }
    }

    /// The account's address, asked for anew each time; a description when the server does not tell.
    func email() async -> String {
        guard let response = try? await service.send(request("instance/service-accounts/default/email")),
            response.isSuccess, response.headers["metadata-flavor"] == "Google", response.body.count < 300
        else { return name }
        let email = response.text.filter { !$0.isWhitespace }
        return email.contains("@") ? email : name
    }

    private var name: String { "the service account of this machine (metadata server \(host))" }

    private func request(_ path: String) -> HTTPRequest {
        HTTPRequest(
            .get, "http://\(host)/computeMetadata/v1/\(path)", headers: [HTTPHeader("Metadata-Flavor", "Google")])
    }
}
