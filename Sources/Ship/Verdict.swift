internal import Spool
internal import Transport

/// What an attempt means for each of its rows, and what the shipper should do next. A pure decision: `Verdict(of:for:at:)` is the one place
/// where answers are judged (contract section 6).
struct Verdict: Sendable, Equatable {
    enum Advice: Sendable, Equatable {
        /// The table takes rows.
        case proceed
        /// Not now: back off, and no shorter than this.
        case retry(after: Duration?)
        /// Too fast: back off, with fewer requests at once.
        case slowDown(after: Duration?)
        /// Too large: in two halves, at once.
        case split
        /// The table, or a column, is not there: look before going on.
        case lookAtTable
        /// Nothing more for this table.
        case stop(ShipStop)
        /// Cancelled on our own wish.
        case cancelled
    }

    var rest: Settlement.Rest
    var exceptions: [RowSettlement] = []
    /// False when the request as a whole was no attempt.
    var counts = true
    var httpStatus: Int?
    var error: String?
    var advice: Advice
    /// Rows that want another look at the schema before anything else is done with them.
    var mentionsUnknownColumns = false
    /// At least one row got a definite answer of its own: the table is alive.
    var isProgress = false

    /// What is judged.
    struct Attempt: Sendable {
        var table: TableReference
        /// In the order of the body.
        var rows: [RowID]
        /// Bytes of the body before compression.
        var bytes: Int
        /// Earlier transient refusals, by index, where there were any.
        var transientAttempts: [Int: (count: Int, first: Timestamp?)] = [:]
        /// Attempts of the same request that failed before.
        var failures = 0
        /// Accepted rows may still be lost: the table's metadata is settling.
        var isSettling = false
    }

    /// A row is given up after so many transient refusals, when the first is at least `transientAge` ago.
    static let maximumTransientAttempts = 20
    static let transientAge: Duration = .seconds(3600)
    /// A connection cut with so much of a body still to send is a server's or a proxy's way to say 413. Less is no sign: what libcurl counts as
    /// sent lags behind by its buffer.
    static let cutShort = 128 << 10
    /// So many cut connections in a row are one too, whatever was counted, but not for bodies that no server finds too large: a link that is
    /// down must not break requests down into single rows.
    static let cutsThatMeanTooLarge = 3
    static let neverTooLarge = 64 << 10

    init(rest: Settlement.Rest, advice: Advice, counts: Bool = true, httpStatus: Int? = nil, error: String? = nil) {
        self.rest = rest
        self.advice = advice
        self.counts = counts
        self.httpStatus = httpStatus
        self.error = error
    }

    init(of reply: InsertReply, for attempt: Attempt, at now: Timestamp) {
        switch reply {
        case .response(let response):
            self.init(of: response, for: attempt, at: now)
            httpStatus = response.status
        case .failure(let error):
            self.init(of: error, for: attempt)
        case .noToken(let error):
            self.init(of: error, for: attempt)
        }
    }

    // MARK: Responses

