import COpenSSL
import Testing

/// An RSA key pair of the test's own.
// @unchecked Sendable: the key is written in init and only read afterwards.
final class KeyPair: @unchecked Sendable {
    let pem: String
    private let key: OpaquePointer

    /// One is enough: making it takes a moment.
    static let shared = Result { try KeyPair(algorithm: "RSA") }

    init(algorithm: String) throws {
        let context = try #require(EVP_PKEY_CTX_new_from_name(nil, algorithm, nil))
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        try #require(EVP_PKEY_keygen_init(context) == 1)
        if algorithm == "EC" { try #require(EVP_PKEY_CTX_set_group_name(context, "P-256") == 1) }
        try #require(EVP_PKEY_generate(context, &key) == 1)
        self.key = try #require(key)
        let bio = try #require(BIO_new(BIO_s_mem()))
        defer { BIO_free(bio) }
        try #require(PEM_write_bio_PKCS8PrivateKey(bio, key, nil, nil, 0, nil, nil) == 1)
        var text = [UInt8](repeating: 0, count: 16 << 10)
        let count = BIO_read(bio, &text, Int32(text.count))
        pem = String(decoding: text.prefix(Int(max(count, 0))), as: UTF8.self)
    }

    deinit { EVP_PKEY_free(key) }

    /// Whether it is an RS256 signature of the message by this key.
    func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        return EVP_DigestVerifyInit_ex(context, nil, "SHA256", nil, nil, key, nil) == 1
            && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }
}
