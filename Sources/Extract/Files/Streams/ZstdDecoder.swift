internal import CZstd

/// Zstandard (RFC 8878) of any number of frames.
final class ZstdDecoder: ByteDecoder {
    // Owned: made in init, freed in deinit, never lent.
    private let context: OpaquePointer
    private var input: [UInt8] = []
    private var position = 0
    private var limit = RatioLimit.ofText
    /// What the last call said is still to come of the frame; 0 between frames.
    private var isInFrame = false
    private var hasBegun = false
    /// The output was filled to its end: there may be more without any input.
    private var mayHaveMore = false

    init() throws {
        guard let context = ZSTD_createDCtx() else { throw BrokenObject(reason: "there is no memory to unpack it") }
        self.context = context
        // 128 MiB, the most that `zstd -d` takes by itself; larger windows would take that much memory (zstd.h).
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 27)
    }

    deinit { ZSTD_freeDCtx(context) }

    func feed(_ chunk: [UInt8]) {
        input = chunk
        position = 0
    }

    func next() throws -> [UInt8]? {
        guard position < input.count || mayHaveMore else { return nil }
        hasBegun = true
        var failure: String?
        let piece = try [UInt8](unsafeUninitializedCapacity: ByteDecoders.pieceSize) { output, count in
            try input.withUnsafeBytes { bytes in
                var source = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: position)
                var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
                let code = ZSTD_decompressStream(context, &target, &source)
                if ZSTD_isError(code) != 0 {
                    failure = String(cString: ZSTD_getErrorName(code))
                } else {
                    isInFrame = code != 0
                    mayHaveMore = target.pos == target.size
                }
                count = target.pos
                try limit.count(in: source.pos - position, out: target.pos)
                position = source.pos
            }
        }
        if let failure {
            throw BrokenObject(
                reason: limit.bytesOut == 0
                    ? "it is no zstd file that can be read (\(failure))" : "its zstd stream is damaged (\(failure))")
        }
        return piece.isEmpty && position >= input.count ? nil : piece
    }

    func finish() throws {
        guard hasBegun, !isInFrame else { throw BrokenObject(reason: "its zstd stream is cut off") }
    }
}
