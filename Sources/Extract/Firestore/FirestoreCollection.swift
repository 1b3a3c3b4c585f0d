internal import JSONBytes

/// What a stream reads, by its `from`: a collection, a collection group (`**/orders`) or a pattern (`users/*/orders`).
struct FirestoreCollection: Sendable, Equatable {
    /// Path of the parent document below the database; empty for the root.
    var parent: String
    var collectionID: String
    /// True if documents at any depth below the parent belong to it.
    var isGroup: Bool
    /// For a pattern, the collection at the top: only `collection/*/collectionID` belongs to the stream.
    var patternRoot: String?

    /// What `from` may look like, for messages.
    static let forms =
        "Forms: memos, a subcollection users/alice/orders, a collection group **/orders, or a pattern users/*/orders."

    /// - Throws: `ExtractError` of kind `.configuration`.
    init(parsing from: String) throws {
        if let problem = Self.problem(with: from) {
            throw ExtractError(
                .configuration, "from: \(problem), so it is no Firestore collection", hint: Self.forms)
        }
        let segments = Self.segments(of: from)
        collectionID = segments[segments.count - 1]
        if segments[0] == "**" {
            (parent, isGroup, patternRoot) = ("", true, nil)
        } else if segments.contains("*") {
            (parent, isGroup, patternRoot) = ("", true, segments[0])
        } else {
            (parent, isGroup, patternRoot) = (segments.dropLast().joined(separator: "/"), false, nil)
        }
    }

    private static func segments(of path: String) -> [String] {
        path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { String(Substring($0)) }
    }

    /// Why a `from` can't be read; nil for a good one.
    static func problem(with path: String) -> String? {
        let segments = segments(of: path)
        if segments.contains("") { return "\"\(path)\" has an empty part" }
        func hasStar(_ segment: String) -> Bool { segment.utf8.contains(UInt8(ascii: "*")) }
        if segments.contains(where: hasStar) {
            let isGroup = segments.count == 2 && segments[0] == "**" && !hasStar(segments[1])
            let isPattern =
                segments.count == 3 && segments[1] == "*" && !hasStar(segments[0]) && !hasStar(segments[2])
            if !isGroup, !isPattern { return "\"\(path)\" is a pattern that can't be read" }
        } else if segments.count.isMultiple(of: 2) {
            return "\"\(path)\" names a document, not a collection: it has \(segments.count) parts"
        }
        for segment in segments where segment == "." || segment == ".." {
            return "\"\(path)\" has the part \"\(segment)\", which Firestore doesn't allow"
        }
        return nil
    }

    /// True if a document of the query's answer (its path below the database) belongs to the stream.
    func contains(_ path: UnsafeRawBufferPointer) -> Bool {
        guard let patternRoot else { return true }
        let segments = path.split(separator: UInt8(ascii: "/"))
        return segments.count == 4 && segments[0].elementsEqual(patternRoot.utf8)
            && segments[2].elementsEqual(collectionID.utf8)
    }

    /// The path of a document of this collection; not for groups.
    func path(ofID id: String) -> String { (parent.isEmpty ? "" : parent + "/") + collectionID + "/" + id }

    /// The id that a document's path ends with.
    static func id(of path: String) -> [UInt8] {
        let bytes = Array(path.utf8)
        return Array(bytes[(bytes.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0)...])
    }

    /// The path of the least id that can be written at or behind these bytes; not for groups.
    func path(atOrBehind bytes: [UInt8]) -> String {
        var bytes = bytes
        // No id holds a slash, so nothing lies between the two.
        if bytes.last == UInt8(ascii: "/") { bytes[bytes.count - 1] = UInt8(ascii: "0") }
        let isReserved = bytes.count >= 4 && bytes.starts(with: "__".utf8) && bytes.suffix(2).elementsEqual("__".utf8)
        if isReserved || bytes.elementsEqual(".".utf8) || bytes.elementsEqual("..".utf8) { bytes.append(1) }
        return path(ofID: String(decoding: bytes, as: UTF8.self))
    }

    /// True if a path is that of a document directly in this collection.
    func holds(_ path: String) -> Bool {
        // By bytes: as characters, an accent at the front of an id would belong to the slash.
        let front = self.path(ofID: "").utf8
        return path.utf8.starts(with: front) && !path.utf8.dropFirst(front.count).contains(UInt8(ascii: "/"))
    }

    /// `from` of a structured query.
    func selector(asGroup: Bool = false) -> FirestoreJSON {
        var members: [(String, FirestoreJSON)] = [("collectionId", .string(collectionID))]
        if isGroup || asGroup { members.append(("allDescendants", .bool(true))) }
        return .array([.init(members)])
    }
}
