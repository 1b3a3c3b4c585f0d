package import FoundationEssentials
import Synchronization

/// One bucket of S3 or of a service that speaks its protocol: addresses, signs and sends requests to it.
///
/// It finds the bucket's region where it was not given or is wrong, and renews credentials that have just expired; each costs one more
/// request. It never retries otherwise.
package final class S3Bucket: Sendable {
    package let name: String
    private let client: HTTPClient
    /// nil: anonymous, requests go out unsigned.
    private let credentials: AWSCredentialProvider?
    private let endpoint: String?
    private let region: Mutex<String>
    private let now: @Sendable () -> Date

    /// - Parameters:
    ///   - endpoint: the base URL of another service than AWS; the bucket goes into the path, unless the endpoint's host already begins with
    ///     it.
    ///   - region: nil where nobody knows: it is learnt from the first answer.
    package init(
        name: String, endpoint: String? = nil, region: String? = nil, credentials: AWSCredentialProvider?,
        client: HTTPClient, now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.name = name
        self.endpoint = endpoint.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
        self.region = Mutex(region ?? "us-east-1")
        self.credentials = credentials
        self.client = client
        self.now = now
    }

    /// Sends a request about the bucket or one of its objects.
    ///
    /// - Parameters:
    ///   - key: the object's, as it is; nil: the bucket itself.
    ///   - query: without a question mark, strictly percent-encoded.
    /// - Returns: a response of 2xx; its bytes are not decoded.
    /// - Throws: ``ServiceRefusal``, ``HTTPError``, ``AuthError``.
    package func stream(
        _ method: HTTPRequest.Method = .get, key: String?, query: String = "", headers: [HTTPHeader] = [],
        body: HTTPBody? = nil
    ) async throws -> HTTPStreamedResponse {
        var hasMoved = false
        var hasRenewed = false
        while true {
            let region = region.withLock { $0 }
            var request = HTTPRequest(
                method, url(key: key, query: query, region: region), headers: headers, body: body,
                decodesContent: false)
            let keys = try await credentials?.credentials()
            if let keys { SigV4(region: region, service: "s3").sign(&request, by: keys, at: now()) }
            let response = try await client.stream(request)
            if response.isSuccess { return response }
            let hint = response.headers["x-amz-bucket-region"]
            let refusal = try await ServiceRefusal(response, now: now())
            if !hasMoved, let other = Self.otherRegion(refusal, hint: hint), other != region {
                hasMoved = true
                self.region.withLock { $0 = other }
                continue
            }
            if !hasRenewed, Self.expired.contains(refusal.code), let credentials, let keys {
                hasRenewed = true
                credentials.invalidate(keys)
                guard try await credentials.credentials() == keys else { continue }
            }
            throw refusal
        }
    }

    private static let expired: Set<String> = ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"]

    /// S3 answers 301 (`PermanentRedirect`), 307 or 400 (`AuthorizationHeaderMalformed`) to a request for another region's bucket and tells which.
    private static func otherRegion(_ refusal: ServiceRefusal, hint: String?) -> String? {
        guard [301, 307, 400].contains(refusal.status) else { return nil }
        let region = hint ?? refusal.xml?["Region"]?.text
        return region.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The URL of the bucket or an object: virtual-hosted at AWS, where the certificate allows it, else the bucket in the path.
    func url(key: String?, query: String, region: String) -> String {
        let path = key.map { PercentEncoding.encode($0, keepsSlashes: true) } ?? ""
        let base: String
        if let endpoint {
            let isInHost = SplitURL(endpoint).host.hasPrefix(name + ".")
            base = isInHost ? endpoint : "\(endpoint)/\(PercentEncoding.encode(name))"
        } else {
            let domain = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
            base =
                name.contains(".")
                ? "https://s3.\(region).\(domain)/\(name)" : "https://\(name).s3.\(region).\(domain)"
        }
        return base + "/" + path + (query.isEmpty ? "" : "?\(query)")
    }
}
