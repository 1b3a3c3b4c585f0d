/// Reads one column chunk page by page: levels and values one at a time, the pages themselves as they are needed.
final class ParquetColumn {
    /// A row may not take more of one column in pages that are held at once.
    private static let maximumHeld = 256 << 20

    let leaf: ParquetLeaf
    private let chunk: ParquetMetadata.ColumnChunk
    private let file: ParquetBytes
    /// Pages held; those before `current` were taken to their ends.
    private var pages: [Page] = []
    private var current = 0
    private var bytesHeld = 0
    private var dictionary: ParquetDictionary?
    private var offset: Int64
    private let end: Int64
    private var valuesLoaded = 0
    /// Rows that begin in the pages held and were not taken yet; the last may go on in the next page.
    private var rowsHeld = 0

    /// The levels of the entry ahead.
    private var aheadDefinition = 0
    private var aheadRepetition = 0
    private var hasAhead = false

    private struct Page {
        var left: Int
        var repetitions: LevelDecoder?
        var definitions: LevelDecoder?
        var values: PageValues
        var bytes: Int
    }

    init(_ leaf: ParquetLeaf, _ chunk: ParquetMetadata.ColumnChunk, _ file: ParquetBytes) throws {
        self.leaf = leaf
        self.chunk = chunk
        self.file = file
        guard !chunk.isEncrypted else {
            throw BrokenObject(reason: "column \(leaf.name) is encrypted, which etlctl can't read")
        }
        guard chunk.filePath == nil else {
            throw BrokenObject(reason: "column \(leaf.name) lies in another file, which etlctl can't read")
        }
        guard chunk.type == leaf.type else {
            throw BrokenObject(reason: "column \(leaf.name) is stored in another type than its schema says")
        }
        offset = chunk.start
        let (end, overflows) = chunk.start.addingReportingOverflow(chunk.compressedSize)
        guard chunk.start >= 4, chunk.compressedSize >= 0, !overflows, end <= file.size, chunk.values >= 0 else {
            throw BrokenObject(reason: "column \(leaf.name) lies outside of the file")
        }
        self.end = end
    }

    private var isAtEnd: Bool { valuesLoaded >= chunk.values || offset >= end }

    /// Whole rows that can be taken without loading anything.
    var rowsReady: Int { leaf.maximumRepetition == 0 || isAtEnd ? rowsHeld : max(0, rowsHeld - 1) }

    /// Loads one more page of values.
    ///
    /// - Throws: `BrokenObject` where there is none: the column has fewer rows than its row group.
    func loadPage() async throws {
        while true {
            guard !isAtEnd else {
                throw BrokenObject(reason: "column \(leaf.name) has fewer values than the row group has rows")
            }
            let (header, body) = try await file.page(at: &offset, end: end, column: leaf.name)
            switch header.type {
            case ParquetPageHeader.dictionary:
                guard dictionary == nil else {
                    throw BrokenObject(reason: "column \(leaf.name) has two dictionaries")
                }
                let page = try PageCodec.unpack(
                    body, codec: chunk.codec, size: header.uncompressedSize, in: file.memory)
                dictionary = try ParquetDictionary(page, type: leaf.type, length: leaf.length, count: header.values)
            case ParquetPageHeader.data: return try add(try dataPage(header, body))
            case ParquetPageHeader.dataV2: return try add(try dataPageV2(header, body))
            // Index pages say nothing of the rows.
            default: continue
            }
        }
    }

    private func add(_ page: Page) throws {
        guard page.left >= 0, page.left <= chunk.values - valuesLoaded else {
            throw BrokenObject(reason: "column \(leaf.name) has more values than its row group says")
        }
        // There may be any number of empty ones.
        guard page.left > 0 else { return }
        valuesLoaded += page.left
        rowsHeld += try page.repetitions?.zeros(in: page.left) ?? page.left
        pages.append(page)
        bytesHeld += page.bytes
        guard bytesHeld <= Self.maximumHeld else {
            throw BrokenObject(reason: "one row takes more than \(Self.maximumHeld >> 20) MiB of column \(leaf.name)")
        }
    }

    private func dataPage(_ header: ParquetPageHeader, _ body: ArraySlice<UInt8>) throws -> Page {
        let bytes = try PageCodec.unpack(
            body, codec: chunk.codec, size: header.uncompressedSize, in: file.memory)
        var at = 0
        let repetitions = try levels(
            bytes, &at, maximum: leaf.maximumRepetition, encoding: header.repetitionEncoding, count: header.values)
        let definitions = try levels(
            bytes, &at, maximum: leaf.maximumDefinition, encoding: header.definitionEncoding, count: header.values)
        return try page(header, bytes, at, repetitions, definitions)
    }

