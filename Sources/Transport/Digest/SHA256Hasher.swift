import COpenSSL

/// SHA-256 for many small inputs: fetches the algorithm once and uses one context again and again. Not Sendable; one
/// per task.
package final class SHA256Hasher {
    package static let digestLength = 32

    // Both acquired in init, freed in deinit, never lent.
    private let context: OpaquePointer
    private let algorithm: OpaquePointer

    package init() {
        guard let context = EVP_MD_CTX_new(), let algorithm = EVP_MD_fetch(nil, "SHA256", nil),
            EVP_DigestInit_ex2(context, algorithm, nil) == 1
        else {
            // No memory, or an OpenSSL without SHA-256. An id must never come out wrong, so there is no way on.
            preconditionFailure("libcrypto has no SHA-256")
        }
        self.context = context
        self.algorithm = algorithm
    }

    deinit {
        EVP_MD_CTX_free(context)
        EVP_MD_free(algorithm)
    }

    package func update(_ bytes: UnsafeRawBufferPointer) {
        let code = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
        precondition(code == 1, "libcrypto failed to hash")
    }

    package func update(_ text: String) {
        var text = text
        text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
    }

    /// Writes the 32 bytes and makes the hasher ready for the next input.
    /// - Precondition: room for at least 32 bytes.
    package func finish(into digest: UnsafeMutableRawBufferPointer) {
        precondition(digest.count >= Self.digestLength, "a SHA-256 digest has 32 bytes")
        let code = EVP_DigestFinal_ex(context, digest.bindMemory(to: UInt8.self).baseAddress, nil)
        // Without an algorithm the context keeps the one it has, and OpenSSL skips the look-up.
        precondition(code == 1 && EVP_DigestInit_ex2(context, nil, nil) == 1, "libcrypto failed to hash")
    }

    package func finish() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.digestLength) { buffer, count in
            finish(into: UnsafeMutableRawBufferPointer(buffer))
            count = Self.digestLength
        }
    }
}
