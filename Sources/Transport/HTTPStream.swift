/// The body of a response as it arrives, in chunks of up to about 1 MiB.
///
/// The transfer is paused while more than that is unread, so memory does not grow with the body. Letting the stream go,
/// or cancelling the task that reads it, ends the transfer and closes its connection. A body can be read once, by one
/// task at a time.
package struct HTTPStream: AsyncSequence, Sendable {
    package typealias Element = [UInt8]
    package typealias Failure = HTTPError

    private let reader: StreamReader
    /// Taken out of what `collect` gives.
    var token: AccessToken?

    init(_ reader: StreamReader) {
        self.reader = reader
    }

    package func makeAsyncIterator() -> Iterator { Iterator(reader: reader) }

    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let reader: StreamReader

        /// The next chunk, never empty; nil at the end of a complete body.
        /// - Throws: ``HTTPError`` when the body is cut off, after the chunks that arrived.
        package mutating func next() async throws(HTTPError) -> [UInt8]? {
            try await reader.next()
        }

        package mutating func next(isolation actor: isolated (any Actor)?) async throws(HTTPError) -> [UInt8]? {
            try await reader.next()
        }
    }

    /// The whole body; for answers known to be small, such as errors.
    ///
    /// - Throws: ``HTTPError`` as `next` does; `responseTooLarge` beyond the limit.
    package func collect(maximumBytes: Int = 64 << 20) async throws(HTTPError) -> [UInt8] {
        var all: [UInt8] = []
        var iterator = makeAsyncIterator()
        while let chunk = try await iterator.next() {
            guard all.count + chunk.count <= maximumBytes else { throw reader.tooLarge(limit: maximumBytes) }
            all.append(contentsOf: chunk)
        }
        return token?.hidden(in: all) ?? all
    }
}

/// Ends its transfer with the last reference to the stream.
final class StreamReader: Sendable {
    private let transfer: Transfer
    private let queue: ChunkQueue
    private let loop: TransferLoop
    // Held so that the loop goes on when the client is let go before its stream.
    private let thread: TransferThread

    init(transfer: Transfer, queue: ChunkQueue, loop: TransferLoop, thread: TransferThread) {
        self.transfer = transfer
        self.queue = queue
        self.loop = loop
        self.thread = thread
    }

    deinit {
        loop.cancel(transfer)
    }

    func next() async throws(HTTPError) -> [UInt8]? {
        let next = await withTaskCancellationHandler {
            await queue.next { loop.resume(transfer) }
        } onCancel: {
            loop.cancel(transfer)
        }
        return try next.get()
    }

    func tooLarge(limit: Int) -> HTTPError {
        HTTPError(
            kind: .responseTooLarge, host: transfer.target.description,
            message: "the answer of \(transfer.target) is too large: it has more than \(limit) bytes")
    }
}
