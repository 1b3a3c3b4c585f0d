/// Growable bytes that are appended to and read in place, without a copy-on-write check per append.
///
/// One owner at a time: the buffer is not `Sendable`. `removeAll()` keeps the memory, so that one buffer serves a whole stream of rows.
///
/// It is `public`, as is `JSONReader`, because the compiler inlines nothing of `package` into another module, `@inlinable` or not: a call for
/// every byte took a twentieth of an extraction.
public final class ByteBuffer {
    @usableFromInline
    struct State {
        @usableFromInline var base: UnsafeMutablePointer<UInt8>
        @usableFromInline var count: Int
        @usableFromInline var capacity: Int
    }

    // Behind a pointer that this object alone owns: stored properties of a class would cost a run-time check of exclusive access for every
    // byte appended.
    @usableFromInline let state: UnsafeMutablePointer<State>

    /// The first byte; valid until the next append.
    @inlinable @inline(__always) public var base: UnsafeMutablePointer<UInt8> { state.pointee.base }
    /// Bytes held.
    @inlinable @inline(__always) public var count: Int { state.pointee.count }
    /// Bytes of memory held.
    public var capacity: Int { state.pointee.capacity }

    /// An empty buffer with room for so many bytes.
    public init(capacity: Int = 4096) {
        let capacity = max(capacity, 64)
        state = UnsafeMutablePointer<State>.allocate(capacity: 1)
        state.initialize(
            to: State(base: UnsafeMutablePointer<UInt8>.allocate(capacity: capacity), count: 0, capacity: capacity))
    }

    deinit {
        state.pointee.base.deallocate()
        state.deallocate()
    }

    /// Valid until the next append; lent, never stored.
    @inlinable @inline(__always) public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base, count: count)
    }

    /// A copy.
    public var array: [UInt8] { [UInt8](bytes) }

    /// For messages and tests; invalid UTF-8 is repaired, so never for data.
    public var string: String { String(decoding: bytes, as: UTF8.self) }

    /// A part; valid until the next append.
    @inlinable @inline(__always)
    public func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside of the buffer")
        return UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    }

    /// Empties the buffer.
    @inlinable @inline(__always) public func removeAll() { state.pointee.count = 0 }

    /// Shortens the buffer; a count beyond the present one changes nothing.
    public func truncate(to newCount: Int) { state.pointee.count = min(count, max(0, newCount)) }

    /// Drops bytes at the front and moves the rest down. O(remaining bytes).
    public func removeFirst(_ dropped: Int) {
        precondition(dropped >= 0 && dropped <= count, "more than there is")
        base.update(from: base + dropped, count: count - dropped)
        state.pointee.count -= dropped
    }

    /// Gives back memory that one unusually large value took.
    public func shrink(to limit: Int) {
        guard state.pointee.capacity > limit, count <= limit else { return }
        move(toCapacity: limit)
    }

    private func move(toCapacity capacity: Int) {
        let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        moved.update(from: base, count: count)
        base.deallocate()
        state.pointee.base = moved
        state.pointee.capacity = capacity
    }

    /// Makes room for so many more bytes.
    @inlinable @inline(__always)
    public func reserve(_ more: Int) {
        if state.pointee.count + more > state.pointee.capacity { grow(more) }
    }

    @inline(never) @usableFromInline
    func grow(_ more: Int) { move(toCapacity: max(state.pointee.capacity * 2, count + more)) }

    /// Appends one byte.
    @inlinable @inline(__always)
    public func append(_ byte: UInt8) {
        reserve(1)
        state.pointee.base[state.pointee.count] = byte
        state.pointee.count += 1
    }

    /// Appends bytes that are not the buffer's own.
    @inlinable @inline(__always)
    public func append(_ source: UnsafePointer<UInt8>, count length: Int) {
        reserve(length)
        (state.pointee.base + state.pointee.count).update(from: source, count: length)
        state.pointee.count += length
    }

    /// Appends bytes that are not the buffer's own, unless there is room for them.
    @inlinable @inline(__always)
    public func append(_ source: UnsafeRawBufferPointer) {
        guard let start = source.baseAddress, !source.isEmpty else { return }
        append(start.assumingMemoryBound(to: UInt8.self), count: source.count)
    }

    /// Appends bytes.
    @inlinable
    public func append(_ source: [UInt8]) { source.withUnsafeBytes { append($0) } }

    /// Appends text in UTF-8.
    @inlinable @inline(__always)
    public func append(_ text: StaticString) { append(text.utf8Start, count: text.utf8CodeUnitCount) }

    /// Appends text in UTF-8.
    public func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends what another buffer holds.
    public func append(_ other: ByteBuffer) { append(other.base, count: other.count) }

    /// Overwrites bytes that are already there.
    public func replace(at offset: Int, with source: UnsafeRawBufferPointer) {
        precondition(offset >= 0 && offset + source.count <= count, "range outside of the buffer")
        UnsafeMutableRawBufferPointer(start: base + offset, count: source.count).copyMemory(from: source)
    }
}
