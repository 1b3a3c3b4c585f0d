internal import COpenSSL

/// An RSA key that signatures are checked with.
///
/// @unchecked: the key is only read after `init`, which OpenSSL allows from several threads at once.
final class SigningKey: @unchecked Sendable {
    /// Owned; freed in `deinit`.
    private let key: OpaquePointer

    /// From PEM text: a private key (PKCS #8 or PKCS #1), of which only the public half is used.
    ///
    /// - Throws: `SandboxError.keyFile`; the text is never in the message.
    init(privatePEM text: String) throws(SandboxError) {
        let base64 = text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("-----") }.joined()
        guard text.contains("PRIVATE KEY-----"), let der = base64.withBytes({ Base64.decode($0) }) else {
            throw .keyFile(problem: "private_key is no PEM text")
        }
        let parsed = der.withUnsafeBufferPointer { bytes in
            var cursor = bytes.baseAddress
            return d2i_AutoPrivateKey(nil, &cursor, bytes.count)
        }
        guard let parsed else { throw .keyFile(problem: "private_key is no RSA key") }
        guard EVP_PKEY_get_base_id(parsed) == EVP_PKEY_RSA else {
            EVP_PKEY_free(parsed)
            throw .keyFile(problem: "private_key is no RSA key")
        }
        key = parsed
    }

    deinit { EVP_PKEY_free(key) }

    /// Whether `signature` is RS256 over `message` with this key.
    func verifies(_ signature: [UInt8], over message: [UInt8]) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        guard EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, key) == 1 else { return false }
        return EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }
}
