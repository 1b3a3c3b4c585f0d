import CCurl
import Synchronization

/// One request on its way through libcurl, and what its callbacks note down.
// @unchecked Sendable: `request`, `target`, `sink` and `isCancelled` may be used from anywhere; every other member is
// touched on the loop's thread alone, which gets the transfer through the inbox's mutex.
final class Transfer: @unchecked Sendable {
    /// Header fields of one response together; libcurl has bounds of its own that differ by version.
    static let maximumHeadBytes = 256 << 10

    let request: HTTPRequest
    let target: HTTPTarget
    let sink: any ResponseSink
    /// Set by `cancel`, read when the loop starts the transfer: a cancellation can overtake its submission.
    let isCancelled = Atomic(false)

    // MARK: On the loop's thread

    var handle: EasyHandle?
    let submitted = ContinuousClock.now
    var watch = SilenceWatch()
    var isPaused = false
    var needsFlush = false
    /// The connection stands and the request is about to go out.
    private(set) var isConnected = false
    /// Bytes of the body handed to libcurl: an upper bound of what left.
    private(set) var bodyBytesTaken = 0
    /// An observer waits to hear that the body has left.
    private var isBodyUnreported: Bool
    /// Why a callback stopped the transfer, if one did.
    private(set) var stop: Stop?
    private(set) var isHeadComplete = false
    private(set) var head = HTTPHead(status: 0)
    private var headBytes = 0

    enum Stop {
        case responseTooLarge(limit: Int)
        case headTooLarge
        /// libcurl was about to send a body again that had begun to leave.
        case resend
    }

    init(_ request: HTTPRequest, to target: HTTPTarget, sink: any ResponseSink) {
        self.request = request
        self.target = target
        self.sink = sink
        isBodyUnreported = request.observer != nil && request.body != nil
    }

    /// A connection is ready. False stops the transfer.
    ///
    /// libcurl 7.88 sends a request again by itself when a kept-alive connection turns out to be closed before any byte
    /// of a response came, also minutes later and also a POST. Whether that is right for a body that may have arrived
    /// is the caller's decision, so it happens here only while no byte of a body was taken; afterwards the caller gets
    /// `connectionLost` with `bodyBytesSent` above 0.
    func connectionIsReady(at now: ContinuousClock.Instant) -> Bool {
        guard bodyBytesTaken == 0 else {
            stop = .resend
            return false
        }
        isConnected = true
        watch.restart(at: now)
        return true
    }

    /// The next bytes of the body.
    func takeBody(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let body = request.body else { return 0 }
        let count = min(buffer.count, body.count - bodyBytesTaken)
        guard count > 0 else { return 0 }
        body.withUnsafeBytes { bytes in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[bodyBytesTaken..<bodyBytesTaken + count]))
        }
        bodyBytesTaken += count
        return count
    }

    /// To be called whenever bytes may have left.
    func reportBody() {
        guard isBodyUnreported, isConnected, let handle, let body = request.body, handle.bodyBytesSent == body.count
        else { return }
        isBodyUnreported = false
        request.observer?(.bodySent)
    }

    /// One line of a response head, with its line end. False stops the transfer.
    func receiveHeaderLine(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !isHeadComplete else { return true }  // a trailer
        headBytes += bytes.count
        guard headBytes <= Self.maximumHeadBytes else {
            stop = .headTooLarge
            return false
        }
        let line = bytes.prefix { $0 != 0x0D && $0 != 0x0A }
        if line.starts(with: "HTTP/".utf8) {
            let status = line.split(separator: 0x20, maxSplits: 2).dropFirst().first
            head = HTTPHead(status: status.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0)
        } else if line.isEmpty {
            // 100 Continue and 103 Early Hints are followed by the head that counts.
            guard head.status >= 200 else { return true }
            isHeadComplete = true
            reportBody()
            request.observer?(.headReceived)
            sink.head(head)
            needsFlush = true
        } else if let colon = line.firstIndex(of: 0x3A) {
            let value = line[(colon + 1)...].drop { $0 == 0x20 || $0 == 0x09 }
            var text = String(decoding: value, as: UTF8.self)
            while text.last == " " || text.last == "\t" { text.removeLast() }
            head.headers.append(String(decoding: line[..<colon], as: UTF8.self), text)
        }
        return true
    }

    func receiveBody(_ bytes: UnsafeRawBufferPointer) -> WriteVerdict {
        let verdict = sink.write(bytes)
        switch verdict {
        case .taken: needsFlush = true
        case .pause: isPaused = true
        case .tooLarge(let limit): stop = .responseTooLarge(limit: limit)
        }
        return verdict
    }
}
