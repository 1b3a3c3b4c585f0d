internal import JSONBytes
internal import Synchronization
internal import Transport

/// Memory for request bodies that goes round: a body is filled in place, lent to the transfer without a copy, and its memory comes back when the
/// transfer lets go of it. Fresh memory for every body would cost more in page faults than filling it.
final class BodyPool: Sendable {
    /// Memory kept for later; what comes back beyond is freed.
    private static let keptBytes = 16 << 20
    private static let firstCapacity = 256 << 10

    /// A buffer between its users: nobody else has it.
    // Unchecked: a buffer is in the pool, or with one packer, or read-only with one transfer.
    private struct Idle: @unchecked Sendable {
        var buffer: ByteBuffer
    }

    /// Keeps a buffer unchanged for a transfer and gives it back at the end.
    // Unchecked: see Idle.
    private final class Lease: @unchecked Sendable {
        let buffer: ByteBuffer
        let pool: BodyPool

        init(_ buffer: ByteBuffer, _ pool: BodyPool) {
            self.buffer = buffer
            self.pool = pool
        }

        deinit { pool.put(Idle(buffer: buffer)) }
    }

    private let idle = Mutex<(buffers: [Idle], bytes: Int)>(([], 0))

    /// An empty buffer, for the caller alone.
    func take() -> ByteBuffer {
        let found = idle.withLock { idle -> Idle? in
            guard let last = idle.buffers.popLast() else { return nil }
            idle.bytes -= last.buffer.capacity
            return last
        }
        return found?.buffer ?? ByteBuffer(capacity: Self.firstCapacity)
    }

    /// The buffer's bytes as a body. The caller does not touch the buffer any more.
    func lend(_ buffer: ByteBuffer) -> HTTPBody {
        HTTPBody(buffer.bytes, keepingAlive: Lease(buffer, self))
    }

    private func put(_ returned: Idle) {
        returned.buffer.removeAll()
        idle.withLock { idle in
            guard idle.bytes + returned.buffer.capacity <= Self.keptBytes else { return }
            idle.bytes += returned.buffer.capacity
            idle.buffers.append(returned)
        }
    }
}
