internal import JSONBytes

/// Looks into a collection's names without knowing anything of them: keys-only queries for one document each.
struct FirestoreNames: Sendable {
    static let digits = Array("0123456789".utf8)
    static let capitals = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
    static let letters = Array("abcdefghijklmnopqrstuvwxyz".utf8)

    let client: FirestoreClient
    let collection: FirestoreCollection
    let readTime: String

    /// Path of the first document whose id is at or behind these bytes. One read.
    ///
    /// - Parameters:
    ///   - bytes: an id, or what one begins with; nil for the first of all.
    ///   - end: path of what ends the search, itself not included; nil for the collection's end.
    func first(from bytes: [UInt8]?, before end: String? = nil) async throws -> String? {
        var query = FirestoreQuery(collection)
        query.isKeysOnly = true
        query.orderByName()
        query.limit = 1
        if let bytes { query.startAt = [reference(collection.path(atOrBehind: bytes))] }
        if let end { query.endBefore = [reference(end)] }
        let answer = try await client.elements(of: query, readTime: readTime)
        return answer.compactMap { $0["document"]?["name"]?.stringValue }.first.map {
            String(Substring($0.utf8.dropFirst(client.root.utf8.count + 1)))
        }
    }

    private func reference(_ path: String) -> FirestoreJSON {
        .init([("referenceValue", .string(client.root + "/" + path))])
    }

    // MARK: Cutting

    /// Where the rest of a range can be cut, and what looking for it cost.
    struct Cut: Sendable {
        /// Path of the document that the second part begins with; nil if no place was found.
        var path: String?
        var reads = 0
        /// The source wants less to be asked of it.
        var metOverload = false
    }

    /// A place about in the middle of what lies behind one document and before an end, by the characters at the foremost place where the
    /// ids still differ. About ten reads. Whatever the source refuses, there is no cut then: the range stays with its one reader.
    func cut(after: String, before end: String?) async throws -> Cut {
        var cut = Cut()
        do {
            cut.path = try await middle(after: after, before: end, &cut.reads)
        } catch let error as ExtractError {
            cut.metOverload = error.isOverload
        }
        return cut
    }

    private func middle(after: String, before end: String?, _ reads: inout Int) async throws -> String? {
        func first(from bytes: [UInt8]) async throws -> String? {
            if let end, !FirestoreKey.precedes(collection.path(atOrBehind: bytes), end) { return nil }
            reads += 1
            return try await self.first(from: bytes, before: end)
        }
        let id = FirestoreCollection.id(of: after)
        // A character beyond ASCII has no simple successor; whole characters stand before one of ASCII.
        let places = id.indices.filter { id[$0] < 0x7F }
        // The fewer characters are kept, the more lies behind: the foremost place behind which something lies is found by halving.
        var (low, high) = (0, places.count)
        var found: String?
        while low < high {
            let middle = (low + high) / 2
            if let path = try await first(from: id[..<places[middle]] + [id[places[middle]] + 1]) {
                (found, high) = (path, middle)
            } else {
                low = middle + 1
            }
        }
        guard let found else { return nil }
        let prefix = Array(id[..<places[high]])
        let current = id[places[high]]
        var alphabet = (Self.digits + Self.capitals + Self.letters).filter { $0 > current }
        for classEnd in [UInt8(0x3A), 0x5B] where current < classEnd {
            guard try await first(from: prefix + [classEnd]) == nil else { continue }
            alphabet.removeAll { $0 >= classEnd }
            break
        }
        while alphabet.count > 1 {
            let middle = alphabet.count / 2
            if let path = try await first(from: prefix + [alphabet[middle]]) { return path }
            alphabet.removeLast(alphabet.count - middle)
        }
        return found
    }
}
