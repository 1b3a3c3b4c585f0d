internal import JSONBytes
internal import Spool
internal import Transport

/// Gathers the records of one page and makes rows of them at its end.
///
/// Values arrive in the record's own order as finished JSON; the names of columns are known only at the page's end, so a row is put
/// together then, in the order of its columns. All memory is reused from page to page.
final class PageBuilder {
    /// One value of a record: where its JSON stands in `values`.
    struct Slot {
        var field: Int32
        var type: ValueType
        var start: Int
        var end: Int
    }

    /// One record of the page.
    struct Record {
        var slots: Range<Int>
        var id: Range<Int>?
        var path: Range<Int>?
        var createdAt: Timestamp?
        var updatedAt: Timestamp?
        var version: Range<Int>
        var identity: Range<Int>
        var sortKey: Range<Int>?
        var knownKey: Range<Int>?
        var knownVersion: Range<Int>?
        var operation = RowOperation.upsert
        var mayRepeat = false
        /// The record's rescued values, in `rescues`.
        var rescues: Range<Int> = 0..<0
        /// The version is the hash of the fields, made at the page's end; `version` is not looked at.
        var hashesFields = false
        /// For a record without a key: equal records are counted within this scope, and `identity` is the first of three parts.
        var countScope: Range<Int>?
        /// Of equal records within the scope only the first becomes a row: for a record with a key that nothing makes unique.
        var dropsEqualRows = false
        /// Set for a record whose equals are counted within an object's reading, in place of the scope.
        var object: ObjectReading?
        /// Equal records before this one within its scope.
        var equalsBefore = 0
        /// Earlier changes of this key (`#n`).
        var changes = 0
        /// True for a version that is known already: no row is made of it.
        var isUnchanged = false
        /// From a source whose values have no types of their own.
        var isUntyped = false
        /// Set for a record that is spooled as rejected at once.
        var rejection: (reason: String, message: String)?
        fileprivate(set) var text: HashedText?
    }

    /// The fields of a record as JSON, and their hash.
    struct HashedText {
        /// From the comma before the first member to the closing brace; in `texts`.
        var members: Range<Int>
        /// Lower-case hex; in `texts`.
        var hash: Range<Int>
        /// The hash as knownVersions keep it: its first 16 bytes.
        var known: KnownHash
    }

    /// A value that has no form in its own type.
    struct Rescue {
        /// A field, or -1 for a member that belongs to no field.
        var field: Int32
        /// The member's name where there is no field.
        var name: String
        /// The value as finished JSON.
        var value: Range<Int>
    }

    let fields: FieldTable
    /// Finished JSON values, and the raw texts of ids, paths, versions and keys.
    let values = ByteBuffer(capacity: 1 << 20)
    var records: [Record] = []
    private(set) var slots: [Slot] = []
    private(set) var rescues: [Rescue] = []
    /// Fields and hashes of records whose version is the hash of the fields.
    let texts = ByteBuffer(capacity: 1 << 12)

    private let frame: RowFrame
    private let insertIDs: InsertIDMaker
    private let clock: @Sendable () -> Timestamp
    private let row = ByteBuffer(capacity: 1 << 16)
    private let scratch = ByteBuffer(capacity: 256)
    private let hasher = SHA256Hasher()
    private var digest = [UInt8](repeating: 0, count: SHA256Hasher.digestLength)
    private var lastExtractedAt: Timestamp
    /// How far the clock was behind the stream's last value, if it was.
    private(set) var clockWasBehind = false

    private var order: [Int32] = []
    private var orderedFields: [Int32] = []
    private var shapes: [ShapeKey: String] = [:]
    /// About what `shapes` takes.
    private var shapeBytes = 0
    /// Where every record has fields of its own, its shape is worth no memory.
    private static let maximumShapeBytes = 8 << 20
    /// The last record's shape, and its number in the batch that is being filled.
    private var lastKey = ShapeKey(metadata: 0, columns: [])
    private var lastShape: Int32?

    init(
        fields: FieldTable, frame: RowFrame, insertIDs: InsertIDMaker, lastExtractedAt: Timestamp,
        clock: @escaping @Sendable () -> Timestamp
    ) {
        self.fields = fields
        self.frame = frame
        self.insertIDs = insertIDs
        self.lastExtractedAt = lastExtractedAt
        self.clock = clock
    }

    var count: Int { records.count }
    /// Bytes gathered so far.
    var byteCount: Int { values.count }

    // MARK: Gathering

    /// A mark to go back to when a record turns out to be incomplete.
    struct Mark {
        fileprivate var values: Int
        fileprivate var slots: Int
        fileprivate var rescues: Int
    }

    var mark: Mark { Mark(values: values.count, slots: slots.count, rescues: rescues.count) }

    func goBack(to mark: Mark) {
        values.truncate(to: mark.values)
        slots.removeLast(slots.count - mark.slots)
        rescues.removeLast(rescues.count - mark.rescues)
    }

