internal import JSONBytes
internal import Transport

/// One range of a collection on its way through a `FirestorePump`, and how far it has been read.
final class FirestoreLane {
    /// Its end comes nearer when the rest is handed to another reader.
    var range: FirestoreRange
    /// True once the range has been read to its end.
    var isDone: Bool
    /// Path of the last document taken.
    private let last = ByteBuffer(capacity: 256)

    // MARK: The answer that is being read

    var isActive = false
    var answer: FirestoreAnswerReader?
    var body: HTTPStream?
    var wanted = 0
    var received = 0

    // MARK: Cutting

    /// Documents read so far by this pump.
    var documents = 0
    /// True if the rest was worth an answer of its own since a cut was last looked for.
    var mayBeCut = false
    var isSearched = false
    /// Where the rest can be cut.
    var cut: String?

    init(_ range: FirestoreRange) {
        self.range = range
        isDone = range.isDone
        if let after = range.after { last.append(after) }
    }

    /// No `String` is made until someone asks.
    var after: String? { last.count == 0 ? nil : last.string }

    func passed(_ path: UnsafeRawBufferPointer) {
        last.removeAll()
        last.append(path)
    }

    /// The range as it stands now, to be stored.
    var standing: FirestoreRange {
        var range = range
        range.after = after
        range.isDone = isDone
        return range
    }

    /// Leaves what lies at the cut and behind it to the lane returned; nil where it has been read already.
    func handOver(at cut: String) -> FirestoreLane? {
        if let after, !FirestoreKey.precedes(after, cut) { return nil }
        let rest = FirestoreLane(FirestoreRange(start: cut, end: range.end))
        range.end = cut
        return rest
    }
}

/// A part of a collection in the order of names, by paths below the database, and how far it has been read.
struct FirestoreRange: Equatable {
    /// Where it begins; nil: at the first document.
    var start: String?
    /// Where it ends, itself not included; nil: after the last document.
    var end: String?
    /// The last document stored; nil before the first.
    var after: String?
    var isDone = false

    var json: JSONValue {
        func optional(_ text: String?) -> JSONValue { text.map(JSONValue.string) ?? .null }
        return .init([
            ("start", optional(start)), ("end", optional(end)), ("after", optional(after)), ("done", .bool(isDone)),
        ])
    }

    init(start: String? = nil, end: String? = nil, after: String? = nil) {
        self.start = start
        self.end = end
        self.after = after
    }

    init(_ json: JSONValue) {
        self.init(start: json["start"]?.stringValue, end: json["end"]?.stringValue, after: json["after"]?.stringValue)
        isDone = json["done"]?.boolValue ?? false
    }
}
