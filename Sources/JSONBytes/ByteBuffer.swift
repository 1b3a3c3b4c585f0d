/// Growable bytes that are appended to and read in place, without a copy-on-write check per append.
///
/// One owner at a time: the buffer is not `Sendable`. `removeAll()` keeps the memory, so that one buffer serves a whole stream of rows.
package final class ByteBuffer {
    package private(set) var base: UnsafeMutablePointer<UInt8>
    package private(set) var count = 0
    package private(set) var capacity: Int

    package init(capacity: Int = 4096) {
        self.capacity = max(capacity, 64)
        base = UnsafeMutablePointer<UInt8>.allocate(capacity: self.capacity)
    }

    deinit { base.deallocate() }

    /// Valid until the next append; lent, never stored.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    package var array: [UInt8] { [UInt8](bytes) }

    /// For messages and tests; invalid UTF-8 is repaired, so never for data.
    package var string: String { String(decoding: bytes, as: UTF8.self) }

    package func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside of the buffer")
        return UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    }

    package func removeAll() { count = 0 }

    /// Shortens the buffer; a count beyond the present one changes nothing.
    package func truncate(to newCount: Int) { count = min(count, max(0, newCount)) }

    /// Drops bytes at the front and moves the rest down. O(remaining bytes).
    package func removeFirst(_ dropped: Int) {
        precondition(dropped >= 0 && dropped <= count, "more than there is")
        base.update(from: base + dropped, count: count - dropped)
        count -= dropped
    }

    /// Gives back memory that one unusually large value took.
    package func shrink(to limit: Int) {
        guard capacity > limit, count <= limit else { return }
        let smaller = UnsafeMutablePointer<UInt8>.allocate(capacity: limit)
        smaller.update(from: base, count: count)
        base.deallocate()
        base = smaller
        capacity = limit
    }

    @inline(__always)
    package func reserve(_ more: Int) {
        if count + more > capacity { grow(more) }
    }

    @inline(never)
    private func grow(_ more: Int) {
        let larger = max(capacity * 2, count + more)
        let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        moved.update(from: base, count: count)
        base.deallocate()
        base = moved
        capacity = larger
    }

    @inline(__always)
    package func append(_ byte: UInt8) {
        reserve(1)
        base[count] = byte
        count += 1
    }

    @inline(__always)
    package func append(_ source: UnsafePointer<UInt8>, count length: Int) {
        reserve(length)
        (base + count).update(from: source, count: length)
        count += length
    }

    package func append(_ source: UnsafeRawBufferPointer) {
        guard let start = source.baseAddress, !source.isEmpty else { return }
        append(start.assumingMemoryBound(to: UInt8.self), count: source.count)
    }

    package func append(_ source: [UInt8]) { source.withUnsafeBytes { append($0) } }

    package func append(_ text: StaticString) { append(text.utf8Start, count: text.utf8CodeUnitCount) }

    package func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    package func append(_ other: ByteBuffer) { append(other.base, count: other.count) }

    /// Overwrites bytes that are already there.
    package func replace(at offset: Int, with source: UnsafeRawBufferPointer) {
        precondition(offset >= 0 && offset + source.count <= count, "range outside of the buffer")
        UnsafeMutableRawBufferPointer(start: base + offset, count: source.count).copyMemory(from: source)
    }
}
