import FoundationEssentials
import Glibc

/// A Google credentials file: the members of every type together, as they come.
struct CredentialsDocument: Decodable {
    var type: String?
    // service_account
    var clientEmail: String?
    var privateKey: String?
    var privateKeyId: String?
    var tokenUri: String?
    // authorized_user
    var clientId: String?
    var clientSecret: String?
    var refreshToken: String?
    var quotaProjectId: String?
    // impersonated_service_account, external_account
    var sourceCredentials: Nested?
    var serviceAccountImpersonationUrl: String?
    var delegates: [String]?
    var audience: String?
    var subjectTokenType: String?
    var tokenUrl: String?
    var credentialSource: CredentialSource?

    /// A document inside a document: a struct can't hold itself.
    final class Nested: Decodable {
        let document: CredentialsDocument
        init(from decoder: any Decoder) throws { document = try CredentialsDocument(from: decoder) }
    }

    struct CredentialSource: Decodable {
        struct Format: Decodable {
            var type: String?
            var subjectTokenFieldName: String?
        }

        var file: String?
        var url: String?
        var headers: [String: String]?
        var format: Format?
        var environmentId: String?
    }

    /// Far more than any credentials file has.
    static let maximumBytes = 1 << 20

    /// - Throws: `unreadableFile`, whose reason never quotes the file.
    static func read(_ path: String) throws(AuthError) -> CredentialsDocument {
        let bytes: [UInt8]
        switch readFile(path, maximumBytes: maximumBytes) {
        case .success(let read): bytes = read
        case .failure(let failure): throw .unreadableFile(path: path, reason: failure.reason)
        }
        do {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            return try decoder.decode(CredentialsDocument.self, from: Data(bytes))
        } catch {
            throw .unreadableFile(
                path: path, reason: "it is no JSON object with the members of a Google credentials file")
        }
    }
}

struct FileFailure: Error {
    var reason: String
}

/// Reads a small file, which may also be a pipe.
func readFile(_ path: String, maximumBytes: Int) -> Result<[UInt8], FileFailure> {
    func failure() -> Result<[UInt8], FileFailure> {
        .failure(FileFailure(reason: String(cString: strerror(errno))))
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return failure() }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 16 << 10)
    while bytes.count <= maximumBytes {
        let count = read(descriptor, &block, block.count)
        if count == 0 { return .success(bytes) }
        if count < 0 {
            if errno == EINTR { continue }
            return failure()
        }
        bytes += block[..<count]
    }
    return .failure(FileFailure(reason: "it has more than \(maximumBytes) bytes"))
}
