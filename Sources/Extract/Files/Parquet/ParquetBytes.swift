/// A Parquet object's bytes by ranges, a window at a time for each column.
final class ParquetBytes {
    /// Footers of thousands of columns have a few MiB.
    private static let maximumFooter: Int64 = 64 << 20
    private static let maximumHeader = 16 << 20

    private let store: any ObjectStore
    private let object: StoredObject
    let size: Int64
    /// Of all its columns' pages.
    let memory: PageMemory
    /// Bytes fetched at once; smaller where many columns are read side by side.
    var windowSize = 1 << 20

    private var window: [UInt8] = []
    private var windowStart: Int64 = 0

    init(_ store: any ObjectStore, _ object: StoredObject, memory: PageMemory = PageMemory()) {
        self.store = store
        self.object = object
        self.memory = memory
        size = object.size
    }

    /// The same object with a window of its own.
    func another() -> ParquetBytes {
        let copy = ParquetBytes(store, object, memory: memory)
        copy.windowSize = windowSize
        return copy
    }

    func footer() async throws -> [UInt8] {
        guard size >= 12 else { throw BrokenObject(reason: "it is no Parquet file: it has only \(size) bytes") }
        let tail = try await store.read(object, range: max(0, size - 64 << 10)..<size)
        let magic = tail.suffix(4)
        guard !magic.elementsEqual("PARE".utf8) else {
            throw BrokenObject(reason: "it is encrypted, which etlctl can't read")
        }
        guard magic.elementsEqual("PAR1".utf8) else {
            throw BrokenObject(reason: "it is no Parquet file, or its end is missing")
        }
        let length = tail.suffix(8).prefix(4).reversed().reduce(Int64(0)) { $0 << 8 | Int64($1) }
        guard length <= size - 12 else { throw BrokenObject(reason: "its footer is longer than the file") }
        guard length <= Self.maximumFooter else {
            throw BrokenObject(reason: "its footer is longer than \(Self.maximumFooter >> 20) MiB")
        }
        if Int(length) + 8 <= tail.count { return Array(tail.dropLast(8).suffix(Int(length))) }
        return try await store.read(object, range: size - 8 - length..<size - 8)
    }

    /// The page at an offset, which moves behind it. The bytes are as stored.
    func page(
        at offset: inout Int64, end: Int64, column: String
    ) async throws -> (ParquetPageHeader, ArraySlice<UInt8>) {
        var wanted = 1 << 10
        while true {
            let bytes = try await bytes(at: offset, atLeast: wanted, end: end)
            var reader = ThriftReader(bytes.window, at: bytes.start)
            do {
                let header = try ParquetPageHeader(&reader)
                let start = offset + Int64(reader.at - bytes.start)
                guard header.compressedSize >= 0, Int64(header.compressedSize) <= end - start else {
                    throw BrokenObject(reason: "a page of column \(column) reaches beyond its column")
                }
                guard header.compressedSize <= PageCodec.maximumSize else {
                    throw BrokenObject(reason: "a page of column \(column) has \(header.compressedSize) bytes")
                }
                let body = try await self.bytes(at: start, atLeast: header.compressedSize, end: end)
                guard body.window.count - body.start >= header.compressedSize else { throw PageBytes.cutOff }
                offset = start + Int64(header.compressedSize)
                // Nothing but such a page is in its window, and columns may be many.
                if header.compressedSize > windowSize { window = [] }
                return (header, body.window[body.start..<body.start + header.compressedSize])
            } catch is ThriftReader.EndOfBytes {
                guard Int64(wanted) < end - offset, wanted < Self.maximumHeader else {
                    throw BrokenObject(reason: "a page header of column \(column) is cut off")
                }
                wanted *= 8
            }
        }
    }

    /// A window that holds at least so many bytes from an offset on, or all up to `end`; and where in it they begin.
    private func bytes(at offset: Int64, atLeast count: Int, end: Int64) async throws -> (window: [UInt8], start: Int) {
        let upper = min(offset + Int64(count), end)
        if offset < windowStart || upper > windowStart + Int64(window.count) {
            let last = min(max(upper, offset + Int64(windowSize)), end)
            window = []
            window = try await store.read(object, range: offset..<last)
            windowStart = offset
            guard window.count == Int(last - offset) else {
                throw ExtractError(.unavailable, "reading \(store.url(of: object.name)) ended too early")
            }
        }
        return (window, Int(offset - windowStart))
    }
}
