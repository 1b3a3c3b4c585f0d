/// What becomes of a response while it arrives. Called on the loop's thread alone, in this order: head, write and flush
/// any number of times, finish once. None of them may block.
protocol ResponseSink: Sendable {
    /// Whether `write` may answer `pause`.
    var canPause: Bool { get }
    func head(_ head: HTTPHead)
    func write(_ bytes: UnsafeRawBufferPointer) -> WriteVerdict
    /// The bytes at hand have all been written: hand on what was gathered.
    func flush()
    /// The transfer is over; nil: completely, after its head.
    func finish(_ failure: HTTPError?)
}

enum WriteVerdict {
    case taken
    /// Nothing was taken: offer the same bytes again after `TransferLoop.resume`.
    case pause
    case tooLarge(limit: Int)
}
