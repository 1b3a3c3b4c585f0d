import Extract
import Spool
import Transport

/// Brings copies to the store and back.
struct CopyTransfer: Sendable {
    let store: any WritableStore
    let retries: Retries

    /// More than any version makes; a part is read into memory.
    private static let maximumPartBytes: Int64 = 16 << 20

    /// A copy on its way, or downloaded; beside the spool, so that renaming is enough.
    static func file(beside spool: String) -> String { spool + "-remote-copy" }

    /// Uploads a file under names that nobody has used before.
    ///
    /// - Parameter begins: told, before each part, how many there will be then.
    /// - Returns: parts, bytes and sum of what was uploaded.
    func upload(
        _ file: String, id: String, begins: (Int) -> Void
    ) async throws -> (parts: Int, bytes: Int64, sha256: String) {
        let packer = try CopyPacker(path: file)
        let hasher = SHA256Hasher()
        var (parts, bytes) = (0, Int64(0))
        while let part = try await packer.next() {
            part.withUnsafeBytes { hasher.update($0) }
            bytes += Int64(part.count)
            let name = RemoteState.Copy.name(id, parts)
            begins(parts + 1)
            try await retries.run {
                do {
                    _ = try await store.put(name, part, if: .absent)
                } catch is ObjectStoreError {
                    // An earlier attempt has arrived: nobody else knows the name.
                }
            }
            parts += 1
            CrashPoint.reached(.savedPart)
        }
        return (parts, bytes, Digest.hex(hasher.finish()))
    }

    /// Downloads a copy, compares it with its sum, and makes it the spool.
    func restore(_ copy: RemoteState.Copy, to path: String, lineage: String) async throws {
        let file = Self.file(beside: path)
        do {
            let unpacker = try CopyUnpacker(path: file, bytes: copy.unpackedBytes)
            let hasher = SHA256Hasher()
            for part in 0..<copy.parts {
                let bytes = try await retries.run { try await read(copy.name(of: part)) }
                bytes.withUnsafeBytes { hasher.update($0) }
                try await unpacker.take(bytes)
                CrashPoint.reached(.restoredPart)
            }
            try unpacker.finish()
            guard Digest.hex(hasher.finish()) == copy.sha256 else {
                throw CopyUnpacker.Damage(reason: "its SHA-256 is not the one it was saved with")
            }
        } catch let damage as CopyUnpacker.Damage {
            throw RemoteError.damaged(url: store.url, reason: damage.reason)
        }
        try await SpoolStore.takeOver(copy: file, as: path, lineage: lineage)
    }

    private func read(_ name: String) async throws -> [UInt8] {
        guard let found = try await store.find(name) else { throw CopyUnpacker.Damage(reason: "\(name) is missing") }
        guard found.object.size <= Self.maximumPartBytes else {
            throw CopyUnpacker.Damage(reason: "\(name) has \(found.object.size) bytes")
        }
        do {
            return try await store.read(found.object, range: 0..<found.object.size)
        } catch is ObjectStoreError {
            throw CopyUnpacker.Damage(reason: "\(name) was replaced or deleted while it was read")
        }
    }
}
