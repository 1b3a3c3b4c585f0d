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

    /// - Throws: `ExtractError` of kind `.configuration`.
    init(parsing from: String) throws {
        let segments = from.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        func refuse(_ reason: String) -> ExtractError {
            ExtractError(
                .configuration, "from: \"\(from)\" is no Firestore collection: \(reason)",
                hint: "use memos, users/alice/orders, **/orders for a collection group, or users/*/orders")
        }
        guard !segments.contains(where: \.isEmpty) else { throw refuse("a part of the path is empty") }
        guard let last = segments.last, last != "*", last != "**" else { throw refuse("it must end in a collection") }
        collectionID = last
        if segments.count == 2, segments[0] == "**" {
            (parent, isGroup, patternRoot) = ("", true, nil)
        } else if segments.count == 3, segments[1] == "*" {
            guard segments[0] != "*", segments[0] != "**" else { throw refuse("only the middle part may be a *") }
            (parent, isGroup, patternRoot) = ("", true, segments[0])
        } else {
            guard segments.count % 2 == 1 else { throw refuse("it names a document, not a collection") }
            guard !segments.contains("*"), !segments.contains("**") else {
                throw refuse("* and ** are allowed in users/*/orders and **/orders only")
            }
            (parent, isGroup, patternRoot) = (segments.dropLast().joined(separator: "/"), false, nil)
        }
    }

    /// True if a document of the query's answer (its path below the database) belongs to the stream.
    func contains(_ path: UnsafeRawBufferPointer) -> Bool {
        guard let patternRoot else { return true }
        let segments = path.split(separator: UInt8(ascii: "/"))
        return segments.count == 4 && segments[0].elementsEqual(patternRoot.utf8)
            && segments[2].elementsEqual(collectionID.utf8)
    }

    /// `from` of a structured query.
    var selector: FirestoreJSON {
        var members: [(String, FirestoreJSON)] = [("collectionId", .string(collectionID))]
        if isGroup { members.append(("allDescendants", .bool(true))) }
        return .array([.init(members)])
    }
}
