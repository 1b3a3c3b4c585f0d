internal import Transport

/// Why reading a source failed: what was tried, on what, why, and what to do next.
package struct ExtractError: Error, Sendable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// The source can't be reached or is overloaded; worth another attempt.
        case unavailable
        /// Credentials or permission refused.
        case denied
        /// The configuration does not fit the source, or what it names does not exist.
        case configuration
        /// The source sent something that is no valid record.
        case malformed
        /// The mass-delete guard struck.
        case massDelete
        /// The spool is at its size limit and delivery has not made room in time.
        case noRoom
        /// The spool is at its size limit and nothing that is in it can make room.
        case spoolFull
        /// A bug, or an answer nobody expects.
        case unexpected
    }

    /// A key of the configuration that is at fault.
    package enum Place: Sendable, Equatable {
        /// Of the stream that was read.
        case stream(String)
        /// Of its source.
        case source(String)
    }

    package var kind: Kind
    package var description: String
    package var hint: String?
    /// Where the mistake stands, for the kind `configuration`; nil where no key is to blame.
    package var place: Place?
    /// How long the source asked to be left alone.
    package var retryAfter: Duration?
    /// True if the run has done all it can: the next one begins anew instead of continuing it.
    var endsRun = false
    /// True for a snapshot time that the source does not serve any more.
    var isExpiredReadTime = false
    /// True where the source wants less to be asked of it at once.
    var isOverload = false
    /// What became of the query job whose rows were read.
    var queryJob: QueryJobTrouble?

    /// Why a query job's rows can't be had, and what helps.
    enum QueryJobTrouble: Sendable {
        /// Nobody knows the job any more: another one will do.
        case lost
        /// It failed through no fault of its own: another one, later.
        case failed
        /// Its rows are too many to be sorted: another one without an order.
        case tooLargeToSort
    }

    package init(_ kind: Kind, _ description: String, at place: Place? = nil, hint: String? = nil) {
        self.kind = kind
        self.place = place
        self.description = description
        self.hint = hint
    }

    package var isTransient: Bool { kind == .unavailable && !isFinal }
    /// True for a source that can't be reached and won't be by trying again, such as one whose certificate is refused.
    var isFinal = false

    /// Translates what the transport reports; other errors are passed on.
    static func translating(_ error: any Error, reading subject: String) -> any Error {
        translating(error, "reading", subject)
    }

    /// - Parameter verb: what was tried with `subject`.
    static func translating(_ error: any Error, _ verb: String, _ subject: String) -> any Error {
        if let failure = error as? HTTPError {
            if failure.kind == .cancelled { return CancellationError() }
            var error = ExtractError(
                failure.isTransient || failure.kind == .tls ? .unavailable : .configuration,
                "\(verb) \(subject) failed: \(failure)",
                hint: failure.isTransient
                    ? "check the network and the source, then run the same command again: it goes on where it stopped"
                    : "check the source's endpoint and certificate")
            error.isFinal = !failure.isTransient
            return error
        }
        guard let failure = error as? AuthError else { return error }
        let kind: Kind
        switch failure {
        case .noCredentials: kind = .denied
        case .unreadableFile: kind = .configuration
        case .refused: kind = .denied
        case .unavailable: kind = .unavailable
        case .cancelled: return CancellationError()
        }
        return ExtractError(kind, "\(verb) \(subject) failed: \(failure)")
    }
}

/// The stream's position belongs to something else than what is configured now.
package struct PositionMismatch: Error, Sendable {
    /// The identity kept with the position; the caller knows how to say it.
    package var kept: String
}

/// Something a user should know that is no failure. The codes are part of the public contract.
package struct ExtractWarning: Sendable, Equatable {
    package var code: String
    package var message: String
    package var count: Int

    package init(code: String, message: String, count: Int = 1) {
        self.code = code
        self.message = message
        self.count = count
    }
}