    private init(of response: HTTPResponse, for attempt: Attempt, at now: Timestamp) {
        if response.isSuccess {
            guard response.status == 200,
                let answer = InsertAllAnswer(response.body, rows: attempt.rows.count)
            else {
                self.init(
                    rest: .inDoubt(.unknown), advice: .retry(after: nil),
                    error: "BigQuery's answer can't be read, so it is not known which rows it took")
                return
            }
            self.init(of: answer, for: attempt, at: now)
            return
        }
        let reply = ErrorReply(response)
        let text =
            "\(response.status)\(reply.reason.map { " (\($0))" } ?? ""): \(reply.message)"
        switch BigQueryError.classify(status: response.status, reason: reply.reason) {
        case .rateLimited:
            self.init(rest: .pending, advice: .slowDown(after: response.retryAfter), error: text)
        case _ where response.status == 413 || response.status == 400 && Self.isAboutSize(reply.message):
            self.init(tooLarge: text, for: attempt)
        case .transient where response.status < 500 && response.status != 408:
            // `tableUnavailable`: definitely not taken.
            self.init(rest: .pending, advice: .retry(after: response.retryAfter), error: text)
        case .transient:
            self.init(rest: .inDoubt(.unknown), advice: .retry(after: response.retryAfter), error: text)
        case .notFound:
            self.init(rest: .pending, advice: .lookAtTable, error: text)
        case .denied:
            self.init(
                rest: .pending, advice: .stop(Self.denied(attempt.table, response.status, reply)), error: text)
        case .configuration:
            self.init(
                rest: .pending,
                advice: .stop(
                    ShipStop(
                        .configuration,
                        "inserting into \(attempt.table): the endpoint answered with a redirect (\(response.status)), "
                            + "which is never followed",
                        hint: "set destination.endpoint to the address that BigQuery is served at")), error: text)
        default:
            self.init(
                rest: .pending,
                advice: .stop(
                    ShipStop(
                        .badRequest, "inserting into \(attempt.table): BigQuery answered \(text)",
                        hint:
                            "its rows stay in the spool; mend the table or the configuration and run etlctl ship again"
                    )), error: text)
        }
    }

    private static func denied(_ table: TableReference, _ status: Int, _ reply: ErrorReply) -> ShipStop {
        let hint: String
        let text = reply.message.lowercased()
        if text.contains("free tier") || text.contains("billing") || reply.reason == "billingNotEnabled" {
            hint = "streaming inserts need a project with billing: enable it in the Cloud console"
        } else if status == 401 {
            hint = "check destination.credentials: the token was refused, also after a refresh"
        } else {
            hint = "grant roles/bigquery.dataEditor on dataset \(table.dataset) and run etlctl check"
        }
        return ShipStop(
            .denied,
            "inserting into \(table) was refused: \(status)\(reply.reason.map { " (\($0))" } ?? ""): \(reply.message)",
            hint: hint)
    }

    /// As in `Request payload size exceeds the limit: 10485760 bytes.`
    private static func isAboutSize(_ message: String) -> Bool {
        let text = message.lowercased()
        return text.contains("payload size") || text.contains("too large")
            || text.contains("size exceeds") || text.contains("exceeded the limit") && text.contains("size")
    }

    private init(tooLarge text: String, for attempt: Attempt) {
        guard attempt.rows.count <= 1 else {
            self.init(rest: .pending, advice: .split, counts: false, error: text)
            return
        }
        self.init(rest: .delivered, advice: .proceed, error: text)
        exceptions = attempt.rows.map { row in
            RowSettlement(
                row,
                .rejected(
                    reason: "too_large",
                    message: "the row alone makes a request of \(attempt.bytes) bytes, and BigQuery answered \(text)"))
        }
        isProgress = true
    }

    // MARK: No response

    private init(of error: HTTPError, for attempt: Attempt) {
        let sent = error.bodyBytesSent > 0
        if case .cancelled = error.kind {
            self.init(
                rest: sent ? .inDoubt(.unknown) : .pending, advice: .cancelled, counts: sent,
                error: "stopped while the request was under way")
            return
        }
        guard !sent else {
            self.init(rest: .inDoubt(.unknown), advice: .retry(after: nil), error: error.message)
            // 1 stands for "some": after a reset libcurl may have counted nothing.
            let wasCutShort =
                error.bodyBytesSent > 1 && error.bodyBytesSent + Int64(Self.cutShort) <= Int64(attempt.bytes)
            if error.kind == .connectionLost, attempt.rows.count > 1,
                wasCutShort
                    || attempt.failures + 1 >= Self.cutsThatMeanTooLarge && attempt.bytes > Self.neverTooLarge
            {
                advice = .split
            }
            return
        }
        switch error.kind {
        case .tls, .proxy:
            let what =
                error.kind == .proxy ? "the proxy's configuration" : "the certificates (SSL_CERT_FILE) and the clock"
            self.init(
                rest: .pending, advice: .stop(ShipStop(.unavailable, error.message, hint: "check \(what)")),
                counts: false, error: error.message)
        case .invalidURL:
            self.init(
                rest: .pending,
                advice: .stop(ShipStop(.configuration, error.message, hint: "check destination.endpoint")),
                counts: false, error: error.message)
        default:
            self.init(rest: .pending, advice: .retry(after: nil), counts: false, error: error.message)
        }
    }

