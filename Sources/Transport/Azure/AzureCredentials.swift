import FoundationEssentials

/// By what right an Azure storage account is read. Its description and reflection never show a key or a signature.
package enum AzureCredentials: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The account's key, decoded.
    case sharedKey(account: String, key: [UInt8])
    /// A shared access signature: a query without its question mark.
    case sharedAccessSignature(String)
    /// Microsoft Entra ID: a managed identity, a workload's or a service principal.
    case token(any TokenProvider)
    /// Containers that are open to everyone.
    case anonymous

    package var description: String {
        switch self {
        case .sharedKey(let account, _): "the key of account \(account)"
        case .sharedAccessSignature: "a shared access signature"
        case .token: "a token of Microsoft Entra ID"
        case .anonymous: "no credentials"
        }
    }

    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }

    /// - Returns: nil for a text that is no base64.
    static func sharedKey(account: String, base64 key: String) -> AzureCredentials? {
        Data(base64Encoded: key).flatMap { $0.isEmpty ? nil : .sharedKey(account: account, key: Array($0)) }
    }
}

/// What a storage account is reached by.
package struct AzureAccount: Sendable {
    package var credentials: AzureCredentials
    /// The base URL of its blobs, with the account in the path where the host is an address; nil: Azure's own for the account.
    package var endpoint: String?
    /// Where the credentials were found, for messages.
    package var place: String
    /// Why there are none, where reading goes on without any.
    package var anonymousBecause: String?

    package init(
        credentials: AzureCredentials, endpoint: String? = nil, place: String, anonymousBecause: String? = nil
    ) {
        self.credentials = credentials
        self.endpoint = endpoint
        self.place = place
        self.anonymousBecause = anonymousBecause
    }
}

/// `AccountName=..;AccountKey=..;EndpointSuffix=..`
struct AzureConnectionString {
    private let fields: [String: String]

    /// Storage Explorer's and the SDKs' emulator, whose key everybody knows (learn.microsoft.com, "Use the Azurite emulator").
    private static let emulatorAccount = "devstoreaccount1"
    private static let emulatorKey =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    init(_ text: String) {
        var fields: [String: String] = [:]
        for part in text.split(whereSeparator: { $0 == ";" || $0.isNewline }) {
            guard let equals = part.firstIndex(of: "=") else { continue }
            let name = part[..<equals].lowercased().filter { !$0.isWhitespace }
            let value = part[part.index(after: equals)...]
            fields[name] = String(value.reversed().drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace })
        }
        if fields["usedevelopmentstorage"]?.lowercased() == "true" {
            fields = [
                "accountname": Self.emulatorAccount, "accountkey": Self.emulatorKey,
                "blobendpoint": "http://127.0.0.1:10000/\(Self.emulatorAccount)",
            ]
        }
        self.fields = fields
    }

    private func value(_ name: String) -> String? { fields[name].flatMap { $0.isEmpty ? nil : $0 } }

    var accountName: String? { value("accountname") }

    func endpoint(account: String) -> String? {
        if let endpoint = value("blobendpoint") { return endpoint }
        let scheme = value("defaultendpointsprotocol") ?? "https"
        return value("endpointsuffix").map { "\(scheme)://\(account).blob.\($0)" }
    }

    /// - Returns: nil for a string without key and signature, or with a key that is no base64.
    func credentials(account: String) -> AzureCredentials? {
        if let signature = value("sharedaccesssignature") {
            return .sharedAccessSignature(signature.hasPrefix("?") ? String(signature.dropFirst()) : signature)
        }
        return value("accountkey").flatMap { AzureCredentials.sharedKey(account: account, base64: $0) }
    }
}
