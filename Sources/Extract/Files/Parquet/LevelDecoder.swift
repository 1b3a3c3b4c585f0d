/// Runs of equal numbers and bit-packed groups (Parquet's "RLE/bit-packing hybrid"): levels, dictionary indexes, booleans. Decodes one
/// number at a time, so that what a page claims to hold costs nothing before it is there.
struct LevelDecoder {
    private let page: PageBytes
    private let end: Int
    private let width: Int
    private var at: Int
    private var left = 0
    private var value: UInt32 = 0
    /// Bit offset of the next packed number; nil in a run of equal ones.
    private var bit: Int?
    /// The older packing of levels, without runs and with the most significant bit first.
    private let isLegacy: Bool

    /// - Parameter width: bits of a number, at most 32.
    init(_ page: PageBytes, _ range: Range<Int>, width: Int) throws {
        guard width <= 32 else { throw BrokenObject(reason: "a page holds numbers of \(width) bits") }
        self.page = page
        end = min(range.upperBound, page.count)
        at = range.lowerBound
        self.width = width
        isLegacy = false
    }

    init(legacy page: PageBytes, _ range: Range<Int>, width: Int) {
        self.page = page
        end = min(range.upperBound, page.count)
        at = range.lowerBound
        self.width = width
        bit = range.lowerBound * 8
        left = .max
        isLegacy = true
    }

    /// Bits that hold numbers up to `maximum`.
    static func width(for maximum: Int) -> Int { Int.bitWidth - max(maximum, 0).leadingZeroBitCount }

    @inline(__always)
    mutating func next() throws -> Int {
        guard width > 0 else { return 0 }
        while left == 0 { try nextRun() }
        left -= 1
        guard let bit else { return Int(value) }
        self.bit = bit + width
        if isLegacy { return try legacyBits(bit) }
        return Int(try page.bits(at: bit, width: width, end: end))
    }

    private func legacyBits(_ bit: Int) throws -> Int {
        var result = 0
        for index in bit..<bit + width {
            guard index >> 3 < end else { throw PageBytes.cutOff }
            let byte = try page.load(UInt8.self, at: index >> 3)
            result = result << 1 | Int(byte >> UInt8(7 - index & 7) & 1)
        }
        return result
    }

    private mutating func nextRun() throws {
        let header = try page.varint(&at, end: end)
        guard header >> 1 <= UInt64(Int32.max) else {
            throw BrokenObject(reason: "a page holds a run that is too long")
        }
        if header & 1 == 1 {
            let groups = Int(header >> 1)
            bit = at * 8
            left = groups * 8
            at += groups * width
        } else {
            bit = nil
            left = Int(header >> 1)
            let bytes = (width + 7) / 8
            guard at + bytes <= end else { throw PageBytes.cutOff }
            value = 0
            for index in 0..<bytes { value |= UInt32(try page.load(UInt8.self, at: at + index)) << UInt32(8 * index) }
            at += bytes
        }
    }

    /// How many of the next `count` numbers are zero. O(runs) for runs of equal numbers.
    func zeros(in count: Int) throws -> Int {
        guard width > 0 else { return count }
        var copy = self
        var rest = count
        var zeros = 0
        while rest > 0 {
            while copy.left == 0 { try copy.nextRun() }
            if copy.bit == nil {
                let step = min(rest, copy.left)
                if copy.value == 0 { zeros += step }
                copy.left -= step
                rest -= step
            } else {
                if try copy.next() == 0 { zeros += 1 }
                rest -= 1
            }
        }
        return zeros
    }
}
