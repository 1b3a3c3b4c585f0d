internal import JSONBytes
internal import Spool
internal import Transport

/// What the three ways of reading a collection share: the run, the client, the page of records and the pipeline of queries.
///
/// Not `Sendable`: it belongs to the run's task.
final class FirestoreReader {
    let run: RunContext
    let client: FirestoreClient
    let collection: FirestoreCollection
    let normalizer: FirestoreNormalizer
    private let rootLength: Int
    private let rootBytes: [UInt8]

    init(run: RunContext, client: FirestoreClient, collection: FirestoreCollection) {
        self.run = run
        self.client = client
        self.collection = collection
        rootBytes = Array((client.root + "/").utf8)
        rootLength = rootBytes.count
        normalizer = FirestoreNormalizer(
            page: run.page, root: client.root + "/", nestsAsJSON: run.stream.nestsAsJSON,
            watching: run.stream.mode == .incremental ? run.stream.watermark : nil)
    }

    /// A document as a value of a cursor.
    func reference(to path: String) -> FirestoreJSON { .init([("referenceValue", .string(client.root + "/" + path))]) }

    var subject: String { client.describe(collection) }

    /// The fields a query needs to return; nil for all.
    var projection: [String]? {
        guard let columns = run.stream.columns else { return nil }
        guard let watermark = run.stream.watermark, run.stream.mode == .incremental,
            !columns.contains(where: { $0.exact == watermark.exact })
        else {
            return columns
        }
        return columns + [watermark]
    }

    // MARK: Documents

    /// Reads the answer of a batchGet to its end and hands out its documents and missing names.
    func read(
        _ response: HTTPStreamedResponse, document: (FirestoreDocument) async throws -> Void,
        missing: (Range<Int>) throws -> Void
    ) async throws {
        let answer = FirestoreAnswerReader(page: run.page, normalizer: normalizer, subject: subject)
        func take(_ element: FirestoreAnswerReader.Element) async throws {
            switch element {
            case .document(let found):
                run.countReads(1)
                try await document(found)
            case .missing(let name):
                run.countReads(1)
                try missing(name)
            case .progress:
                break
            case .error(let error):
                throw FirestoreFailure.error(error, status: 200, reading: subject)
            }
        }
        do {
            for try await chunk in response.body {
                answer.append(chunk)
                while let element = try answer.next() { try await take(element) }
            }
        } catch {
            throw ExtractError.translating(error, reading: subject)
        }
        while let element = try answer.finish() { try await take(element) }
    }

    /// The document's path below the database, in the page.
    func path(of name: Range<Int>) throws -> Range<Int> {
        guard name.count > rootLength, run.page.values.bytes(name).starts(with: rootBytes) else {
            throw ExtractError(
                .malformed,
                "reading \(subject) gave a document of another database: "
                    + String(decoding: run.page.values.bytes(name), as: UTF8.self))
        }
        return name.lowerBound + rootLength..<name.upperBound
    }

    /// True if the document belongs to the stream; a collection group's query also brings its namesakes elsewhere.
    func belongs(_ path: Range<Int>) -> Bool { collection.contains(run.page.values.bytes(path)) }

    /// Makes a record of the document whose fields were just read.
    func record(for document: FirestoreDocument, path: Range<Int>) throws -> PageBuilder.Record {
        guard let updatedAt = document.updatedAt else {
            throw ExtractError(.malformed, "reading \(subject) gave a document without updateTime")
        }
        let values = run.page.values
        let slash = values.bytes(path).lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
        let versionStart = values.count
        values.append(updatedAt)
        return PageBuilder.Record(
            slots: document.slots, id: path.lowerBound + slash..<path.upperBound, path: path,
            createdAt: document.createdAt, updatedAt: updatedAt, version: versionStart..<values.count, identity: path)
    }

    func text(_ range: Range<Int>) -> String { String(decoding: run.page.values.bytes(range), as: UTF8.self) }

    // MARK: Keys

    /// The key by which a document's version is known.
    func knownKey(of path: Range<Int>) -> [UInt8] { knownKey(of: run.page.values.bytes(path)) }

