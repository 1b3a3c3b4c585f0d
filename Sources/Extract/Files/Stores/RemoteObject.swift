internal import Synchronization
internal import Transport

/// How the object stores over HTTP hand out an object's bytes.
enum RemoteObject {
    /// The bytes from an offset to the object's end.
    ///
    /// A connection that breaks after some bytes have come is opened again where they end, in the same version, at once: what has arrived is
    /// progress, so that a large object gets through a poor network. Without progress the error is the run's to bear.
    ///
    /// - Parameter open: sends the request for the bytes from an offset and translates refusals.
    static func body(
        of object: StoredObject, url: String, from offset: Int64,
        open: @escaping @Sendable (_ offset: Int64) async throws -> HTTPStreamedResponse
    ) async throws -> ObjectBody {
        // There is no range that holds nothing.
        guard offset < object.size || object.size == 0 else { return ObjectBody { nil } }
        let download = Download(object: object, url: url, offset: offset, open: open)
        try await download.begin()
        return ObjectBody { try await download.next() }
    }

    /// A `Range` header's value; nil for the whole object, as no range of an empty one is allowed.
    static func range(from offset: Int64) -> String? { offset == 0 ? nil : "bytes=\(offset)-" }

    static func range(_ range: Range<Int64>) -> String { "bytes=\(range.lowerBound)-\(range.upperBound - 1)" }

    /// The bytes of a small range, whole; those of a server that ignores ranges are cut to it.
    static func bytes(
        _ range: Range<Int64>, of object: StoredObject, url: String,
        open: (_ range: String) async throws -> HTTPStreamedResponse
    ) async throws -> [UInt8] {
        guard !range.isEmpty else { return [] }
        let response = try await open(Self.range(range))
        var toSkip = response.status == 206 ? 0 : range.lowerBound
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        do {
            for try await chunk in response.body {
                let skipped = min(toSkip, Int64(chunk.count))
                toSkip -= skipped
                bytes += chunk[Int(skipped)...].prefix(range.count - bytes.count)
                if bytes.count == range.count { return bytes }
            }
        } catch {
            throw ExtractError.translating(error, reading: url)
        }
        throw tooShort(url, expected: range.upperBound, actual: range.lowerBound + Int64(bytes.count))
    }

    static func tooShort(_ url: String, expected: Int64, actual: Int64) -> ExtractError {
        ExtractError(
            .unavailable, "reading \(url) ended at byte \(actual), \(expected) were expected",
            hint: "run the same command again later: it goes on where it stopped")
    }
}

/// One object on its way, over as many connections as it takes.
private final class Download: Sendable {
    private struct State {
        var body: HTTPStream?
        /// Of the next byte to hand out.
        var offset: Int64
        /// Bytes before it that a server without ranges sends all the same.
        var toSkip: Int64 = 0
        var hasProgress = false
    }

    private let object: StoredObject
    private let url: String
    private let open: @Sendable (Int64) async throws -> HTTPStreamedResponse
    private let state: Mutex<State>

    init(
        object: StoredObject, url: String, offset: Int64,
        open: @escaping @Sendable (Int64) async throws -> HTTPStreamedResponse
    ) {
        self.object = object
        self.url = url
        self.open = open
        state = Mutex(State(offset: offset))
    }

    func begin() async throws {
        let offset = state.withLock { $0.offset }
        let response = try await open(offset)
        state.withLock { state in
            state.body = response.body
            state.toSkip = response.status == 206 ? 0 : offset
            state.hasProgress = false
        }
    }

    func next() async throws -> [UInt8]? {
        while true {
            guard let body = state.withLock({ $0.body }) else { return nil }
            var iterator = body.makeAsyncIterator()
            do {
                guard let chunk = try await iterator.next() else { return try end() }
                if let bytes = take(chunk) { return bytes }
            } catch {
                let translated = ExtractError.translating(error, reading: url)
                let mayGoOn = state.withLock { $0.hasProgress }
                guard mayGoOn, (translated as? ExtractError)?.isTransient ?? false else { throw translated }
                try await begin()
            }
        }
    }

    private func take(_ chunk: [UInt8]) -> [UInt8]? {
        state.withLock { state in
            let skipped = min(state.toSkip, Int64(chunk.count))
            state.toSkip -= skipped
            guard skipped < chunk.count else { return nil }
            state.offset += Int64(chunk.count) - skipped
            state.hasProgress = true
            return skipped == 0 ? chunk : Array(chunk[Int(skipped)...])
        }
    }

    private func end() throws -> [UInt8]? {
        let offset = state.withLock { state in
            state.body = nil
            return state.offset
        }
        guard offset == object.size else { throw RemoteObject.tooShort(url, expected: object.size, actual: offset) }
        return nil
    }
}
