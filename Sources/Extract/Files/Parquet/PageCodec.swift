internal import CBrotli
internal import CLZ4
internal import CSnappy
internal import CZlib
internal import CZstd

/// Unpacks pages. The size a page unpacks to is claimed by its header and bounded; what comes out must be exactly that.
enum PageCodec {
    static let names = [
        0: "UNCOMPRESSED", 1: "SNAPPY", 2: "GZIP", 3: "LZO", 4: "BROTLI", 5: "LZ4", 6: "ZSTD", 7: "LZ4_RAW",
    ]

    /// The most a page may unpack to. Writers make pages of 1 MiB, DuckDB of up to 100 MiB.
    static let maximumSize = 256 << 20

    /// - Parameters:
    ///   - levels: bytes at the front that are not compressed (pages v2).
    ///   - memory: where the page is counted.
    static func unpack(
        _ bytes: ArraySlice<UInt8>, codec: Int, size: Int, levels: Int = 0, in memory: PageMemory
    ) throws -> PageBytes {
        guard size >= 0, size <= maximumSize else {
            throw BrokenObject(reason: "a page claims to unpack to \(size) bytes; the most is \(maximumSize >> 20) MiB")
        }
        guard codec != 0 else {
            guard bytes.count == size else { throw wrongSize }
            return try PageBytes(bytes, in: memory)
        }
        guard levels >= 0, levels <= bytes.count, levels <= size else { throw PageBytes.cutOff }
        return try PageBytes(count: size, in: memory) { target in
            target.copyBytes(from: bytes.prefix(levels))
            let rest = UnsafeMutableRawBufferPointer(rebasing: target[levels...])
            guard !rest.isEmpty else { return }
            try bytes.dropFirst(levels).withUnsafeBytes { try unpack($0, codec: codec, into: rest) }
        }
    }

    private static func unpack(
        _ source: UnsafeRawBufferPointer, codec: Int, into target: UnsafeMutableRawBufferPointer
    ) throws {
        guard let input = source.baseAddress, let output = target.baseAddress else { throw wrongSize }
        let bytes = input.assumingMemoryBound(to: CChar.self)
        let room = output.assumingMemoryBound(to: CChar.self)
        switch codec {
        case 1:
            var length = 0
            guard snappy_uncompressed_length(bytes, source.count, &length) == SNAPPY_OK, length == target.count,
                snappy_uncompress(bytes, source.count, room, &length) == SNAPPY_OK, length == target.count
            else { throw damaged(codec) }
        case 2: try inflate(source, into: target)
        case 4:
            var length = target.count
            let result = BrotliDecoderDecompress(
                source.count, input.assumingMemoryBound(to: UInt8.self), &length,
                output.assumingMemoryBound(to: UInt8.self))
            guard result == BROTLI_DECODER_RESULT_SUCCESS, length == target.count else { throw damaged(codec) }
        case 5: try unpackHadoop(source, into: target)
        case 6:
            let length = ZSTD_decompress(output, target.count, input, source.count)
            guard ZSTD_isError(length) == 0, length == target.count else { throw damaged(codec) }
        case 7:
            guard source.count <= Int(CInt.max) else { throw damaged(codec) }
            let length = LZ4_decompress_safe(bytes, room, CInt(source.count), CInt(target.count))
            guard Int(length) == target.count else { throw damaged(codec) }
        default:
            throw BrokenObject(reason: "it is compressed with \(names[codec] ?? "codec \(codec)"), which can't be read")
        }
    }

    /// gzip or zlib, of one member or several.
    private static func inflate(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws {
        var stream = z_stream()
        // 32: both frames are known by their first bytes (zlib.h).
        guard inflateInit2_(&stream, 32 + MAX_WBITS, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw damaged(2)
        }
        defer { inflateEnd(&stream) }
        // zlib does not write through next_in.
        stream.next_in = UnsafeMutablePointer(
            mutating: source.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.avail_in = UInt32(source.count)
        stream.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.avail_out = UInt32(target.count)
        while true {
            guard CZlib.inflate(&stream, Z_FINISH) == Z_STREAM_END else { throw damaged(2) }
            if stream.avail_out == 0 { return }
            guard stream.avail_in > 0, inflateReset(&stream) == Z_OK else { throw damaged(2) }
        }
    }

    /// The deprecated LZ4 is Hadoop's framing of LZ4 blocks: the sizes of both forms, big-endian, before each block.
    private static func unpackHadoop(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws {
        var (at, out) = (0, 0)
        while at + 8 <= source.count, out < target.count {
            let size = Int(UInt32(bigEndian: source.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            let packed = Int(UInt32(bigEndian: source.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self)))
            at += 8
            guard packed <= source.count - at, size <= target.count - out, packed <= Int(CInt.max),
                let input = source.baseAddress, let output = target.baseAddress
            else { throw damaged(5) }
            let length = LZ4_decompress_safe(
                (input + at).assumingMemoryBound(to: CChar.self), (output + out).assumingMemoryBound(to: CChar.self),
                CInt(packed), CInt(size))
            guard Int(length) == size else { throw damaged(5) }
            at += packed
            out += size
        }
        guard out == target.count else { throw damaged(5) }
    }

    private static let wrongSize = BrokenObject(reason: "a page is not as long as its header says")

    private static func damaged(_ codec: Int) -> BrokenObject {
        BrokenObject(reason: "a page compressed with \(names[codec] ?? "codec \(codec)") is damaged")
    }
}
