/// The forms of a Firestore stream's `from`.
enum FirestorePath {
    static let forms =
        "Forms: memos, a subcollection users/alice/orders, a collection group **/orders, or a pattern users/*/orders."

    /// - Returns: why the path can't be read; nil for a good one.
    static func problem(with path: String) -> String? {
        let segments = path.split(separator: "/", omittingEmptySubsequences: false)
        if segments.contains("") { return "\"\(path)\" has an empty part" }
        if segments.contains(where: { $0.contains("*") }) {
            let isGroup = segments.count == 2 && segments[0] == "**" && !segments[1].contains("*")
            let isPattern =
                segments.count == 3 && segments[1] == "*" && !segments[0].contains("*") && !segments[2].contains("*")
            if !isGroup, !isPattern { return "\"\(path)\" is a pattern that can't be read" }
        } else if segments.count.isMultiple(of: 2) {
            return "\"\(path)\" names a document, not a collection: it has \(segments.count) parts"
        }
        for segment in segments where segment == "." || segment == ".." {
            return "\"\(path)\" has the part \"\(segment)\", which Firestore doesn't allow"
        }
        return nil
    }
}