    private init(of error: AuthError, for attempt: Attempt) {
        let advice: Advice =
            switch error {
            case .unavailable: .retry(after: nil)
            case .cancelled: .cancelled
            case .unreadableFile:
                .stop(ShipStop(.configuration, "\(error)", hint: "check destination.credentials"))
            case .noCredentials, .refused:
                .stop(ShipStop(.denied, "\(error)", hint: "check destination.credentials, or run etlctl check"))
            }
        self.init(rest: .pending, advice: advice, counts: false, error: "\(error)")
    }

    // MARK: Rows

    private init(of answer: InsertAllAnswer, for attempt: Attempt, at now: Timestamp) {
        let accepted: Settlement.Rest = attempt.isSettling ? .inDoubt(.settling) : .delivered
        self.init(rest: accepted, advice: .proceed)
        guard !answer.errors.isEmpty else {
            isProgress = true
            return
        }
        var kinds: Set<InsertAllAnswer.RowError.Class> = []
        for (index, error) in answer.errors.sorted(by: { $0.key < $1.key }) {
            kinds.insert(error.kind)
            exceptions.append(
                RowSettlement(attempt.rows[index], Self.outcome(of: error, attempt.transientAttempts[index], now)))
        }
        mentionsUnknownColumns = kinds.contains(.noSuchField)
        isProgress =
            answer.errors.count < attempt.rows.count || kinds.contains(.invalid)
            || exceptions.contains { if case .rejected = $0.outcome { true } else { false } }
        if mentionsUnknownColumns {
            advice = .lookAtTable
        } else if kinds.contains(.rateLimited) {
            advice = .slowDown(after: nil)
        } else if !isProgress {
            advice = .retry(after: nil)
        }
        keepTogether(kinds, attempt)
    }

    /// When all rows met the same passing refusal, they stay one request instead of becoming as many single rows.
    private mutating func keepTogether(_ kinds: Set<InsertAllAnswer.RowError.Class>, _ attempt: Attempt) {
        guard exceptions.count == attempt.rows.count, kinds.count == 1, let kind = kinds.first,
            kind != .invalid, kind != .transient, case .pending(_, let message, let counts, _) = exceptions[0].outcome
        else { return }
        rest = .pending
        error = message
        self.counts = counts
        exceptions = []
    }

    /// What to do about a refusal of a single row whose reason does not say it. The texts are
    /// BigQuery's (pages on streaming into partitions and on quotas).
    private static func advice(on message: String) -> String {
        let text = message.lowercased()
        if text.contains("outside the allowed bounds") {
            return
                "; a table partitioned by another column, or by _extracted_at as etlctl makes them, takes such dates: "
                + "move it, then etlctl retry"
        }
        if text.contains("row size") {
            return "; leave large fields out (exclude:), or shorten them at the source"
        }
        return ""
    }

    private static func outcome(
        of error: InsertAllAnswer.RowError, _ earlier: (count: Int, first: Timestamp?)?, _ now: Timestamp
    ) -> RowSettlement.Outcome {
        switch error.kind {
        case .stopped:
            return .pending(reason: error.reason, message: error.message, counts: false, transient: false)
        case .rateLimited, .noSuchField:
            return .pending(reason: error.reason, message: error.message, counts: true, transient: false)
        case .invalid:
            return .rejected(reason: error.reason, message: error.message + advice(on: error.message))
        case .transient:
            let count = (earlier?.count ?? 0) + 1
            if count >= maximumTransientAttempts, let first = earlier?.first, now.since(first) >= transientAge {
                return .rejected(
                    reason: error.reason, message: "\(error.message) (given up after \(count) attempts since \(first))")
            }
            return .pending(reason: error.reason, message: error.message, counts: true, transient: true)
        }
    }
}
