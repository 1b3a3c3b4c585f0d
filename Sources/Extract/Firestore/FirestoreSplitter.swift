internal import JSONBytes
internal import Spool

/// Cuts a collection into ranges of names that can be read side by side. The ranges touch each other and cover everything, so rows never
/// depend on where the cuts are; only speed does.
struct FirestoreSplitter {
    private let reader: FirestoreReader
    private var run: RunContext { reader.run }

    init(_ reader: FirestoreReader) { self.reader = reader }

    /// Several ranges for each reader, so that they end at about the same time.
    private static let rangesPerReader = 4

    func ranges(_ parallel: Int, at readTime: String) async throws -> [FirestoreRange] {
        // A budget is kept by one reader.
        guard parallel > 1, run.remainingRecords == nil else { return [FirestoreRange()] }
        let wanted = parallel * Self.rangesPerReader
        if let cuts = try await partitions(wanted, readTime) { return Self.ranges(cutAt: cuts) }
        return Self.ranges(cutAt: try await names(wanted, readTime))
    }

    /// The ranges between these paths, which are in the order of names.
    static func ranges(cutAt cuts: [String]) -> [FirestoreRange] {
        let starts: [String?] = [nil] + cuts
        let ends: [String?] = cuts + [nil]
        return zip(starts, ends).map { FirestoreRange(start: $0, end: $1) }
    }

    // MARK: By the server

    /// Cuts that the server proposes (protocol facts: A.9); nil where it does not offer them.
    private func partitions(_ wanted: Int, _ readTime: String) async throws -> [String]? {
        do {
            var query = FirestoreQuery(reader.collection)
            query.selectsGroup = true
            query.orderByName()
            let proposed = try await reader.client.partitions(of: query, cuts: wanted - 1, readTime: readTime)
            // It is a collection group's operation: other collections of the same name are cut too.
            let own = proposed.filter { reader.collection.isGroup || reader.collection.holds($0) }
            return Set(own.map(\.exact)).map(\.string).sorted { FirestoreKey.precedes($0, $1) }
        } catch let error as ExtractError where !error.isTransient && !error.isExpiredReadTime {
            return nil
        }
    }

    // MARK: By names

    /// Cuts found without knowing the data: what the ids have in common in front, then evenly over the characters that may follow. A few
    /// reads. Ids made by Firestore are even over digits and letters, counted ones over digits.
    private func names(_ wanted: Int, _ readTime: String) async throws -> [String] {
        guard !reader.collection.isGroup, let first = try await firstID(from: nil, readTime) else { return [] }
        var prefix: [UInt8] = []
        while prefix.count < min(first.count, 16), first[prefix.count] < 0x7F {
            let next = first[prefix.count]
            if try await firstID(from: prefix + [next + 1], readTime) != nil { break }
            prefix.append(next)
        }
        guard prefix.count < first.count else { return [] }
        var alphabet = FirestoreNames.digits
        if try await firstID(from: prefix + [0x3A], readTime) != nil {
            alphabet += FirestoreNames.capitals
            if try await firstID(from: prefix + [0x5B], readTime) != nil { alphabet += FirestoreNames.letters }
        }
        let leading = alphabet.filter { $0 >= first[prefix.count] }
        let count = leading.count * alphabet.count
        guard count > 1 else { return [] }
        let places = Set((1..<wanted).map { $0 * count / wanted }).subtracting([0]).sorted()
        return places.map { place in
            let id = prefix + [leading[place / alphabet.count], alphabet[place % alphabet.count]]
            return reader.collection.path(atOrBehind: id)
        }
    }

    /// The first id at or after some bytes; nil if there is none. One read.
    private func firstID(from bytes: [UInt8]?, _ readTime: String) async throws -> [UInt8]? {
        let names = FirestoreNames(client: reader.client, collection: reader.collection, readTime: readTime)
        let path = try await names.first(from: bytes)
        run.countReads(1)
        return path.map(FirestoreCollection.id)
    }
}