    func knownKey(ofPath path: String) -> [UInt8] { Array(path.utf8).withUnsafeBytes { knownKey(of: $0) } }

    private func knownKey(of bytes: UnsafeRawBufferPointer) -> [UInt8] {
        if collection.isGroup { return FirestoreKey.encode(path: bytes) }
        let slash = bytes.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
        return FirestoreKey.encode(path: UnsafeRawBufferPointer(rebasing: bytes[slash...]))
    }

    /// Adds to a record what a stream in `changes` mode remembers of its document.
    func remember(_ record: inout PageBuilder.Record) throws {
        guard let path = record.path, let updatedAt = record.updatedAt else { return }
        record.knownKey = knownKey(of: path).withUnsafeBytes(run.page.keep)
        record.knownVersion = Self.version(updatedAt: updatedAt, createdAt: record.createdAt)
            .withUnsafeBytes(run.page.keep)
    }

    /// The path below the database of a known key.
    func path(ofKnown key: [UInt8]) -> String {
        let tail = String(decoding: FirestoreKey.path(of: key), as: UTF8.self)
        if collection.isGroup { return tail }
        return (collection.parent.isEmpty ? "" : collection.parent + "/") + collection.collectionID + "/" + tail
    }

    static func version(updatedAt: Timestamp, createdAt: Timestamp?) -> [UInt8] {
        var bytes: [UInt8] = []
        for value in [updatedAt.microseconds, createdAt?.microseconds ?? updatedAt.microseconds] {
            let bits = UInt64(bitPattern: value)
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt64(shift)))
            }
        }
        return bytes
    }

    static func times(of version: [UInt8]) -> (updatedAt: Timestamp, createdAt: Timestamp) {
        func number(_ start: Int) -> Timestamp {
            var bits: UInt64 = 0
            for index in start..<min(start + 8, version.count) { bits = bits << 8 | UInt64(version[index]) }
            return Timestamp(microseconds: Int64(bitPattern: bits))
        }
        return (number(0), number(8))
    }

    // MARK: Time

    /// A fresh snapshot time, and whether there is any document. One read.
    ///
    /// - Throws: also with a clock that is more than a day away from the source's.
    func freshReadTime() async throws -> (text: String, isEmpty: Bool) {
        let probe = try await client.probe(collection)
        run.countReads(1)
        isEmpty = probe.isEmpty
        try checkClock(against: probe.readTime)
        return (probe.text, probe.isEmpty)
    }

    /// A fresh snapshot time, for who reads the documents anyway: no query, which the emulator answers after a look at the whole collection. One
    /// read.
    ///
    /// - Throws: as `freshReadTime` does.
    func serverTime() async throws -> String {
        // An account that may only query is asked to query.
        guard let now = try? await client.time() else { return try await freshReadTime().text }
        run.countReads(1)
        try checkClock(against: now.time)
        return now.text
    }

    private func checkClock(against time: Timestamp) throws {
        let skew = time.since(run.options.clock())
        guard skew < .seconds(86_400), skew > .seconds(-86_400) else {
            throw ExtractError(
                .configuration,
                "this machine's clock (\(run.options.clock())) is more than a day away from the source's (\(time))",
                hint: "set the clock right (NTP): _extracted_at and watermarks depend on it")
        }
    }

    /// Looks at the clocks again where a run that was cut off goes on: only if this machine's is far from the run's own time.
    func checkClock(since readTime: String) async throws {
        guard let then = Timestamp(rfc3339: readTime) else { return }
        let age = run.options.clock().since(then)
        if age > .seconds(86_400) || age < .seconds(-86_400), !run.isExhausted { _ = try await serverTime() }
    }

    /// True if the last look found no document at all.
    private(set) var isEmpty = false

    /// For a run that is complete: a name that is wrong looks like a collection without documents.
    func warnIfNothingWasRead(at readTime: String) {
        guard run.rowsRead == 0, run.run.counters.rowsRead == 0 else { return }
        run.warn("no_documents", "\(subject) held no documents at \(readTime); is the name right?", count: 0)
    }

    func warnNoDocuments() {
        run.warn("no_documents", "\(subject) holds no documents; is the name right?", count: 0)
    }
}