    private func levels(
        _ bytes: PageBytes, _ at: inout Int, maximum: Int, encoding: Int, count: Int
    ) throws -> LevelDecoder? {
        guard maximum > 0 else { return nil }
        let width = LevelDecoder.width(for: maximum)
        switch encoding {
        case 3:
            let length = Int(try bytes.load(UInt32.self, at: at).littleEndian)
            guard length <= bytes.count - at - 4 else { throw PageBytes.cutOff }
            let start = at + 4
            at = start + length
            return try LevelDecoder(bytes, start..<at, width: width)
        case 4:
            guard count >= 0, count <= bytes.count * 8 else { throw PageBytes.cutOff }
            let start = at
            at += (count * width + 7) / 8
            guard at <= bytes.count else { throw PageBytes.cutOff }
            return LevelDecoder(legacy: bytes, start..<at, width: width)
        default: throw BrokenObject(reason: "column \(leaf.name) has levels in the unknown encoding \(encoding)")
        }
    }

    private func dataPageV2(_ header: ParquetPageHeader, _ body: ArraySlice<UInt8>) throws -> Page {
        let (repetition, definition) = (header.repetitionBytes, header.definitionBytes)
        guard repetition >= 0, definition >= 0, repetition <= body.count, definition <= body.count - repetition else {
            throw PageBytes.cutOff
        }
        let levels = repetition + definition
        let bytes = try PageCodec.unpack(
            body, codec: header.isCompressed ? chunk.codec : 0,
            size: header.isCompressed ? header.uncompressedSize : body.count, levels: levels, in: file.memory)
        guard levels <= bytes.count else { throw PageBytes.cutOff }
        let repetitions =
            leaf.maximumRepetition > 0
            ? try LevelDecoder(bytes, 0..<repetition, width: LevelDecoder.width(for: leaf.maximumRepetition)) : nil
        let definitions =
            leaf.maximumDefinition > 0
            ? try LevelDecoder(bytes, repetition..<levels, width: LevelDecoder.width(for: leaf.maximumDefinition)) : nil
        return try page(header, bytes, levels, repetitions, definitions)
    }

    private func page(
        _ header: ParquetPageHeader, _ bytes: PageBytes, _ start: Int, _ repetitions: LevelDecoder?,
        _ definitions: LevelDecoder?
    ) throws -> Page {
        let values: PageValues
        // A page of nulls alone may hold nothing at all behind its levels.
        if start >= bytes.count, definitions != nil {
            values = PageValues("none")
        } else {
            values = try PageValues.make(
                encoding: header.encoding, type: leaf.type, length: leaf.length, bytes, start..<bytes.count,
                dictionary: dictionary)
        }
        return Page(
            left: header.values, repetitions: repetitions, definitions: definitions, values: values, bytes: bytes.count)
    }

    // MARK: Entries

    /// The levels of the entry ahead; nil at the column's end or, within a row, at the end of what is held.
    @inline(__always)
    func peek() throws -> (definition: Int, repetition: Int)? {
        if hasAhead { return (aheadDefinition, aheadRepetition) }
        if current < pages.count, pages[current].left == 0 { dropPage() }
        guard current < pages.count else { return nil }
        // A level that can only be 0 has no decoder.
        if leaf.maximumRepetition > 0 { aheadRepetition = try pages[current].repetitions?.next() ?? 0 }
        if leaf.maximumDefinition > 0 { aheadDefinition = try pages[current].definitions?.next() ?? 0 }
        guard aheadRepetition <= leaf.maximumRepetition, aheadDefinition <= leaf.maximumDefinition else {
            throw BrokenObject(reason: "column \(leaf.name) holds levels that its schema does not have")
        }
        hasAhead = true
        return (aheadDefinition, aheadRepetition)
    }

    /// Lets go of the current page. In all O(pages), however many one row has.
    private func dropPage() {
        bytesHeld -= pages[current].bytes
        current += 1
        guard current * 2 >= pages.count else { return }
        pages.removeFirst(current)
        current = 0
    }

    /// The entry ahead must be there.
    @inline(__always)
    func entry() throws -> (definition: Int, repetition: Int) {
        guard let entry = try peek() else {
            throw BrokenObject(reason: "column \(leaf.name) has fewer values than its levels say")
        }
        return entry
    }

    /// Takes the entry ahead. Its value, if it has one, is the next of `values`.
    @inline(__always)
    func take() {
        hasAhead = false
        pages[current].left -= 1
        if aheadRepetition == 0 { rowsHeld -= 1 }
    }

    /// The values of the page that the entry ahead lies in.
    var values: PageValues { pages[current].values }
}
