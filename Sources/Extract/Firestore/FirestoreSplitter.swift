/// Cuts a collection into ranges of names that can be read side by side.
struct FirestoreSplitter {
    private let reader: FirestoreReader

    init(_ reader: FirestoreReader) { self.reader = reader }

    func ranges(_ parallel: Int, at readTime: String) async throws -> [FirestoreRange] {
        [FirestoreRange()]
    }
}
