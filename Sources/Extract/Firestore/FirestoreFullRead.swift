internal import JSONBytes
internal import Spool
internal import Transport

/// Reads a whole collection at one `readTime`, in the order of names. Used for `full`, for `--full`, and for the first run of `changes`.
struct FirestoreFullRead {
    let reader: FirestoreReader
    /// Remember each document's version (`changes`).
    let remembersVersions: Bool
    private var run: RunContext { reader.run }

    init(_ reader: FirestoreReader, remembersVersions: Bool) {
        self.reader = reader
        self.remembersVersions = remembersVersions
    }

    /// Where the read stands.
    private struct Position {
        static let phase = "documents"
        var readTime: String
        /// Path of the last document stored.
        var after: String?

        var json: JSONValue {
            .init([
                ("phase", .string(Self.phase)), ("readTime", .string(readTime)),
                ("after", after.map(JSONValue.string) ?? .null),
            ])
        }

        init(readTime: String, after: String?) {
            self.readTime = readTime
            self.after = after
        }

        init?(_ json: JSONValue?) {
            guard json?["phase"]?.stringValue == Self.phase, let readTime = json?["readTime"]?.stringValue else {
                return nil
            }
            self.init(readTime: readTime, after: json?["after"]?.stringValue)
        }
    }

    static func isPosition(_ json: JSONValue?) -> Bool { Position(json) != nil }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        var position: Position
        if let kept = Position(run.position) {
            position = kept
        } else {
            guard !run.isExhausted else { return false }
            let now = try await reader.freshReadTime()
            if now.isEmpty { warnNoDocuments() }
            position = Position(readTime: now.text, after: nil)
            try await run.commit(RunContext.Progress(position: position.json))
            if now.isEmpty { return true }
        }
        while true {
            do {
                return try await readPages(&position)
            } catch let error as ExtractError where error.isExpiredReadTime {
                position.readTime = try await reader.freshReadTime().text
                reader.warnReadTimeExpired()
                try await run.commit(RunContext.Progress(position: position.json))
            }
        }
    }

    private func warnNoDocuments() {
        run.warn("no_documents", "\(reader.subject) holds no documents; is the name right?", count: 0)
    }

    private func readPages(_ position: inout Position) async throws -> Bool {
        guard var wanted = limit() else { return false }
        let client = reader.client
        var response = try await client.runQuery(query(position, limit: wanted), readTime: position.readTime)
        while true {
            let received = try await readAnswer(response, &position)
            // The rest of this page is stored while the server works on the next one.
            let isLast = received < wanted
            let next = isLast ? nil : limit()
            if let last = reader.lastPath { position.after = last }
            guard let next else {
                try await commit(&position)
                return isLast
            }
            wanted = next
            let (query, readTime) = (query(position, limit: next), position.readTime)
            async let following = client.runQuery(query, readTime: readTime)
            try await commit(&position)
            response = try await following
        }
    }

    /// Documents the next query may bring; nil when the budget is used up.
    private func limit() -> Int? {
        guard let remaining = run.remainingReads else { return FirestoreReader.documentsPerQuery }
        return remaining > 0 ? min(remaining, FirestoreReader.documentsPerQuery) : nil
    }

    private func query(_ position: Position, limit: Int) -> FirestoreQuery {
        var query = FirestoreQuery(reader.collection)
        query.fields = reader.projection
        query.orderByName()
        if let after = position.after {
            query.startAfter = [.init([("referenceValue", .string(reader.client.root + "/" + after))])]
        }
        query.limit = limit
        return query
    }

    /// Takes an answer's documents into pages; what came before a broken answer's end is stored before the error is passed on.
    private func readAnswer(_ response: HTTPStreamedResponse, _ position: inout Position) async throws -> Int {
        do {
            return try await reader.read(response) { document in
                let path = try reader.path(of: document.name)
                if reader.belongs(path) { try add(document, path) }
                reader.passed(path)
                if run.isPageFull { try await commit(&position) }
            }
        } catch {
            if (error as? ExtractError)?.isTransient ?? false { try await commit(&position) }
            throw error
        }
    }

    private func commit(_ position: inout Position) async throws {
        if let last = reader.lastPath { position.after = last }
        try await run.commit(RunContext.Progress(position: position.json))
    }

    private func add(_ document: FirestoreDocument, _ path: Range<Int>) throws {
        run.countRecord()
        var record = try reader.record(for: document, path: path)
        record.mayRepeat = run.usesTemporaryIndex
        if remembersVersions {
            let key = reader.knownKey(of: path)
            record.knownKey = key.withUnsafeBytes(run.page.keep)
            let version = FirestoreReader.version(
                updatedAt: record.updatedAt ?? .minimum, createdAt: record.createdAt)
            record.knownVersion = version.withUnsafeBytes(run.page.keep)
        }
        run.page.add(record)
    }
}
