internal import JSONBytes
internal import Spool
internal import Transport

/// Gathers the records of one page and makes rows of them at its end.
///
/// Values arrive in the record's own order as finished JSON; the names of columns are known only at the page's end, so a row is put
/// together then, in the order of its columns. All memory is reused from page to page.
final class PageBuilder {
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

    /// The slots of the record last looked at in the order of their columns, counted from its first slot; and their fields as they came.
    private var order: [Int32] = []
    private var arrivedFields: [Int32] = []
    private var shapes: [ShapeKey: String] = [:]
    /// About what `shapes` takes.
    private var shapeBytes = 0
    /// Where every record has fields of its own, its shape is worth no memory.
    private static let maximumShapeBytes = 8 << 20
    /// The shapes of the batch that is being filled and their numbers in it, by a hash of what `ShapeKey` holds; the last one looked at.
    private var batchShapes: [UInt64: (key: ShapeKey, number: Int32)] = [:]
    private var lastHash: UInt64 = 0
    private var lastShape: (key: ShapeKey, number: Int32)?

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
        batchShapes.removeAll(keepingCapacity: true)
        lastShape = nil
        // In place: a record is some hundred bytes.
        records.withUnsafeBufferPointer { records in
            for index in records.indices { assemble(records[index], into: batch) }
        }
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
        arrivedFields.removeAll()
    }

    /// The `_extracted_at` of the last row made.
    var extractedUpTo: Timestamp { lastExtractedAt }

    private func assemble(_ record: Record, into batch: RowBatch) {
        guard !record.isUnchanged else { return }
        let extractedAt = nextExtractedAt()
        sortSlots(record.slots)
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
            let slot = slots[record.slots.lowerBound + Int(index)]
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
        sortSlots(records[index].slots)
        appendMembers(of: records[index], to: texts)
        let members = start..<texts.count
        if members.count > 1 {
            // What is hashed is an object: for a moment its brace stands where a row has the comma in front of the first member.
            texts.base[start] = UInt8(ascii: "{")
            hasher.update(texts.bytes(members))
            texts.base[start] = UInt8(ascii: ",")
        } else {
            withUnsafeBytes(of: (UInt8(ascii: "{"), UInt8(ascii: "}"))) { hasher.update($0) }
        }
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

    /// Puts a record's slots into column order. Neighbours mostly have the same fields: then the order is the last one's.
    private func sortSlots(_ range: Range<Int>) {
        if hasLastFields(range) { return }
        arrivedFields.removeAll(keepingCapacity: true)
        for slot in slots[range] { arrivedFields.append(slot.field) }
        order.removeAll(keepingCapacity: true)
        order.append(contentsOf: 0..<Int32(range.count))
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

    private func hasLastFields(_ range: Range<Int>) -> Bool {
        guard arrivedFields.count == range.count else { return false }
        var index = 0
        while index < arrivedFields.count, arrivedFields[index] == slots[range.lowerBound + index].field { index += 1 }
        return index == arrivedFields.count
    }

    @inline(__always)
    private func rank(_ place: Int32) -> Int32 { fields.fields[Int(arrivedFields[Int(place)])].rank }

    /// The number of the record's shape within the batch. Nothing is allocated for a shape that the batch has already.
    private func shapeNumber(of record: Record, in batch: RowBatch) -> Int32 {
        let metadata = frame.metadata(of: record)
        let first = record.slots.lowerBound
        var hash = UInt64(metadata)
        for index in order {
            let slot = slots[first + Int(index)]
            hash =
                (hash ^ UInt64(truncatingIfNeeded: slot.field) << 8 ^ UInt64(slot.type.code)) &* 0x9E37_79B9_7F4A_7C15
            hash ^= hash >> 32
        }
        if let lastShape, lastHash == hash, isShape(lastShape.key, of: metadata, first) { return lastShape.number }
        if let known = batchShapes[hash], isShape(known.key, of: metadata, first) {
            (lastHash, lastShape) = (hash, known)
            return known.number
        }
        let columns = order.map { index in
            let slot = slots[first + Int(index)]
            return ShapeKey.Column(field: slot.field, type: slot.type)
        }
        let key = ShapeKey(metadata: metadata, columns: columns)
        let shape = (key: key, number: batch.shapeNumber(for: definition(of: key, record)))
        batchShapes[hash] = shape
        (lastHash, lastShape) = (hash, shape)
        return shape.number
    }

    /// True if the record whose slots are in order has this shape.
    private func isShape(_ key: ShapeKey, of metadata: UInt16, _ first: Int) -> Bool {
        guard key.metadata == metadata, key.columns.count == order.count else { return false }
        for (place, column) in key.columns.enumerated() {
            let slot = slots[first + Int(order[place])]
            guard column.field == slot.field, column.type == slot.type else { return false }
        }
        return true
    }

    private func definition(of key: ShapeKey, _ record: Record) -> String {
        if let known = shapes[key] { return known }
        var lines = frame.shapeLines(of: record)
        for column in key.columns {
            let untyped = record.isUntyped && column.type != .null ? "?" : ""
            lines.append("\(fields.fields[Int(column.field)].column)\t\(untyped)\(column.type.rawValue)\t")
        }
        let definition = lines.joined(separator: "\n")
        if shapeBytes > Self.maximumShapeBytes {
            shapes.removeAll()
            shapeBytes = 0
        }
        shapes[key] = definition
        shapeBytes += definition.utf8.count + key.columns.count * MemoryLayout<ShapeKey.Column>.stride + 128
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
