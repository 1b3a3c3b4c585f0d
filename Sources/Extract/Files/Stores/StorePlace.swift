/// A bucket or container and the folder in it that a store's URL names.
package struct StorePlace: Sendable {
    /// Ends in `/`.
    let url: String
    let bucket: String
    /// Before every name: empty, or ending in `/`.
    let folder: String

    /// - Parameter url: `scheme://bucket/folder/`; more than one part belongs to the bucket where `bucketParts` says so (Azure: account and
    ///   container).
    init(url: String, bucketParts: Int = 1) throws {
        let parts = url.firstRange(of: "://").map {
            url[$0.upperBound...].split(separator: "/", omittingEmptySubsequences: false)
        }
        guard var parts, parts.count >= bucketParts, parts.prefix(bucketParts).allSatisfy({ !$0.isEmpty }) else {
            throw ExtractError(.configuration, "\(url) names no bucket", hint: "check the source's url")
        }
        if parts.last?.isEmpty ?? false { parts.removeLast() }
        bucket = parts.prefix(bucketParts).joined(separator: "/")
        folder = parts.dropFirst(bucketParts).map { $0 + "/" }.joined()
        self.url = url.hasSuffix("/") ? url : url + "/"
    }

    /// The object's whole name in the bucket.
    func key(of name: String) -> String { folder + name }

    /// The object's name below the URL; nil for a folder's placeholder.
    func name(of key: String) -> String? {
        // By bytes: as characters, a combining mark after the slash would be part of it.
        guard key.utf8.starts(with: folder.utf8), key.utf8.last != UInt8(ascii: "/"),
            key.utf8.count > folder.utf8.count
        else { return nil }
        return String(Substring(key.utf8.dropFirst(folder.utf8.count)))
    }
}
