/// The rows of one page on their way into the spool: opaque bytes plus what the spool needs to know of each.
///
/// One owner fills it and hands it to `append`; it is then emptied with `removeAll` and used again.
// Unchecked: the extractor that fills a batch does not touch it while `append` runs; it is never shared otherwise.
package final class RowBatch: @unchecked Sendable {
    /// Bytes of one insertId: 16 bytes as unpadded base64url.
    package static let insertIDLength = 22

    struct Entry {
        var payload: Range<Int>
        var id: Range<Int>?
        var insertID: Range<Int>
        var sortKey: Range<Int>?
        var knownKey: Range<Int>?
        var knownVersion: Range<Int>?
        var extractedAt: Int64
        var shape: Int32
        var operation: RowOperation
        var mayRepeat: Bool
        var rejection: Int32
        var knownChanges: Int64?
    }

    private(set) var entries: [Entry] = []
    private(set) var storage: [UInt8] = []
    private(set) var shapes: [String] = []
    private(set) var rejections: [(reason: String, message: String)] = []
    private var shapeNumbers: [String: Int32] = [:]

    package init() {}

    package var count: Int { entries.count }
    package var isEmpty: Bool { entries.isEmpty }
    /// The payloads as text, for tests.
    package var payloads: [String] { entries.map { String(decoding: storage[$0.payload], as: UTF8.self) } }
    /// Bytes held, payloads and keys together.
    package var byteCount: Int { storage.count }

    package func removeAll() {
        entries.removeAll(keepingCapacity: true)
        storage.removeAll(keepingCapacity: storage.capacity <= 16 << 20)
        shapes.removeAll(keepingCapacity: true)
        shapeNumbers.removeAll(keepingCapacity: true)
        rejections.removeAll()
    }

    /// The number of a shape within this batch, for `append`. A definition is the row's list of columns, opaque to the spool.
    package func shapeNumber(for definition: String) -> Int32 {
        if let known = shapeNumbers[definition] { return known }
        let number = Int32(shapes.count)
        shapes.append(definition)
        shapeNumbers[definition] = number
        return number
    }

    /// What the spool keeps beside a payload.
    package struct Attributes {
        package var operation = RowOperation.upsert
        package var shape: Int32
        package var extractedAt: Timestamp
        /// True where a version of this row may be in the spool already: `append` then looks its insertId up.
        package var mayRepeat = false
        /// How often this row's key changed before, for sources that count (`#n`); kept with the known version, and after the key is forgotten.
        package var knownChanges: Int?
        /// Set for a row that is spooled as rejected at once.
        package var rejection: (reason: String, message: String)?

        package init(shape: Int32, extractedAt: Timestamp) {
            self.shape = shape
            self.extractedAt = extractedAt
        }
    }

    /// Copies one row into the batch.
    ///
    /// - Parameters:
    ///   - sortKey: the row's watermark as bytes that sort like it; kept while the row lies within the lookback.
    ///   - knownKey: with `knownVersion` the version to remember for this key; without it the key is forgotten (but not its
    ///     `knownChanges`).
    package func append(
        payload: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer?, insertID: UnsafeRawBufferPointer,
        sortKey: UnsafeRawBufferPointer? = nil, knownKey: UnsafeRawBufferPointer? = nil,
        knownVersion: UnsafeRawBufferPointer? = nil, _ attributes: Attributes
    ) {
        var rejection: Int32 = -1
        if let reason = attributes.rejection {
            rejection = Int32(rejections.count)
            rejections.append(reason)
        }
        var entry = Entry(
            payload: store(payload), insertID: store(insertID), extractedAt: attributes.extractedAt.microseconds,
            shape: attributes.shape, operation: attributes.operation, mayRepeat: attributes.mayRepeat,
            rejection: rejection)
        if let id { entry.id = store(id) }
        if let sortKey { entry.sortKey = store(sortKey) }
        if let knownKey { entry.knownKey = store(knownKey) }
        if let knownVersion { entry.knownVersion = store(knownVersion) }
        if let changes = attributes.knownChanges { entry.knownChanges = Int64(changes) }
        entries.append(entry)
    }

    @inline(__always)
    private func store(_ bytes: UnsafeRawBufferPointer) -> Range<Int> {
        let start = storage.count
        storage.append(contentsOf: bytes)
        return start..<storage.count
    }
}
