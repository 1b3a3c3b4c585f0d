internal import JSONBytes

/// Rows on their way from a server's connection to the run's task: cells one after another in one piece of memory.
// Unchecked: it is filled on the connection's queue and read by the run's task, never both at once: whoever has it hands it over.
final class SQLChunk: @unchecked Sendable {
    /// A chunk is handed over at the latest with so many bytes or rows.
    static let bytesWanted = 256 << 10
    static let rowsWanted = 2000

    private let bytes = ByteBuffer(capacity: 1 << 16)
    private struct Cell {
        var start: Int
        /// Below the start for a null.
        var end: Int
    }

    // Memory of its own, freed in deinit: an array would count a reference for every cell.
    private var cells: UnsafeMutablePointer<Cell>
    private var capacity: Int
    private var count = 0
    private(set) var rows = 0
    let width: Int

    init(width: Int) {
        self.width = width
        capacity = max(width * 256, 256)
        cells = .allocate(capacity: capacity)
    }

    deinit { cells.deallocate() }

    var isFull: Bool { bytes.count >= Self.bytesWanted || rows >= Self.rowsWanted }

    func removeAll() {
        bytes.removeAll()
        bytes.shrink(to: 4 << 20)
        count = 0
        rows = 0
    }

    // MARK: Filling

    @inline(__always)
    func append(_ part: UnsafePointer<UInt8>, count: Int) { bytes.append(part, count: count) }
    @inline(__always)
    func append(_ byte: UInt8) { bytes.append(byte) }
    var byteCount: Int { bytes.count }

    @inline(__always)
    func endCell(from start: Int) { addCell(start, bytes.count) }
    @inline(__always)
    func addNull() { addCell(0, -1) }

    /// Adds a cell whose bytes have been appended.
    @inline(__always)
    func addCell(_ start: Int, _ end: Int) {
        if count == capacity { grow() }
        cells[count] = Cell(start: start, end: end)
        count += 1
    }

    private func grow() {
        let grown = UnsafeMutablePointer<Cell>.allocate(capacity: capacity * 2)
        grown.moveInitialize(from: cells, count: count)
        cells.deallocate()
        cells = grown
        capacity *= 2
    }

    func endRow() { rows += 1 }

    // MARK: Reading

    /// The text of a cell, nil for null; valid until the chunk is emptied.
    @inline(__always)
    func cell(_ row: Int, _ column: Int) -> UnsafeRawBufferPointer? {
        let place = row * width + column
        precondition(place < count, "a row has another width than its table")
        let cell = cells[place]
        return cell.end < cell.start ? nil : bytes.bytes(cell.start..<cell.end)
    }
}