    @inline(__always)
    func addSlot(field: Int, type: ValueType, from start: Int) {
        slots.append(Slot(field: Int32(field), type: type, start: start, end: values.count))
    }

    /// Keeps a value that has no form in its own type, as the source's own text. What the column itself gets is added as a slot.
    func rescue(field: Int, text: UnsafeRawBufferPointer) {
        let start = values.count
        values.appendJSONString(text)
        rescues.append(Rescue(field: Int32(field), name: "", value: start..<values.count))
    }

    /// Keeps what belongs to no field under a name of its own.
    func rescue(name: String, json write: (ByteBuffer) -> Void) {
        let start = values.count
        write(values)
        rescues.append(Rescue(field: -1, name: name, value: start..<values.count))
    }

    /// Keeps text beside the values and returns its place.
    func keep(_ bytes: UnsafeRawBufferPointer) -> Range<Int> {
        let start = values.count
        values.append(bytes)
        return start..<values.count
    }

    func add(_ record: Record) { records.append(record) }

    /// Drops the records and keeps the memory.
    func removeAll() {
        records.removeAll(keepingCapacity: true)
        slots.removeAll(keepingCapacity: true)
        rescues.removeAll(keepingCapacity: true)
        texts.removeAll()
        texts.shrink(to: 8 << 20)
        values.removeAll()
        values.shrink(to: 8 << 20)
    }

    // MARK: Rows

    /// Appends one row for each record to the batch. Fields new in this page have their columns afterwards.
    func assemble(into batch: RowBatch) {
        nameNewFields()
        lastShape = nil
        for record in records { assemble(record, into: batch) }
        row.shrink(to: 1 << 20)
    }

    private func nameNewFields() {
        guard fields.hasUnnamedFields else { return }
        var used: Set<Int32> = []
        for record in records {
            for slot in slots[record.slots] { used.insert(slot.field) }
            for rescue in rescues[record.rescues] where rescue.field >= 0 { used.insert(rescue.field) }
        }
        fields.nameNewFields(used.contains)
    }

    /// The `_extracted_at` of the last row made.
    var extractedUpTo: Timestamp { lastExtractedAt }

    private func assemble(_ record: Record, into batch: RowBatch) {
        guard !record.isUnchanged else { return }
        let extractedAt = nextExtractedAt()
        sortSlots(of: record)
        withInsertID(of: record) { insertID in
            row.removeAll()
            frame.open(row, record: record, values: values, extractedAt: extractedAt, insertID: insertID)
            if let text = record.text {
                row.append(texts.bytes(text.members))
            } else {
                appendMembers(of: record, to: row)
            }
            var attributes = RowBatch.Attributes(
                shape: shapeNumber(of: record, in: batch), extractedAt: extractedAt)
            attributes.operation = record.operation
            attributes.mayRepeat = record.mayRepeat
            attributes.rejection = record.rejection
            if record.hashesFields, record.knownKey != nil { attributes.knownChanges = record.changes }
            batch.append(
                payload: row.bytes, id: record.id.map(values.bytes), insertID: insertID,
                sortKey: record.sortKey.map(values.bytes), knownKey: record.knownKey.map(values.bytes),
                knownVersion: record.knownVersion.map(values.bytes), attributes)
        }
    }

    private func withInsertID(of record: Record, _ body: (UnsafeRawBufferPointer) -> Void) {
        guard let text = record.text else {
            return insertIDs.withID(
                identity: values.bytes(record.identity), operation: record.operation,
                version: values.bytes(record.version), body)
        }
        // Identity and version stand one after the other in the scratch memory.
        scratch.removeAll()
        scratch.append(values.bytes(record.identity))
        if record.countScope != nil, !record.dropsEqualRows {
            scratch.append(0)
            scratch.append(texts.bytes(text.hash))
            scratch.append(0)
            scratch.append(decimal: Int64(record.equalsBefore))
        }
        let end = scratch.count
        scratch.append(texts.bytes(text.hash))
        if record.changes > 0 {
            scratch.append(UInt8(ascii: "#"))
            scratch.append(decimal: Int64(record.changes))
        }
        insertIDs.withID(
            identity: scratch.bytes(0..<end), operation: record.operation,
            version: scratch.bytes(end..<scratch.count), body)
    }

    /// Appends `_rescued` and the fields, each with a comma in front, and the closing brace. The slots must be in order.
    private func appendMembers(of record: Record, to target: ByteBuffer) {
        if !record.rescues.isEmpty { appendRescued(of: record, to: target) }
        for index in order {
            let slot = slots[Int(index)]
            fields.appendOpening(of: Int(slot.field), to: target)
            target.append(values.bytes(slot.start..<slot.end))
        }
        target.append(UInt8(ascii: "}"))
    }

