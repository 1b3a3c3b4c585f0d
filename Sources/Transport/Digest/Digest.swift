import COpenSSL
import FoundationEssentials

/// One-shot digests, and the texts they are written as.
package enum Digest {
    package static func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        let hasher = SHA256Hasher()
        hasher.update(bytes)
        return hasher.finish()
    }

    package static func sha256(_ bytes: [UInt8]) -> [UInt8] {
        bytes.withUnsafeBytes { sha256($0) }
    }

    /// MD5 in base64, which stores compare with what has arrived; nil where OpenSSL's policy has none (FIPS).
    package static func md5Base64(_ bytes: [UInt8]) -> String? {
        var digest = [UInt8](repeating: 0, count: 16)
        var written = 0
        guard EVP_Q_digest(nil, "MD5", nil, bytes, bytes.count, &digest, &written) == 1, written == digest.count else {
            return nil
        }
        return Data(digest).base64EncodedString()
    }

    /// HMAC-SHA-256 (RFC 2104), 32 bytes.
    package static func hmacSHA256(key: [UInt8], data: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: SHA256Hasher.digestLength) { buffer, count in
            var written = 0
            let result = EVP_Q_mac(
                nil, "HMAC", nil, "SHA256", nil, key, key.count, data, data.count, buffer.baseAddress, buffer.count,
                &written)
            // No memory, or an OpenSSL without HMAC: a signature must never come out wrong.
            precondition(result != nil && written == SHA256Hasher.digestLength, "libcrypto has no HMAC with SHA-256")
            count = written
        }
    }

    /// Lower-case hexadecimal.
    package static func hex(_ bytes: some Collection<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(unsafeUninitializedCapacity: bytes.count * 2) { buffer in
            var position = 0
            for byte in bytes {
                buffer[position] = digits[Int(byte >> 4)]
                buffer[position + 1] = digits[Int(byte & 15)]
                position += 2
            }
            return position
        }
    }

    /// Base64 with the URL alphabet, without padding (RFC 4648, section 5).
    package static func base64URL(_ bytes: some Collection<UInt8>) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        return String(unsafeUninitializedCapacity: (bytes.count * 4 + 2) / 3) { buffer in
            var position = 0
            var bits: UInt32 = 0
            var held = 0
            for byte in bytes {
                bits = bits << 8 | UInt32(byte)
                held += 8
                while held >= 6 {
                    held -= 6
                    buffer[position] = digits[Int(bits >> UInt32(held) & 63)]
                    position += 1
                }
            }
            if held > 0 {
                buffer[position] = digits[Int(bits << UInt32(6 - held) & 63)]
                position += 1
            }
            return position
        }
    }
}
