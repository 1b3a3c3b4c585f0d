internal import CDeflate
internal import Transport

/// Compresses request bodies; one compressor, used again for every body.
// @unchecked Sendable: one packer owns it and uses it from one read at a time.
final class Gzip: @unchecked Sendable {
    /// Level 1 is twice as fast as zlib's and no larger; a slower level would be the bottleneck of shipping.
    private static let level: CInt = 1

    // Acquired in init, freed in deinit, never lent.
    private let compressor: OpaquePointer

    /// Nil if there is no memory for it.
    init?() {
        guard let compressor = libdeflate_alloc_compressor(Self.level) else { return nil }
        self.compressor = compressor
    }

    deinit { libdeflate_free_compressor(compressor) }

    /// The same bytes for the same input, always. Nil if it would not get smaller.
    func compress(_ input: UnsafeRawBufferPointer) -> HTTPBody? {
        guard let source = input.baseAddress, input.count > 64 else { return nil }
        let bound = input.count
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: bound, alignment: 16)
        guard let start = target.baseAddress else { return nil }
        let length = libdeflate_gzip_compress(compressor, source, input.count, start, bound)
        defer { target.deallocate() }
        guard length > 0 else { return nil }
        return HTTPBody(copying: UnsafeRawBufferPointer(start: start, count: length))
    }
}