    private func appendRescued(of record: Record, to target: ByteBuffer) {
        func name(_ rescue: Rescue) -> String {
            rescue.field < 0 ? rescue.name : fields.fields[Int(rescue.field)].column
        }
        let members = rescues[record.rescues].sorted { name($0).utf8.lexicographicallyPrecedes(name($1).utf8) }
        let text = ByteBuffer(capacity: 256)
        for rescue in members {
            text.append(UInt8(ascii: text.count == 0 ? "{" : ","))
            text.appendJSONString(name(rescue))
            text.append(UInt8(ascii: ":"))
            text.append(values.bytes(rescue.value))
        }
        text.append(UInt8(ascii: "}"))
        target.append(frame.rescued)
        target.appendJSONString(text.bytes)
    }

    // MARK: Hashes

    /// Makes the fields' text and their hash of every record whose version they are. Fields new in this page have their columns afterwards.
    func hashFields() {
        nameNewFields()
        for index in records.indices where records[index].hashesFields { hashFields(of: index) }
    }

    private func hashFields(of index: Int) {
        let start = texts.count
        sortSlots(of: records[index])
        appendMembers(of: records[index], to: texts)
        let members = start..<texts.count
        let text = texts.bytes(members)
        // The comma in front of the first member stands where the object's brace is in the hashed text.
        withUnsafeBytes(of: UInt8(ascii: "{")) { hasher.update($0) }
        hasher.update(UnsafeRawBufferPointer(rebasing: text.count > 1 ? text.dropFirst() : text[...]))
        digest.withUnsafeMutableBytes { hasher.finish(into: $0) }
        texts.append(hexadecimal: digest)
        let known = digest.withUnsafeBytes { bytes in
            KnownHash(
                high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
        records[index].text = HashedText(members: members, hash: members.upperBound..<texts.count, known: known)
    }

    /// Of the record at an index, only after `hashFields`.
    func knownHash(at index: Int) -> KnownHash { records[index].text?.known ?? KnownHash(high: 0, low: 0) }

    /// The later of the clock and the last value plus one microsecond.
    private func nextExtractedAt() -> Timestamp {
        let now = clock()
        if now <= lastExtractedAt {
            if lastExtractedAt.since(now) > .seconds(1) { clockWasBehind = true }
            lastExtractedAt.microseconds += 1
        } else {
            lastExtractedAt = now
        }
        return lastExtractedAt
    }

    /// Puts the record's slots into column order. Records of one page mostly share it, so the last order is tried first.
    private func sortSlots(of record: Record) {
        let range = record.slots
        order.removeAll(keepingCapacity: true)
        order.append(contentsOf: Int32(range.lowerBound)..<Int32(range.upperBound))
        // Sources mostly deliver fields in a settled order: insertion sort is linear then. It gives up where that is not so, for a document
        // may have a hundred thousand fields.
        var moves = 16 * order.count
        var index = 1
        while index < order.count {
            let slot = order[index]
            let rank = self.rank(slot)
            var place = index
            while place > 0, self.rank(order[place - 1]) > rank {
                order[place] = order[place - 1]
                place -= 1
            }
            order[place] = slot
            moves -= index - place
            guard moves > 0 else { return order.sort { self.rank($0) < self.rank($1) } }
            index += 1
        }
    }

    @inline(__always)
    private func rank(_ slot: Int32) -> Int32 { fields.fields[Int(slots[Int(slot)].field)].rank }

    /// The number of the record's shape within the batch. Neighbours mostly share it: then nothing is looked up.
    private func shapeNumber(of record: Record, in batch: RowBatch) -> Int32 {
        let metadata = frame.metadata(of: record)
        if let lastShape, lastKey.metadata == metadata, lastKey.columns.count == order.count {
            var index = 0
            while index < order.count {
                let slot = slots[Int(order[index])]
                let column = lastKey.columns[index]
                guard column.field == slot.field, column.type == slot.type else { break }
                index += 1
            }
            if index == order.count { return lastShape }
        }
        lastKey.metadata = metadata
        lastKey.columns.removeAll(keepingCapacity: true)
        for index in order {
            let slot = slots[Int(index)]
            lastKey.columns.append(ShapeKey.Column(field: slot.field, type: slot.type))
        }
        let number = batch.shapeNumber(for: shape(of: record))
        lastShape = number
        return number
    }

    /// The definition of the shape in `lastKey`.
    private func shape(of record: Record) -> String {
        if let known = shapes[lastKey] { return known }
        var lines = frame.shapeLines(of: record)
        for column in lastKey.columns {
            let untyped = record.isUntyped && column.type != .null ? "?" : ""
            lines.append("\(fields.fields[Int(column.field)].column)\t\(untyped)\(column.type.rawValue)\t")
        }
        let definition = lines.joined(separator: "\n")
        if shapeBytes > Self.maximumShapeBytes {
            shapes.removeAll()
            shapeBytes = 0
        }
        shapes[lastKey] = definition
        shapeBytes += definition.utf8.count + lastKey.columns.count * MemoryLayout<ShapeKey.Column>.stride + 128
        return definition
    }
}

private struct ShapeKey: Hashable {
    struct Column: Hashable {
        var field: Int32
        var type: ValueType
    }

    var metadata: UInt16
    var columns: [Column]
}
