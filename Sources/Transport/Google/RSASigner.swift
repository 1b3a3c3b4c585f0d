import COpenSSL

/// Signs with the RSA key of a service account.
// @unchecked Sendable: the key is written in init and only read afterwards, which libcrypto allows from several
// threads.
final class RSASigner: @unchecked Sendable {
    // Acquired in init, freed in deinit, never lent.
    private let key: OpaquePointer

    /// - Parameter pem: a private key, PKCS #8 or PKCS #1.
    /// - Returns: nil when there is no unencrypted RSA key in it.
    init?(pem: String) {
        let key = Array(pem.utf8).withUnsafeBytes { bytes -> OpaquePointer? in
            // The BIO keeps the pointer, so it lives inside this closure.
            guard let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count)) else { return nil }
            defer { BIO_free(bio) }
            // Without a function of ours OpenSSL would ask for a password at the terminal.
            return PEM_read_bio_PrivateKey(bio, nil, { _, _, _, _ in -1 }, nil)
        }
        // Failures are told by the result; what they leave in the thread's queue would confuse a later caller.
        defer { ERR_clear_error() }
        guard let key else { return nil }
        guard EVP_PKEY_is_a(key, "RSA") == 1 else {
            EVP_PKEY_free(key)
            return nil
        }
        self.key = key
    }

    deinit {
        EVP_PKEY_free(key)
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256 (RS256).
    /// - Returns: nil when libcrypto fails: no memory, or a key too short.
    func signature(of message: [UInt8]) -> [UInt8]? {
        guard let context = EVP_MD_CTX_new() else { return nil }
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        var length = 0
        guard EVP_DigestSignInit_ex(context, nil, "SHA256", nil, nil, key, nil) == 1,
            EVP_DigestSign(context, nil, &length, message, message.count) == 1
        else { return nil }
        var signature = [UInt8](repeating: 0, count: length)
        guard EVP_DigestSign(context, &signature, &length, message, message.count) == 1 else { return nil }
        return Array(signature.prefix(length))
    }
}
