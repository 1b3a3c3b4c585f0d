internal import CZstd
internal import Dispatch
import Spool

#if canImport(Glibc)
    internal import Glibc
#endif

/// Where files are read, written and (un)packed instead of on Swift's threads.
enum FileWork {
    private static let queue = DispatchQueue(label: "etlctl.remote", attributes: .concurrent)

    static func remove(_ path: String) { unlink(path) }

    static func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result(catching: body)) }
        }
    }
}

/// Packs a file with zstd, part by part: memory does not grow with it.
// Unchecked: one task at a time asks for parts; descriptor and context are owned, acquired in init and freed in deinit.
final class CopyPacker: @unchecked Sendable {
    /// A part is what is uploaded in one request, and again when that fails.
    static let partBytes = 2 << 20
    private static let chunkBytes = 256 << 10

    private let path: String
    private let descriptor: Int32
    private let context: OpaquePointer
    private var chunk = [UInt8](repeating: 0, count: CopyPacker.chunkBytes)
    private var filled = 0
    private var position = 0
    private var isAtEnd = false
    private var isFinished = false

    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw SpoolError.unusable(path: path, reason: String(cString: strerror(errno)))
        }
        guard let context = ZSTD_createCCtx() else {
            close(descriptor)
            throw SpoolError.unusable(path: path, reason: "there is no memory to pack it")
        }
        self.context = context
        // A sum of what was packed ends the frame, and unpacking compares it.
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 3)
    }

    deinit {
        ZSTD_freeCCtx(context)
        close(descriptor)
    }

    /// The next part; nil after the last. All parts but the last have `partBytes`.
    func next() async throws -> [UInt8]? { try await FileWork.run { [self] in try pack() } }

    private func pack() throws -> [UInt8]? {
        guard !isFinished else { return nil }
        var failure: (any Error)?
        let part = [UInt8](unsafeUninitializedCapacity: Self.partBytes) { buffer, count in
            var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
            do {
                while output.pos < output.size, !isFinished { try packSome(&output) }
            } catch { failure = error }
            count = output.pos
        }
        if let failure { throw failure }
        return part.isEmpty ? nil : part
    }

    private func packSome(_ output: inout ZSTD_outBuffer) throws {
        if position == filled, !isAtEnd { try fill() }
        let left = chunk.withUnsafeBytes { bytes in
            var input = ZSTD_inBuffer(src: bytes.baseAddress, size: filled, pos: position)
            let code = ZSTD_compressStream2(context, &output, &input, isAtEnd ? ZSTD_e_end : ZSTD_e_continue)
            position = input.pos
            return code
        }
        guard ZSTD_isError(left) == 0 else {
            throw SpoolError.unusable(path: path, reason: String(cString: ZSTD_getErrorName(left)))
        }
        if isAtEnd, left == 0 { isFinished = true }
    }

    private func fill() throws {
        position = 0
        repeat { filled = read(descriptor, &chunk, chunk.count) } while filled < 0 && errno == EINTR
        guard filled >= 0 else {
            filled = 0
            throw SpoolError.unusable(path: path, reason: String(cString: strerror(errno)))
        }
        isAtEnd = filled == 0
    }
}

/// Unpacks what `CopyPacker` made into a new file, part by part.
// Unchecked: as the packer.
final class CopyUnpacker: @unchecked Sendable {
    struct Damage: Error {
        var reason: String
    }

    private let path: String
    private let descriptor: Int32
    private let context: OpaquePointer
    private var output = [UInt8](repeating: 0, count: 256 << 10)
    private var isInFrame = true
    private var written: Int64 = 0
    /// What the file must have in the end; it never gets longer.
    private let expected: Int64

    /// Makes the file anew, `0600`.
    init(path: String, bytes: Int64) throws {
        self.path = path
        expected = bytes
        unlink(path)
        descriptor = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw SpoolError.unusable(path: path, reason: String(cString: strerror(errno)))
        }
        guard let context = ZSTD_createDCtx() else {
            close(descriptor)
            throw SpoolError.unusable(path: path, reason: "there is no memory to unpack it")
        }
        self.context = context
    }

    deinit {
        ZSTD_freeDCtx(context)
        close(descriptor)
    }

    func take(_ part: [UInt8]) async throws { try await FileWork.run { [self] in try unpack(part) } }

    func finish() throws {
        guard !isInFrame, written == expected else { throw Damage(reason: "it is cut off") }
    }

    private func unpack(_ part: [UInt8]) throws {
        try part.withUnsafeBytes { bytes in
            var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
            var hasMore = true
            while input.pos < input.size || hasMore {
                guard isInFrame else { throw Damage(reason: "bytes follow its end") }
                let (code, count) = output.withUnsafeMutableBytes { buffer in
                    var target = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
                    let code = ZSTD_decompressStream(context, &target, &input)
                    return (code, target.pos)
                }
                guard ZSTD_isError(code) == 0 else { throw Damage(reason: String(cString: ZSTD_getErrorName(code))) }
                isInFrame = code != 0
                hasMore = isInFrame && count == output.count
                try write(count)
            }
        }
    }

    private func write(_ count: Int) throws {
        written += Int64(count)
        guard written <= expected else { throw Damage(reason: "it unpacks to more than its state says") }
        var offset = 0
        while offset < count {
            let done = output.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: offset), count - offset)
            }
            if done < 0 {
                if errno == EINTR { continue }
                throw errno == ENOSPC
                    ? SpoolError.full(path: path)
                    : SpoolError.unusable(path: path, reason: String(cString: strerror(errno)))
            }
            offset += done
        }
    }
}
