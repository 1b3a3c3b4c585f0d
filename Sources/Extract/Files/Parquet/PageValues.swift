internal import JSONBytes

/// The values of one page, one after another, as they are stored. Nulls are not among them.
///
/// A subclass per encoding gives the types that it fits; the others are refused.
class PageValues {
    fileprivate let encodingName: String

    init(_ encodingName: String) { self.encodingName = encodingName }

    func nextBool() throws -> Bool { throw misfit("booleans") }
    func nextInt32() throws -> Int32 { throw misfit("32-bit integers") }
    func nextInt64() throws -> Int64 { throw misfit("64-bit integers") }
    func nextFloat() throws -> Float { throw misfit("floats") }
    func nextDouble() throws -> Double { throw misfit("doubles") }
    /// Of any other type. Valid until the next call.
    func nextBytes() throws -> UnsafeRawBufferPointer { throw misfit("byte arrays") }

    private func misfit(_ type: String) -> BrokenObject {
        BrokenObject(reason: "a page holds \(type) in the encoding \(encodingName), which is not for them")
    }

    /// - Parameter range: where the values are.
    static func make(
        encoding: Int, type: ParquetType, length: Int, _ page: PageBytes, _ range: Range<Int>,
        dictionary: ParquetDictionary?
    ) throws -> PageValues {
        switch encoding {
        case 0: return PlainValues(page, range, length: type == .int96 ? 12 : type == .fixed ? length : nil)
        case 2, 8:
            guard let dictionary else { throw BrokenObject(reason: "a page refers to a dictionary that is not there") }
            return try DictionaryValues(page, range, dictionary)
        case 3:
            guard type == .boolean else {
                throw BrokenObject(reason: "a page holds \(type) values in the encoding RLE")
            }
            let length = Int(try page.load(UInt32.self, at: range.lowerBound).littleEndian)
            let start = range.lowerBound + 4
            return try RunLengthBooleans(page, start..<min(start + length, range.upperBound))
        case 5: return try DeltaIntegers(page, range)
        case 6: return try DeltaLengthBytes(page, range)
        case 7: return try DeltaBytes(page, range)
        case 9: return try SplitValues(page, range, type: type, length: length)
        default:
            throw BrokenObject(
                reason: "a page has the encoding \(names[encoding] ?? String(encoding)), which can't be read")
        }
    }

    private static let names = [1: "GROUP_VAR_INT", 4: "BIT_PACKED"]
}

/// PLAIN.
final class PlainValues: PageValues {
    private let page: PageBytes
    private var at: Int
    private let end: Int
    /// Bytes of a value of fixed length.
    private let length: Int?
    private var bit = 0

    init(_ page: PageBytes, _ range: Range<Int>, length: Int?) {
        self.page = page
        at = range.lowerBound
        end = min(range.upperBound, page.count)
        self.length = length
        super.init("PLAIN")
    }

    @inline(__always)
    private func take<Value: BitwiseCopyable>(_ type: Value.Type) throws -> Value {
        guard at + MemoryLayout<Value>.size <= end else { throw PageBytes.cutOff }
        defer { at += MemoryLayout<Value>.size }
        return try page.load(type, at: at)
    }

    override func nextBool() throws -> Bool {
        guard at + bit >> 3 < end else { throw PageBytes.cutOff }
        defer { bit += 1 }
        return try page.load(UInt8.self, at: at + bit >> 3) >> UInt8(bit & 7) & 1 == 1
    }

    override func nextInt32() throws -> Int32 { try take(Int32.self) }
    override func nextInt64() throws -> Int64 { try take(Int64.self) }
    override func nextFloat() throws -> Float { try take(Float.self) }
    override func nextDouble() throws -> Double { try take(Double.self) }

    override func nextBytes() throws -> UnsafeRawBufferPointer {
        let count = try length ?? Int(take(UInt32.self))
        guard count <= end - at else { throw PageBytes.cutOff }
        defer { at += count }
        return try page.bytes(at, count)
    }
}

/// The values that a column chunk's pages refer to by number.
final class ParquetDictionary {
    fileprivate let page: PageBytes
    fileprivate let count: Int
    /// Where each value lies; empty for values of fixed length.
    fileprivate var places: [(start: Int32, length: Int32)] = []
    fileprivate let width: Int

    init(_ page: PageBytes, type: ParquetType, length: Int, count: Int) throws {
        self.page = page
        self.count = count
        switch type {
        case .boolean: throw BrokenObject(reason: "a dictionary holds booleans")
        case .int32, .float: width = 4
        case .int64, .double: width = 8
        case .int96: width = 12
        case .fixed: width = length
        case .byteArray: width = 0
        }
        guard count >= 0 else { throw BrokenObject(reason: "a dictionary has a negative number of values") }
        guard type == .byteArray else {
            guard width == 0 || count <= page.count / width else { throw PageBytes.cutOff }
            return
        }
        guard count <= page.count / 4 else { throw PageBytes.cutOff }
        places.reserveCapacity(count)
        var at = 0
        for _ in 0..<count {
            let length = Int(try page.load(UInt32.self, at: at))
            _ = try page.bytes(at + 4, length)
            places.append((Int32(at + 4), Int32(length)))
            at += 4 + length
        }
    }
}

/// PLAIN_DICTIONARY and RLE_DICTIONARY.
final class DictionaryValues: PageValues {
    private let dictionary: ParquetDictionary
    private var indexes: LevelDecoder

    init(_ page: PageBytes, _ range: Range<Int>, _ dictionary: ParquetDictionary) throws {
        self.dictionary = dictionary
        // A page of nothing but nulls may have no bytes at all.
        let width = range.isEmpty ? 0 : Int(try page.load(UInt8.self, at: range.lowerBound))
        indexes = try LevelDecoder(page, min(range.lowerBound + 1, range.upperBound)..<range.upperBound, width: width)
        super.init("RLE_DICTIONARY")
    }

