package import FoundationEssentials

/// One container of an Azure storage account: addresses, signs and sends requests to it. It renews a token that was refused once and never
/// retries otherwise.
package final class AzureContainer: Sendable {
    /// New enough for tokens, for encoded names in listings, and known to every emulator of these years.
    static let version = "2021-08-06"

    package let account: String
    package let name: String
    private let base: String
    private let credentials: AzureCredentials
    private let client: HTTPClient
    private let now: @Sendable () -> Date

    /// - Parameter endpoint: the account's base URL for blobs, with the account in the path where the host is an address; nil: Azure's own.
    package init(
        account: String, name: String, endpoint: String? = nil, credentials: AzureCredentials, client: HTTPClient,
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.account = account
        self.name = name
        let url = endpoint ?? "https://\(account).blob.core.windows.net"
        base = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.credentials = credentials
        self.client = client
        self.now = now
    }

    /// When the shared access signature ends, as it says itself; nil without one, or where a policy of the container says it.
    package var signatureEnd: String? {
        guard case .sharedAccessSignature(let signature) = credentials else { return nil }
        return signature.split(separator: "&").first { $0.hasPrefix("se=") }.map {
            PercentEncoding.decode($0.dropFirst(3))
        }
    }

    /// Sends a request about the container or one of its blobs.
    ///
    /// - Parameters:
    ///   - blob: the blob's name, as it is; nil: the container itself.
    ///   - query: without a question mark, strictly percent-encoded.
    /// - Returns: a response of 2xx; its bytes are not decoded.
    /// - Throws: ``ServiceRefusal``, ``HTTPError``, ``AuthError``.
    package func stream(
        _ method: HTTPRequest.Method = .get, blob: String?, query: String = "", headers: [HTTPHeader] = [],
        body: HTTPBody? = nil
    ) async throws -> HTTPStreamedResponse {
        let path =
            PercentEncoding.encode(name) + (blob.map { "/" + PercentEncoding.encode($0, keepsSlashes: true) } ?? "")
        var parameters = query
        if case .sharedAccessSignature(let signature) = credentials {
            parameters += (parameters.isEmpty ? "" : "&") + signature
        }
        var request = HTTPRequest(
            method, "\(base)/\(path)" + (parameters.isEmpty ? "" : "?\(parameters)"), headers: headers,
            body: body, decodesContent: false)
        request.setHeader("x-ms-version", Self.version)
        request.setHeader("x-ms-date", WireDate.http(now()))
        let response: HTTPStreamedResponse
        if case .token(let tokens) = credentials {
            response = try await AuthorizedClient(client: client, tokens: tokens).stream(request)
        } else {
            if case .sharedKey(_, let key) = credentials { SharedKey(account: account, key: key).sign(&request) }
            response = try await client.stream(request)
        }
        guard response.isSuccess else { throw try await ServiceRefusal(response, now: now()) }
        return response
    }
}

/// Azure's Shared Key authorisation (learn.microsoft.com, "Authorize with Shared Key", version 2009-09-19 and later).
struct SharedKey {
    var account: String
    var key: [UInt8]

    /// Adds `Authorization`. The request carries its date in `x-ms-date`, and its URL is percent-encoded.
    func sign(_ request: inout HTTPRequest) {
        let signature = Digest.hmacSHA256(key: key, data: Array(stringToSign(request).utf8))
        request.setHeader("Authorization", "SharedKey \(account):\(Data(signature).base64EncodedString())")
    }

    private static let standardHeaders = [
        "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
        "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
    ]

    func stringToSign(_ request: HTTPRequest) -> String {
        let headers = Dictionary(
            request.headers.map { ($0.name.lowercased(), $0.value) }, uniquingKeysWith: { first, _ in first })
        var lines = [request.method.rawValue]
        let length = request.body.map(\.count) ?? 0
        for name in Self.standardHeaders {
            lines.append(name == "content-length" ? (length == 0 ? "" : String(length)) : headers[name] ?? "")
        }
        lines += headers.filter { $0.key.hasPrefix("x-ms-") }.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }
        let url = SplitURL(request.url)
        lines.append("/\(account)\(url.path)")
        let parameters = url.query.split(separator: "&").map { parameter -> (name: String, value: String) in
            let end = parameter.firstIndex(of: "=") ?? parameter.endIndex
            return (
                PercentEncoding.decode(parameter[..<end]).lowercased(),
                PercentEncoding.decode(parameter[end...].dropFirst())
            )
        }
        lines += parameters.sorted { $0.name < $1.name }.map { "\($0.name):\($0.value)" }
        return lines.joined(separator: "\n")
    }
}
