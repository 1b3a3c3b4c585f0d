internal import CZlib

/// gzip (RFC 1952) of any number of members; zeros behind the last one are padding.
final class GzipDecoder: ByteDecoder {
    private var stream = z_stream()
    private var input: [UInt8] = []
    private var position = 0
    private var limit = RatioLimit.ofText
    /// Between two members, or behind the last.
    private var isAtMemberStart = true
    private var isFirstMember = true
    /// The output was filled to its end: there may be more without any input.
    private var mayHaveMore = false

    init() throws {
        // 16: gzip's frame is expected and checked, its CRC too (zlib.h).
        let code = inflateInit2_(
            &stream, 16 + MAX_WBITS, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size))
        guard code == Z_OK else { throw BrokenObject(reason: "there is no memory to unpack it") }
    }

    deinit { inflateEnd(&stream) }

    func feed(_ chunk: [UInt8]) {
        input = chunk
        position = 0
    }

    func next() throws -> [UInt8]? {
        if isAtMemberStart, !isFirstMember {
            while position < input.count, input[position] == 0 { position += 1 }
        }
        guard position < input.count || mayHaveMore else { return nil }
        isAtMemberStart = false
        var code = Z_OK
        let available = input.count - position
        var left = 0
        let piece = try [UInt8](unsafeUninitializedCapacity: ByteDecoders.pieceSize) { output, count in
            input.withUnsafeMutableBytes { bytes in
                let start = bytes.bindMemory(to: UInt8.self).baseAddress
                stream.next_in = start.map { $0 + position }
                stream.avail_in = UInt32(available)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                code = inflate(&stream, Z_NO_FLUSH)
                left = Int(stream.avail_in)
                // Neither pointer is used again after this call.
                stream.next_in = nil
                stream.next_out = nil
            }
            count = output.count - Int(stream.avail_out)
            mayHaveMore = code == Z_OK && stream.avail_out == 0
            try limit.count(in: available - left, out: count)
        }
        position = input.count - left
        switch code {
        case Z_OK, Z_BUF_ERROR: break
        case Z_STREAM_END:
            inflateReset(&stream)
            isAtMemberStart = true
            isFirstMember = false
        default:
            let detail = stream.msg.map { String(cString: $0) } ?? "code \(code)"
            throw BrokenObject(
                reason: isFirstMember && limit.bytesOut == 0
                    ? "it is no gzip file (\(detail))" : "its gzip stream is damaged (\(detail))")
        }
        return piece.isEmpty && position >= input.count ? nil : piece
    }

    func finish() throws {
        guard isAtMemberStart, !isFirstMember else { throw BrokenObject(reason: "its gzip stream is cut off") }
    }
}
