internal import CZlib
internal import HTTPServer
internal import JSONBytes

/// Decodes a gzip body into `output`.
///
/// - Returns: false if the bytes are no complete gzip stream. Decoding stops, with true, once `limit` bytes are passed: the caller refuses
///   the body by its size then.
func gunzip(_ input: UnsafeRawBufferPointer, into output: ByteBuffer, limit: Int) -> Bool {
    var stream = z_stream()
    // 15 + 16: the largest window, gzip header required (zlib manual, inflateInit2).
    guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
        return false
    }
    defer { inflateEnd(&stream) }
    guard let start = input.baseAddress else { return false }
    // zlib takes a mutable pointer but only reads what it points at.
    stream.next_in = UnsafeMutablePointer(mutating: start.assumingMemoryBound(to: UInt8.self))
    stream.avail_in = UInt32(input.count)
    return withUnsafeTemporaryAllocation(byteCount: 128 << 10, alignment: 16) { piece in
        guard let pieceStart = piece.baseAddress else { return false }
        while output.count <= limit {
            stream.next_out = pieceStart.assumingMemoryBound(to: UInt8.self)
            stream.avail_out = UInt32(piece.count)
            let result = inflate(&stream, Z_NO_FLUSH)
            guard result == Z_OK || result == Z_STREAM_END else { return false }
            output.append(
                UnsafeRawBufferPointer(
                    rebasing: UnsafeRawBufferPointer(piece)[..<(piece.count - Int(stream.avail_out))]))
            if result == Z_STREAM_END {
                guard stream.avail_in > 0 else { return true }
                // RFC 1952: a file may hold several members.
                guard inflateReset(&stream) == Z_OK else { return false }
            } else if stream.avail_in == 0, stream.avail_out > 0 {
                return false
            }
        }
        return true
    }
}

/// Compresses into one gzip member; nil if zlib refuses.
func gzip(_ input: [UInt8]) -> [UInt8]? {
    var stream = z_stream()
    // 15 + 16: the largest window, gzip header (zlib manual, deflateInit2).
    let opened = deflateInit2_(
        &stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard opened == Z_OK else { return nil }
    defer { deflateEnd(&stream) }
    var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(input.count))))
    let result = input.withUnsafeBufferPointer { source in
        output.withUnsafeMutableBufferPointer { target in
            // zlib takes a mutable pointer but only reads what it points at.
            stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
            stream.avail_in = UInt32(source.count)
            stream.next_out = target.baseAddress
            stream.avail_out = UInt32(target.count)
            return deflate(&stream, Z_FINISH)
        }
    }
    guard result == Z_STREAM_END else { return nil }
    return Array(output[..<Int(stream.total_out)])
}

extension HTTPResponse {
    /// Compressed, unless that is not worth it.
    var gzipped: HTTPResponse {
        guard body.count > 256, let compressed = gzip(body) else { return self }
        var result = self
        result.body = compressed
        result.headers.append(("Content-Encoding", "gzip"))
        return result
    }
}
