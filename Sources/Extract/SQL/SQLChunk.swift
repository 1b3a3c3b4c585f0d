internal import JSONBytes

/// Rows on their way from a server's connection to the run's task: cells one after another in one piece of memory.
// Unchecked: it is filled on the connection's queue and read by the run's task, never both at once: whoever has it hands it over.
final class SQLChunk: @unchecked Sendable {
    /// A chunk is handed over at the latest with so many bytes or rows.
    static let bytesWanted = 256 << 10
    static let rowsWanted = 2000

    private let bytes = ByteBuffer(capacity: 1 << 16)
    /// Where each cell starts and ends; a start of -1 is a null.
    private var cells: [(start: Int, end: Int)] = []
    private(set) var rows = 0
    let width: Int

    init(width: Int) { self.width = width }

    var isFull: Bool { bytes.count >= Self.bytesWanted || rows >= Self.rowsWanted }

    func removeAll() {
        bytes.removeAll()
        bytes.shrink(to: 4 << 20)
        cells.removeAll(keepingCapacity: true)
        rows = 0
    }

    // MARK: Filling

    func append(_ part: UnsafePointer<UInt8>, count: Int) { bytes.append(part, count: count) }
    func append(_ byte: UInt8) { bytes.append(byte) }
    var byteCount: Int { bytes.count }
    func endCell(from start: Int) { cells.append((start, bytes.count)) }
    func addNull() { cells.append((-1, -1)) }

    func endRow() { rows += 1 }

    // MARK: Reading

    /// The text of a cell, nil for null; valid until the chunk is emptied.
    func cell(_ row: Int, _ column: Int) -> UnsafeRawBufferPointer? {
        let place = cells[row * width + column]
        return place.start < 0 ? nil : bytes.bytes(place.start..<place.end)
    }
}