    @inline(__always)
    private func index() throws -> Int {
        let index = try indexes.next()
        guard index < dictionary.count else {
            throw BrokenObject(reason: "a page refers to value \(index) of a dictionary of \(dictionary.count)")
        }
        return index
    }

    override func nextInt32() throws -> Int32 { try dictionary.page.load(Int32.self, at: index() * 4) }
    override func nextInt64() throws -> Int64 { try dictionary.page.load(Int64.self, at: index() * 8) }
    override func nextFloat() throws -> Float { try dictionary.page.load(Float.self, at: index() * 4) }
    override func nextDouble() throws -> Double { try dictionary.page.load(Double.self, at: index() * 8) }

    override func nextBytes() throws -> UnsafeRawBufferPointer {
        let index = try index()
        guard !dictionary.places.isEmpty else {
            return try dictionary.page.bytes(index * dictionary.width, dictionary.width)
        }
        let place = dictionary.places[index]
        return try dictionary.page.bytes(Int(place.start), Int(place.length))
    }
}

/// RLE of booleans.
final class RunLengthBooleans: PageValues {
    private var runs: LevelDecoder

    init(_ page: PageBytes, _ range: Range<Int>) throws {
        runs = try LevelDecoder(page, range, width: 1)
        super.init("RLE")
    }

    override func nextBool() throws -> Bool { try runs.next() != 0 }
}

/// DELTA_BINARY_PACKED.
final class DeltaIntegers: PageValues {
    private var numbers: DeltaDecoder

    init(_ page: PageBytes, _ range: Range<Int>) throws {
        numbers = try DeltaDecoder(page, at: range.lowerBound, end: range.upperBound)
        super.init("DELTA_BINARY_PACKED")
    }

    override func nextInt32() throws -> Int32 { Int32(truncatingIfNeeded: try numbers.next()) }
    override func nextInt64() throws -> Int64 { try numbers.next() }
}

/// DELTA_LENGTH_BYTE_ARRAY: all lengths, then all bytes.
final class DeltaLengthBytes: PageValues {
    private let page: PageBytes
    private var lengths: DeltaDecoder
    private var at: Int
    private let end: Int

    init(_ page: PageBytes, _ range: Range<Int>) throws {
        self.page = page
        lengths = try DeltaDecoder(page, at: range.lowerBound, end: range.upperBound)
        at = try lengths.endOfNumbers()
        end = min(range.upperBound, page.count)
        super.init("DELTA_LENGTH_BYTE_ARRAY")
    }

    override func nextBytes() throws -> UnsafeRawBufferPointer {
        let length = try lengths.next()
        guard length >= 0, length <= end - at else { throw PageBytes.cutOff }
        defer { at += Int(length) }
        return try page.bytes(at, Int(length))
    }
}

/// DELTA_BYTE_ARRAY: how much of the value before is kept, and what comes behind.
final class DeltaBytes: PageValues {
    /// A value that grows by its prefixes may not outgrow this.
    private static let maximumLength = 64 << 20

    private var prefixes: DeltaDecoder
    private let suffixes: DeltaLengthBytes
    private let value = ByteBuffer(capacity: 256)

    init(_ page: PageBytes, _ range: Range<Int>) throws {
        prefixes = try DeltaDecoder(page, at: range.lowerBound, end: range.upperBound)
        suffixes = try DeltaLengthBytes(page, try prefixes.endOfNumbers()..<range.upperBound)
        super.init("DELTA_BYTE_ARRAY")
    }

    override func nextBytes() throws -> UnsafeRawBufferPointer {
        let prefix = try prefixes.next()
        guard prefix >= 0, prefix <= value.count else {
            throw BrokenObject(reason: "a page holds a value that begins with more than the one before has")
        }
        value.truncate(to: Int(prefix))
        value.append(try suffixes.nextBytes())
        guard value.count <= Self.maximumLength else { throw BrokenObject(reason: "a value is too long") }
        return value.bytes
    }
}

/// BYTE_STREAM_SPLIT: the first bytes of all values, then the second ones, and so on.
final class SplitValues: PageValues {
    private let page: PageBytes
    private let start: Int
    private let count: Int
    private let width: Int
    private var index = 0
    private let value = ByteBuffer(capacity: 64)

    init(_ page: PageBytes, _ range: Range<Int>, type: ParquetType, length: Int) throws {
        self.page = page
        start = range.lowerBound
        switch type {
        case .int32, .float: width = 4
        case .int64, .double: width = 8
        case .fixed where length > 0: width = length
        default: throw BrokenObject(reason: "a page holds \(type) values in the encoding BYTE_STREAM_SPLIT")
        }
        count = range.count / width
        super.init("BYTE_STREAM_SPLIT")
    }

    private func gather() throws {
        guard index < count else { throw PageBytes.cutOff }
        value.removeAll()
        for part in 0..<width { value.append(try page.load(UInt8.self, at: start + part * count + index)) }
        index += 1
    }

    private func next<Value: BitwiseCopyable>(_ type: Value.Type) throws -> Value {
        try gather()
        return value.bytes.loadUnaligned(as: type)
    }

    override func nextInt32() throws -> Int32 { try next(Int32.self) }
    override func nextInt64() throws -> Int64 { try next(Int64.self) }
    override func nextFloat() throws -> Float { try next(Float.self) }
    override func nextDouble() throws -> Double { try next(Double.self) }

    override func nextBytes() throws -> UnsafeRawBufferPointer {
        try gather()
        return value.bytes
    }
}
