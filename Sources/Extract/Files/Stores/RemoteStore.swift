package import Transport

/// A store over HTTP. A conformer says where its objects are, and how one is asked for and what its refusals mean; reading is the same for all.
package protocol RemoteStore: ObjectStore {
    var place: StorePlace { get }

    /// Asks for the listed version of an object, whole or a range of it (a `Range` header's value).
    ///
    /// - Returns: an answer of 2xx that is of the listed version.
    /// - Throws: as `open` of `ObjectStore` does.
    func get(_ object: StoredObject, range: String?) async throws -> HTTPStreamedResponse
}

extension RemoteStore {
    package var url: String { place.url }

    package func open(_ object: StoredObject, from offset: Int64) async throws -> ObjectBody {
        try await RemoteObject.body(of: object, url: url(of: object.name), from: offset) { offset in
            try await get(object, range: RemoteObject.range(from: offset))
        }
    }

    package func read(_ object: StoredObject, range: Range<Int64>) async throws -> [UInt8] {
        try await RemoteObject.bytes(range, of: object, url: url(of: object.name)) { range in
            try await get(object, range: range)
        }
    }
}

/// A refusal of a store as a user can act on it: what is said of it is the same for all stores.
struct RemoteRefusal {
    var subject: String
    /// The status, and the service's own words.
    var words: String
    var retryAfter: Duration?
    var clock: ClockDifference?
    /// Why there are no credentials, where reading goes on without any.
    var anonymousBecause: String?
    /// What was tried.
    var verb = "reading"

    init(_ refusal: ServiceRefusal, _ verb: String = "reading", _ subject: String, anonymousBecause: String?) {
        self.subject = subject
        self.verb = verb
        words = "\(refusal)"
        retryAfter = refusal.retryAfter
        clock = refusal.clock
        self.anonymousBecause = anonymousBecause
    }

    init(
        status: Int, message: String?, _ headers: HTTPHeaders, clock: ClockDifference?, _ verb: String = "reading",
        _ subject: String, anonymousBecause: String?
    ) {
        self.subject = subject
        self.verb = verb
        words = "HTTP \(status)" + (message.map { ": \($0)" } ?? "")
        retryAfter = headers.retryAfter
        self.clock = clock
        self.anonymousBecause = anonymousBecause
    }

    var text: String { "\(verb) \(subject) failed: \(words)" }

    /// Credentials or permission refused.
    func denied(hint: String) -> ExtractError {
        var text = text
        if let clock, clock.isNotable { text += "; \(clock)" }
        if let anonymousBecause { text += "; there are no credentials: \(anonymousBecause)" }
        return ExtractError(.denied, text, hint: hint)
    }

    /// A signature that came too early or too late.
    var deniedForTime: ExtractError {
        denied(
            hint:
                "set this machine's clock right (NTP), then run the same command again: signatures hold for 15 minutes")
    }

    func missing(_ what: String, hint: String) -> ExtractError {
        ExtractError(.configuration, "\(what) does not exist (\(words))", at: .source("url"), hint: hint)
    }

    func other(isTransient: Bool) -> ExtractError {
        var failure = ExtractError(
            isTransient ? .unavailable : .configuration, text,
            hint: isTransient ? "run the same command again later: it goes on where it stopped" : nil)
        failure.retryAfter = retryAfter
        return failure
    }
}

extension StoredObject {
    /// - Parameter tag: an ETag with or without its quotes.
    init(name: String, size: Int64, tag: String) {
        self.init(name: name, size: size, version: Self.bare(tag))
    }

    /// - Returns: true unless the headers name another ETag: a service may not look at `If-Match`.
    func isNamed(by headers: HTTPHeaders) -> Bool { headers["etag"].map { Self.bare($0) == version } ?? true }

    private static func bare(_ tag: String) -> String { tag.filter { $0 != "\"" } }
}
