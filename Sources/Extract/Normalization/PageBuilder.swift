internal import JSONBytes
internal import Spool

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
    }

    let fields: FieldTable
    /// Finished JSON values, and the raw texts of ids, paths, versions and keys.
    let values = ByteBuffer(capacity: 1 << 20)
    private(set) var records: [Record] = []
    private(set) var slots: [Slot] = []

    private let frame: RowFrame
    private let insertIDs: InsertIDMaker
    private let clock: @Sendable () -> Timestamp
    private let row = ByteBuffer(capacity: 1 << 16)
    private var lastExtractedAt: Timestamp
    /// How far the clock was behind the stream's last value, if it was.
    private(set) var clockWasBehind = false

    private var order: [Int32] = []
    private var orderedFields: [Int32] = []
    private var shapes: [ShapeKey: String] = [:]
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
    }

    var mark: Mark { Mark(values: values.count, slots: slots.count) }

    func goBack(to mark: Mark) {
        values.truncate(to: mark.values)
        slots.removeLast(slots.count - mark.slots)
    }

    @inline(__always)
    func addSlot(field: Int, type: ValueType, from start: Int) {
        slots.append(Slot(field: Int32(field), type: type, start: start, end: values.count))
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
        }
        fields.nameNewFields(used.contains)
    }

    /// The `_extracted_at` of the last row made.
    var extractedUpTo: Timestamp { lastExtractedAt }

    private func assemble(_ record: Record, into batch: RowBatch) {
        let extractedAt = nextExtractedAt()
        insertIDs.withID(
            identity: values.bytes(record.identity), operation: record.operation, version: values.bytes(record.version)
        ) { insertID in
            row.removeAll()
            frame.open(row, record: record, values: values, extractedAt: extractedAt, insertID: insertID)
            sortSlots(of: record)
            for index in order {
                let slot = slots[Int(index)]
                row.append(fields.fields[Int(slot.field)].opening)
                row.append(values.bytes(slot.start..<slot.end))
            }
            row.append(UInt8(ascii: "}"))
            var attributes = RowBatch.Attributes(
                shape: shapeNumber(of: record, in: batch), extractedAt: extractedAt)
            attributes.operation = record.operation
            attributes.mayRepeat = record.mayRepeat
            batch.append(
                payload: row.bytes, id: record.id.map(values.bytes), insertID: insertID,
                sortKey: record.sortKey.map(values.bytes), knownKey: record.knownKey.map(values.bytes),
                knownVersion: record.knownVersion.map(values.bytes), attributes)
        }
    }

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
        // Sources mostly deliver fields in a settled order: insertion sort is linear then.
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
            lines.append("\(fields.fields[Int(column.field)].column)\t\(column.type.rawValue)\t")
        }
        let definition = lines.joined(separator: "\n")
        if shapes.count > 10_000 { shapes.removeAll() }
        shapes[lastKey] = definition
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
