/// DELTA_BINARY_PACKED: whole numbers as bit-packed differences. Decodes one number at a time.
struct DeltaDecoder {
    /// parquet-mr writes 128; nobody writes blocks near this.
    private static let maximumBlock = 1 << 20

    private let page: PageBytes
    private let end: Int
    private let valuesPerMini: Int
    private let minis: Int
    /// Numbers in all.
    let count: Int

    private var at: Int
    private var given = 0
    private var last: Int64
    private var minimumDelta: Int64 = 0
    private var widths = 0
    private var mini: Int
    private var inMini: Int
    private var width = 0
    private var bit = 0

    init(_ page: PageBytes, at start: Int, end: Int) throws {
        self.page = page
        self.end = min(end, page.count)
        at = start
        let block = try page.varint(&at, end: self.end)
        let minis = try page.varint(&at, end: self.end)
        let count = try page.varint(&at, end: self.end)
        last = try page.zigzag(&at, end: self.end)
        guard block > 0, block <= UInt64(Self.maximumBlock), minis > 0, minis <= block, block % minis == 0,
            block / minis % 8 == 0, count <= UInt64(Int32.max)
        else { throw BrokenObject(reason: "a page holds differences in blocks that can't be") }
        self.minis = Int(minis)
        self.count = Int(count)
        valuesPerMini = Int(block / minis)
        mini = self.minis
        inMini = valuesPerMini
    }

    mutating func next() throws -> Int64 {
        guard given < count else { throw PageBytes.cutOff }
        given += 1
        guard given > 1 else { return last }
        if inMini == valuesPerMini { try nextMini() }
        let delta = Int64(bitPattern: try page.bits(at: bit, width: width, end: end))
        bit += width
        inMini += 1
        last = last &+ minimumDelta &+ delta
        return last
    }

    /// Steps to the next miniblock, and to the next block behind the last one.
    private mutating func nextMini() throws {
        mini += 1
        if mini >= minis {
            minimumDelta = try page.zigzag(&at, end: end)
            widths = at
            at += minis
            mini = 0
        }
        width = Int(try page.load(UInt8.self, at: widths + mini))
        guard width <= 64, widths + minis <= end else {
            throw BrokenObject(reason: "a page holds differences of \(width) bits")
        }
        bit = at * 8
        at += width * valuesPerMini / 8
        inMini = 0
    }

    /// Where the numbers end and what follows them begins. O(blocks).
    func endOfNumbers() throws -> Int {
        var copy = self
        var left = count - 1
        while left > 0 {
            try copy.nextMini()
            left -= valuesPerMini
        }
        guard copy.at <= end else { throw PageBytes.cutOff }
        return copy.at
    }
}
