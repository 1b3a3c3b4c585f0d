internal import JSONBytes
internal import Spool
internal import Transport

/// Computes a row version's identity: the first 16 bytes of SHA-256 as 22 characters of unpadded base64url (contract section 5).
///
/// Not `Sendable`: one reader owns one, and its hash state is reused for every row.
final class InsertIDMaker {
    private let hasher = SHA256Hasher()
    private let prefix: [UInt8]
    private let versionSuffix: [UInt8]
    private var digest = [UInt8](repeating: 0, count: 32)
    private var encoded = [UInt8](repeating: 0, count: RowBatch.insertIDLength)
    private let parts = ByteBuffer(capacity: 512)

    /// - Parameters:
    ///   - table: `project.dataset.table`.
    ///   - generation: n > 0 ends the version as `@n`.
    ///   - runID: set in full mode, whose snapshots carry their run in the id.
    init(table: String, stream: String, generation: Int, runID: String?) {
        prefix = Array((table + "\0" + stream + "\0").utf8)
        var suffix = generation > 0 ? "@\(generation)" : ""
        if let runID { suffix += "\0" + runID }
        versionSuffix = Array(suffix.utf8)
    }

    /// Hands out the id's 22 bytes; valid only inside the closure.
    @inline(__always)
    func withID<Result>(
        identity: UnsafeRawBufferPointer, operation: RowOperation, version: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        parts.removeAll()
        parts.append(prefix)
        parts.append(identity)
        parts.append(operation == .upsert ? "\0upsert\0" : "\0delete\0")
        parts.append(version)
        parts.append(versionSuffix)
        hasher.update(parts.bytes)
        digest.withUnsafeMutableBytes { hasher.finish(into: $0) }
        encode()
        return encoded.withUnsafeBytes(body)
    }

    private static let alphabet: [UInt8] = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// 16 bytes give 21 full characters and two bits.
    private func encode() {
        var out = 0
        for start in stride(from: 0, to: 15, by: 3) {
            let group = UInt32(digest[start]) << 16 | UInt32(digest[start + 1]) << 8 | UInt32(digest[start + 2])
            for shift in [18, 12, 6, 0] as [UInt32] {
                encoded[out] = Self.alphabet[Int(group >> shift & 63)]
                out += 1
            }
        }
        encoded[20] = Self.alphabet[Int(digest[15] >> 2)]
        encoded[21] = Self.alphabet[Int(digest[15] & 3) << 4]
    }
}
