/// Counts the memory of all pages of a file that are held at once, and bounds it: a few bytes may claim to be a large page in every column.
///
/// Not `Sendable`: the one read of a file owns it.
final class PageMemory {
    /// A thousand columns with pages of 1 MiB, which is what writers make.
    static let most = 1 << 30

    private let most: Int
    private var held = 0

    init(most: Int = PageMemory.most) { self.most = most }

    fileprivate func take(_ count: Int) throws {
        guard count <= most - held else {
            throw BrokenObject(reason: "its pages take more than \(most >> 20) MiB at once")
        }
        held += count
    }

    fileprivate func give(_ count: Int) { held -= count }
}

/// The bytes of one page, read only inside their bounds.
final class PageBytes {
    // Owned: allocated in init, freed in deinit, lent only as checked loads and to what runs before they return.
    private let base: UnsafeMutableRawPointer
    let count: Int
    private let memory: PageMemory

    /// - Parameter fill: writes the bytes; it must fill all of them.
    init(count: Int, in memory: PageMemory, _ fill: (UnsafeMutableRawBufferPointer) throws -> Void) throws {
        try memory.take(count)
        self.memory = memory
        base = UnsafeMutableRawPointer.allocate(byteCount: max(count, 8), alignment: 8)
        self.count = count
        // Where it throws, all properties are set: deinit frees the memory.
        try fill(UnsafeMutableRawBufferPointer(start: base, count: count))
    }

    convenience init(_ bytes: ArraySlice<UInt8>, in memory: PageMemory) throws {
        try self.init(count: bytes.count, in: memory) { $0.copyBytes(from: bytes) }
    }

    deinit {
        base.deallocate()
        memory.give(count)
    }

    @inline(__always)
    func load<Value: BitwiseCopyable>(_ type: Value.Type, at offset: Int) throws -> Value {
        guard offset >= 0, offset <= count - MemoryLayout<Value>.size else { throw Self.cutOff }
        return base.loadUnaligned(fromByteOffset: offset, as: type)
    }

    /// Lent until the page is let go.
    @inline(__always)
    func bytes(_ offset: Int, _ length: Int) throws -> UnsafeRawBufferPointer {
        guard offset >= 0, length >= 0, length <= count - offset else { throw Self.cutOff }
        return UnsafeRawBufferPointer(start: base + offset, count: length)
    }

    /// A varint at `at`, which moves behind it; not beyond `end`.
    func varint(_ at: inout Int, end: Int) throws -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard at < end else { throw Self.cutOff }
            let next = try load(UInt8.self, at: at)
            at += 1
            result |= UInt64(next & 0x7F) << shift
            if next & 0x80 == 0 { return result }
        }
        throw BrokenObject(reason: "a page holds a number that does not end")
    }

    func zigzag(_ at: inout Int, end: Int) throws -> Int64 {
        let raw = try varint(&at, end: end)
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }

    /// `width` bits (at most 64) from a bit offset on, the least significant first; not beyond the byte `end`.
    @inline(__always)
    func bits(at bit: Int, width: Int, end: Int) throws -> UInt64 {
        guard width > 0 else { return 0 }
        let byte = bit >> 3
        let shift = bit & 7
        guard byte >= 0, (bit + width + 7) >> 3 <= end, end <= count else { throw Self.cutOff }
        let mask = width == 64 ? UInt64.max : (1 << UInt64(width)) - 1
        if byte + 8 <= count, shift + width <= 64 {
            return base.loadUnaligned(fromByteOffset: byte, as: UInt64.self) >> UInt64(shift) & mask
        }
        var result: UInt64 = 0
        var got = -shift
        var index = byte
        while got < width {
            let next = UInt64(base.load(fromByteOffset: index, as: UInt8.self))
            result |= got < 0 ? next >> UInt64(-got) : next << UInt64(got)
            got += 8
            index += 1
        }
        return result & mask
    }

    static let cutOff = BrokenObject(reason: "a page is cut off")
}
